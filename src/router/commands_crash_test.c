// SPDX-License-Identifier: Apache-2.0
// Random commands and crashes at any point, held against a naive model: every command is got at
// least once, those of a topic first in their order, whatever is busy, behind, waiting or unwritten
// when it happens.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rand.h"
#include "bus/embedded.h"
#include "router/documents_test.h"
#include "router/testcommands_test.h"
#include "stream/reader.h"

#define TRIALS 20
#define STEPS 250
#define TOPICS 6

// What the model knows: which commands the device has, by a durable word or because nothing crashed
// since.
struct model {
    struct testcommands *t;
    uint64_t seed;
    bool there[TESTCOMMANDS_MAX]; // the command's record is on the stream
    bool has[TESTCOMMANDS_MAX];
    int last[TOPICS]; // the newest that the device has got for the first time
    int seen_count;   // of t->got
};

static int below(struct model *model, int limit)
{
    return (int)(next_random(&model->seed) % (uint64_t)limit);
}

// Takes over what was got since. A command that comes for the first time comes behind all others of
// its topic that came for the first time.
static void see(struct model *model)
{
    struct testcommands *t = model->t;

    for (; model->seen_count < t->got_count; model->seen_count++) {
        const struct testcommands_got *got = &t->got[model->seen_count];

        if (model->has[got->number])
            continue;
        model->has[got->number] = true;
        assert_true(got->number > model->last[got->topic]);
        model->last[got->topic] = got->number;
    }
}

// Which commands are on the stream: those that were not written when it crashed are gone, but
// scripts' are on their way there again.
static void look(struct model *model)
{
    struct testcommands *t = model->t;
    struct wz_reader_options options = {.position = 0};
    struct wz_reader *reader;
    struct wz_record record;
    int number = 0;

    memset(model->there, 0, sizeof(model->there));
    assert_int_equal(wz_reader_open(t->processed, &options, &reader), WZ_OK);
    while (wz_reader_next(reader, &record) == WZ_OK) {
        while (number < t->count && t->offsets[number] < record.offset)
            number++;
        if (number < t->count && t->offsets[number] == record.offset)
            model->there[number] = true;
    }
    wz_reader_close(reader);
}

// After a crash the device has what its journal has.
static void crash(struct model *model)
{
    struct testcommands *t = model->t;

    see(model);
    testcommands_crash(t);
    for (int i = 0; i < TOPICS; i++)
        model->last[i] = -1;
    look(model);
    for (int number = 0; number < t->count; number++) {
        model->has[number] = t->replayed[number];
        model->there[number] = model->there[number] || t->journaled[number]; // again, if need be
        if (model->has[number])
            model->last[t->topics[number]] = number;
    }
    // What was got before the first turn of the new life is to be seen as new.
    model->seen_count = t->got_count;
}

static bool has_all(const struct model *model)
{
    for (int number = 0; number < model->t->count; number++) {
        if (model->there[number] && !model->has[number])
            return false;
    }
    return true;
}

static void step(struct model *model)
{
    struct testcommands *t = model->t;
    int what = below(model, 100);

    if (what < 40)
        model->there[testcommands_add(t, below(model, TOPICS), 0)] = true;
    else if (what < 60)
        model->there[testcommands_add_journaled(t, below(model, TOPICS))] = true;
    else if (what < 65)
        testcommands_add_other(t, below(model, 2) == 0);
    else if (what < 90)
        testcommands_turn(t);
    else if (what < 93)
        testcommands_run_ms(t, below(model, 4));
    else if (what < 95)
        t->busy = !t->busy;
    else if (what < 97)
        testcommands_map(t, below(model, 2) == 0);
    else if (what < 98)
        t->held = !t->held;
    else if (what < 99)
        wz_commands_put_position(t->commands);
    else
        crash(model);
    if (!t->busy)
        wz_bus_durable(t->bus);
    see(model);
}

static void finish(struct model *model)
{
    struct testcommands *t = model->t;

    t->busy = false;
    t->held = false;
    wz_bus_durable(t->bus);
    for (int i = 0; i < 2000 && !has_all(model); i++) {
        testcommands_run_ms(t, 5);
        see(model);
    }
    for (int number = 0; number < t->count; number++) {
        if (model->there[number] && !model->has[number])
            fail_msg("command %d of topic %d at %lld was skipped", number, t->topics[number],
                     (long long)t->offsets[number]);
    }
}

static void run_trial(uint64_t seed)
{
    static const int64_t rates[] = {20, 100, 100000};
    struct testcommands *t = wz_alloc(sizeof(*t));
    struct model *model = wz_zalloc(1, sizeof(*model));

    *model = (struct model){.t = t, .seed = seed};
    for (int i = 0; i < TOPICS; i++)
        model->last[i] = -1;
    testcommands_init(t);
    t->options.rate = rates[below(model, 3)];
    t->options.memory_bytes = below(model, 2) == 0 ? 1000 : 0;
    t->options.max_topics = below(model, 4) == 0 ? 3 : 0;
    testcommands_open(t);
    for (int i = 0; i < STEPS; i++)
        step(model);
    crash(model);
    finish(model);
    testcommands_close(t);
    testcommands_release(t);
    wz_free(model);
    wz_free(t);
}

static void test_commands_reach_the_device_through_crashes(void **state)
{
    const char *given = getenv("WZ_SEED");
    uint64_t first = given != NULL ? strtoull(given, NULL, 0) : wz_rand_u64();

    (void)state;
    for (uint64_t i = 0; i < (given != NULL ? 1 : TRIALS); i++) {
        print_message("WZ_SEED=%llu\n", (unsigned long long)(first + i));
        run_trial(first + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_reach_the_device_through_crashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
