// SPDX-License-Identifier: Apache-2.0
// Owns the questions about streams that wait for their writers.
#include "bus/trimmer.h"

#include <string.h>

#include "base/codes.h"
#include "base/mem.h"

struct wz_trimmer {
    struct wz_desk *desk;
    struct wz_retention *retention;
    struct {
        const char *name;
        struct wz_log *log;
    } streams[WZ_RETENTION_LOGS_MAX];
    size_t count;
};

// A question on its way.
struct task {
    struct wz_retention_call call;
    struct wz_desk_call *asked;
};

static struct wz_log *find(const struct wz_trimmer *trimmer, const char *name)
{
    for (size_t i = 0; i < trimmer->count; i++) {
        if (strcmp(trimmer->streams[i].name, name) == 0)
            return trimmer->streams[i].log;
    }
    return NULL;
}

static void on_done(struct wz_retention_call *call, const struct wz_log_removed *removed)
{
    struct task *task = WZ_CONTAINER(call, struct task, call);

    wz_desk_answer(task->asked, WZ_OK,
                   json_pack("{s:I, s:I, s:I}", "segments", (json_int_t)removed->segments,
                             "records", (json_int_t)removed->records, "bytes",
                             (json_int_t)removed->bytes));
    wz_free(task);
}

static void trim(struct wz_trimmer *trimmer, struct wz_log *log, struct wz_desk_call *asked)
{
    struct task *task = wz_zalloc(1, sizeof(*task));

    task->asked = asked;
    task->call.log = log;
    task->call.below_offset = json_integer_value(json_object_get(asked->args, "below_offset"));
    task->call.done = on_done;
    wz_retention_ask(trimmer->retention, &task->call);
}

static void serve(void *arg, struct wz_desk_call *call)
{
    struct wz_trimmer *trimmer = arg;
    struct wz_log *log = find(trimmer, call->name);
    int64_t needed;

    if (log == NULL) {
        (void)wz_problem_set(&call->problem, WZ_ERR_NOT_FOUND, WZ_CODE_STREAM_NOT_FOUND,
                             "There is no stream \"%.64s\" to be trimmed.", call->name);
        wz_desk_answer(call, WZ_ERR_NOT_FOUND, NULL);
        return;
    }
    if (strcmp(call->what, "trim") == 0) {
        trim(trimmer, log, call);
        return;
    }
    needed = wz_retention_needed(trimmer->retention, log);
    wz_desk_answer(call, WZ_OK,
                   json_pack("{s:o}", "needed_offset",
                             needed == INT64_MAX ? json_null() : json_integer(needed)));
}

struct wz_trimmer *wz_trimmer_new(struct wz_desk *desk, struct wz_retention *retention)
{
    struct wz_trimmer *trimmer = wz_zalloc(1, sizeof(*trimmer));

    trimmer->desk = desk;
    trimmer->retention = retention;
    wz_desk_serve(desk, "streams", serve, trimmer);
    return trimmer;
}

void wz_trimmer_add(struct wz_trimmer *trimmer, const char *name, struct wz_log *log)
{
    WZ_ASSERT(trimmer->count < WZ_RETENTION_LOGS_MAX);
    trimmer->streams[trimmer->count].name = name;
    trimmer->streams[trimmer->count++].log = log;
}

void wz_trimmer_stop(struct wz_trimmer *trimmer)
{
    wz_desk_serve(trimmer->desk, "streams", NULL, NULL);
    wz_retention_stop(trimmer->retention);
}

void wz_trimmer_free(struct wz_trimmer *trimmer) { wz_free(trimmer); }
