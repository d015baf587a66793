// SPDX-License-Identifier: Apache-2.0
// Owns who serves what.
#include "bus/desk.h"

#include <string.h>

#include "base/codes.h"
#include "base/list.h"
#include "base/mem.h"
#include "loop/loop.h"

#define PARTS_MAX 8

struct counter {
    const char *part;
    wz_desk_serve_fn serve;
    void *arg;
};

struct wz_desk {
    struct wz_loop *loop;
    struct counter counters[PARTS_MAX];
};

struct wz_desk *wz_desk_new(struct wz_loop *loop)
{
    struct wz_desk *desk = wz_zalloc(1, sizeof(*desk));

    desk->loop = loop;
    return desk;
}

void wz_desk_free(struct wz_desk *desk) { wz_free(desk); }

static struct counter *find(struct wz_desk *desk, const char *part)
{
    for (size_t i = 0; i < PARTS_MAX; i++)
        if (desk->counters[i].part && strcmp(desk->counters[i].part, part) == 0)
            return &desk->counters[i];
    return NULL;
}

void wz_desk_serve(struct wz_desk *desk, const char *part, wz_desk_serve_fn serve, void *arg)
{
    struct counter *counter = find(desk, part);

    for (size_t i = 0; i < PARTS_MAX && !counter; i++)
        if (!desk->counters[i].part)
            counter = &desk->counters[i];
    WZ_ASSERT(counter);
    *counter = (struct counter){.part = serve ? part : NULL, .serve = serve, .arg = arg};
}

static void on_call(struct wz_mail *mail)
{
    struct wz_desk_call *call = WZ_CONTAINER(mail, struct wz_desk_call, mail);
    struct counter *counter = find(call->desk, call->part);

    if (counter) {
        counter->serve(counter->arg, call);
        return;
    }
    (void)wz_problem_set(&call->problem, WZ_ERR_CLOSED, WZ_CODE_API_BUSY,
                         "Nobody serves \"%s\" at present.", call->part);
    wz_desk_answer(call, WZ_ERR_CLOSED, NULL);
}

int wz_desk_ask(struct wz_desk *desk, struct wz_desk_call *call)
{
    call->desk = desk;
    call->result = WZ_OK;
    call->answer = NULL;
    call->mail.run = on_call;
    return wz_mailbox_post(&desk->loop->mail, &call->mail);
}

void wz_desk_answer(struct wz_desk_call *call, int result, json_t *answer)
{
    call->result = result;
    call->answer = answer;
    call->mail.run = call->done;
    wz_mailbox_answer(call->reply_to, &call->mail);
}
