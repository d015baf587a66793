// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/beginning.h"
#include "engine/rig_test.h"

#define RAW_MS INT64_C(1770000000000) // of the first records, as the rig has it
#define HOUR_MS INT64_C(3600000)

struct search {
    struct wz_beginning beginning;
    int64_t raw;
    int64_t processed;
    int err;
    bool done;
};

static void on_found(void *arg, const int64_t *offsets, int err)
{
    struct search *search = arg;

    assert_false(search->beginning.running);
    search->raw = offsets[WZ_SCRIPT_RAW];
    search->processed = offsets[WZ_SCRIPT_PROCESSED];
    search->err = err;
    search->done = true;
}

static void find(struct rig *rig, enum wz_moment_kind kind, int64_t value, struct search *search)
{
    struct wz_moment moment = {.kind = kind, .value = value};

    *search = (struct search){.raw = -1};
    wz_beginning_find(&search->beginning, &rig->loop.uv, rig->logs, &moment, on_found, search);
    assert_true(search->beginning.running);
    while (!search->done)
        rig_turn(rig);
    assert_int_equal(search->err, WZ_OK);
}

static void test_beginning_is_found_on_each_stream(void **state)
{
    struct rig *rig = *state;
    const struct {
        enum wz_moment_kind kind;
        int64_t value;
        int64_t offset;
    } cases[] = {
        {WZ_MOMENT_FIRST, 0, 0},
        {WZ_MOMENT_END, 0, 7},
        {WZ_MOMENT_OFFSET, 5, 5},
        {WZ_MOMENT_OFFSET, 99, 7},
        {WZ_MOMENT_TIME, 0, 0},
        {WZ_MOMENT_TIME, RAW_MS, 0},
        {WZ_MOMENT_TIME, RAW_MS + HOUR_MS / 2, 3},
        {WZ_MOMENT_TIME, RAW_MS + 2 * HOUR_MS, 7},
    };
    struct search search;

    rig_feed(rig, "in.a", 3);
    rig_settle(rig);
    wz_log_set_time(rig->logs[WZ_SCRIPT_RAW], RAW_MS + HOUR_MS);
    rig_feed(rig, "in.a", 4);
    rig_settle(rig);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        find(rig, cases[i].kind, cases[i].value, &search);
        assert_int_equal(search.raw, cases[i].offset);
        assert_int_equal(search.processed, 0); // there is nothing
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_beginning_is_found_on_each_stream, rig_setup,
                                        rig_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
