// SPDX-License-Identifier: Apache-2.0
// Who may make us hold a large frame in part: a few workers at a time, for a frame may be of 40 MiB
// and a script can hold its last byte back. The others of them are not read from until one of these
// is done; who sends small frames, as nearly all do, never waits. Loop thread only.
#pragma once

#include "base/err.h"
#include "base/list.h"

// A part of a frame that is not longer than this is small.
#define WZ_INTAKE_SMALL_BYTES ((size_t)1024 * 1024)

// So many may hold more at a time.
#define WZ_INTAKE_LARGE_MAX 2

struct wz_intake {
    struct wz_list waiting; // longest first
    int large;
};

// One whose frames come in. Fill GO_ON and ARG; the rest is the intake's. In none while INTAKE is
// NULL: then it never waits.
struct wz_intake_member {
    struct wz_intake *intake;
    struct wz_list link;
    bool large;
    bool waits;
    void (*go_on)(void *arg); // it may be read from again; it must not leave the intake
    void *arg;
};

// Makes an intake without members. Nothing of it can fail.
void wz_intake_init(struct wz_intake *intake);

// Takes a member in; INTAKE outlives it, or is NULL.
void wz_intake_join(struct wz_intake *intake, struct wz_intake_member *member);

// The member holds BYTES of a frame that is not whole. False when it may not hold more now: it is
// not to be read from until GO_ON is called.
WZ_MUST bool wz_intake_holds(struct wz_intake_member *member, size_t bytes);

// Lets a member go. Fine when it is in none.
void wz_intake_leave(struct wz_intake_member *member);
