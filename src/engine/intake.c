// SPDX-License-Identifier: Apache-2.0
// Owns the turns of those with large frames.
#include "engine/intake.h"

void wz_intake_init(struct wz_intake *intake)
{
    wz_list_init(&intake->waiting);
    intake->large = 0;
}

void wz_intake_join(struct wz_intake *intake, struct wz_intake_member *member)
{
    wz_list_init(&member->link);
    member->intake = intake;
    member->large = false;
    member->waits = false;
}

// Another's turn.
static void pass_on(struct wz_intake *intake)
{
    struct wz_list *link;

    while (intake->large < WZ_INTAKE_LARGE_MAX && (link = wz_list_shift(&intake->waiting))) {
        struct wz_intake_member *member = WZ_CONTAINER(link, struct wz_intake_member, link);

        intake->large++;
        member->large = true;
        member->waits = false;
        member->go_on(member->arg);
    }
}

bool wz_intake_holds(struct wz_intake_member *member, size_t bytes)
{
    struct wz_intake *intake = member->intake;

    if (!intake || member->waits)
        return !member->waits;
    if (bytes <= WZ_INTAKE_SMALL_BYTES) {
        if (member->large) {
            member->large = false;
            intake->large--;
            pass_on(intake);
        }
        return true;
    }
    if (member->large)
        return true;
    if (intake->large < WZ_INTAKE_LARGE_MAX) {
        member->large = true;
        intake->large++;
        return true;
    }
    member->waits = true;
    wz_list_push(&intake->waiting, &member->link);
    return false;
}

void wz_intake_leave(struct wz_intake_member *member)
{
    struct wz_intake *intake = member->intake;

    if (!intake)
        return;
    wz_list_remove(&member->link);
    member->intake = NULL;
    member->waits = false;
    if (!member->large)
        return;
    member->large = false;
    intake->large--;
    pass_on(intake);
}
