// SPDX-License-Identifier: Apache-2.0
// Random operations on a few queues, held against a naive model, with crashes: the disk is copied
// while the last operations have not been handed to it, and everything is opened from the copy. It
// must be what the model was when all was durable. The journal is small, so it is compacted all the
// while. Each seed is a test, so a failure names it.
#include "broker/queues.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "broker/testqueues_test.h"

#define SEEDS 10
#define ROUNDS 25
#define OPERATIONS 120
#define TAIL 12 // operations that a crash loses at the most
#define QUEUES 4
#define FILTERS 4
#define PACKETS 6 // identifiers of messages that came in

static const char *const names[QUEUES] = {"one", "two", "three", "four"};
static const char *const filters[FILTERS] = {"t/a", "t/b", "t/+", "#"};
static const char *const topics[] = {"t/a", "t/b", "t/c", "u"};
static const bool matches[4][FILTERS] = {
    {true, false, true, true},
    {false, true, true, true},
    {false, false, true, true},
    {false, false, false, true},
};

// A message that waits, or is with the consumer.
struct waiting {
    uint32_t number;
    uint16_t packet_id; // 0: it was never given
    uint8_t qos;
    bool released;
};

struct model_queue {
    int life;                // no two queues have the same; 0: there is none
    int qos[FILTERS];        // of its bindings; -1: none
    struct waiting *waiting; // in order
    size_t count;
    size_t cap;
    size_t next;               // of these, to be given
    int64_t received[PACKETS]; // offset, -1: none
    bool attached;
};

struct world {
    unsigned seed;
    struct testqueues t;
    struct testconsumer consumers[QUEUES];
    struct model_queue queues[QUEUES];
    struct model_queue saved[QUEUES]; // as they were when all was durable
    uint32_t last_number;
    int last_life;
    bool tail; // nothing may turn
};

static size_t up_to(size_t count) { return (size_t)random() % count; }

static struct wz_durable_queue *find(struct world *world, size_t i)
{
    return wz_queues_find(world->t.queues, wz_slice_str(names[i]));
}

static void model_copy(struct model_queue *to, const struct model_queue *from)
{
    struct waiting *waiting = to->waiting;
    size_t cap = to->cap;

    if (cap < from->count) {
        cap = from->count * 2;
        waiting = wz_realloc(waiting, cap * sizeof(*waiting));
    }
    *to = *from;
    to->waiting = waiting;
    to->cap = cap;
    for (size_t i = 0; i < from->count; i++)
        waiting[i] = from->waiting[i];
}

static void model_push(struct model_queue *queue, struct waiting waiting)
{
    if (queue->count == queue->cap) {
        queue->cap = queue->cap > 0 ? queue->cap * 2 : 16;
        queue->waiting = wz_realloc(queue->waiting, queue->cap * sizeof(*queue->waiting));
    }
    queue->waiting[queue->count++] = waiting;
}

static void model_remove(struct model_queue *queue, size_t at)
{
    queue->count--;
    queue->next--;
    for (size_t i = at; i < queue->count; i++)
        queue->waiting[i] = queue->waiting[i + 1];
}

static void publish(struct world *world)
{
    size_t topic = up_to(4);
    int qos = (int)up_to(3);
    uint32_t number = ++world->last_number;
    size_t len = !world->tail && random() % 12 == 0 ? 4 + up_to(9000) : 4 + up_to(200);

    testqueues_publish(&world->t, topics[topic], number, (unsigned)qos, len);
    for (size_t i = 0; i < QUEUES; i++) {
        struct model_queue *queue = &world->queues[i];
        int granted = -1;

        for (size_t filter = 0; queue->life > 0 && filter < FILTERS; filter++) {
            if (matches[topic][filter] && queue->qos[filter] > granted)
                granted = queue->qos[filter];
        }
        granted = granted < qos ? granted : qos;
        if (granted > 0)
            model_push(queue, (struct waiting){.number = number, .qos = (uint8_t)granted});
    }
}

static void declare(struct world *world, size_t i)
{
    struct model_queue *queue = &world->queues[i];

    queue->life = ++world->last_life;
    queue->count = 0;
    queue->next = 0;
    queue->attached = false;
    for (size_t filter = 0; filter < FILTERS; filter++)
        queue->qos[filter] = -1;
    for (size_t packet = 0; packet < PACKETS; packet++)
        queue->received[packet] = -1;
    (void)testqueues_queue(&world->t, names[i]);
}

static void delete_queue(struct world *world, size_t i)
{
    if (world->queues[i].attached)
        testconsumer_detach(&world->consumers[i], world->t.loop.now_ms);
    testqueues_begin(&world->t);
    wz_queues_delete(find(world, i));
    testqueues_end(&world->t);
    world->queues[i].life = 0;
}

static void change_binding(struct world *world, size_t i)
{
    size_t filter = up_to(FILTERS);
    int qos = (int)up_to(4) - 1;

    testqueues_begin(&world->t);
    if (qos < 0)
        wz_durable_queue_unbind(find(world, i), wz_slice_str(filters[filter]));
    else
        assert_int_equal(
            wz_durable_queue_bind(find(world, i), wz_slice_str(filters[filter]), (unsigned)qos),
            WZ_OK);
    testqueues_end(&world->t);
    world->queues[i].qos[filter] = qos;
}

static void attach(struct world *world, size_t i)
{
    testconsumer_attach(&world->consumers[i], find(world, i));
    world->queues[i].attached = true;
    world->queues[i].next = 0;
}

static void detach(struct world *world, size_t i)
{
    testconsumer_detach(&world->consumers[i], world->t.loop.now_ms);
    world->queues[i].attached = false;
    world->queues[i].next = 0;
}

// Holds a message that was given against the next of the model.
static void check_given(struct model_queue *queue, const struct wz_queued *queued)
{
    struct waiting *waiting = &queue->waiting[queue->next];

    assert_true(queue->next < queue->count);
    queue->next++;
    assert_int_equal(queued->qos, waiting->qos);
    assert_int_equal(queued->parcel == NULL, waiting->released);
    if (queued->parcel != NULL)
        assert_int_equal(testqueues_number(&queued->parcel->message), waiting->number);
    if (waiting->packet_id != 0) { // it was given before
        assert_int_equal(queued->packet_id, waiting->packet_id);
        assert_true(queued->dup);
    }
    waiting->packet_id = queued->packet_id;
    for (size_t i = 0; i + 1 < queue->next; i++)
        assert_int_not_equal(queue->waiting[i].packet_id, queued->packet_id);
}

static void take(struct world *world, size_t i)
{
    struct wz_queued queued;

    for (size_t count = up_to(20); count > 0; count--) {
        if (world->tail ? wz_durable_queue_next(world->consumers[i].queue, &queued) != WZ_OK
                        : !testconsumer_take(&world->t, &world->consumers[i], &queued)) {
            assert_true(world->tail || world->queues[i].next == world->queues[i].count);
            return;
        }
        check_given(&world->queues[i], &queued);
    }
}

static void settle(struct world *world, size_t i)
{
    struct model_queue *queue = &world->queues[i];

    for (size_t count = up_to(12); count > 0 && queue->next > 0; count--) {
        size_t at = random() % 3 == 0 ? up_to(queue->next) : 0;
        struct waiting *waiting = &queue->waiting[at];
        bool settles = waiting->qos == 1 || waiting->released;

        assert_int_equal(testconsumer_settle(&world->t, &world->consumers[i], waiting->packet_id,
                                             settles ? WZ_SETTLED : WZ_RELEASED),
                         WZ_OK);
        if (settles)
            model_remove(queue, at);
        else
            waiting->released = true;
    }
}

static void receive(struct world *world, size_t i)
{
    uint16_t packet = (uint16_t)up_to(PACKETS);
    int64_t *offset = &world->queues[i].received[packet];

    testqueues_begin(&world->t);
    if (*offset < 0)
        wz_queues_received(find(world, i), (uint16_t)(packet + 1), *offset = world->last_number);
    else
        wz_queues_forget_received(find(world, i), (uint16_t)(packet + 1));
    testqueues_end(&world->t);
    if (wz_received_get(&find(world, i)->received, (uint16_t)(packet + 1)) == NULL)
        *offset = -1;
}

static void operate(struct world *world)
{
    size_t i = up_to(QUEUES);
    struct model_queue *queue = &world->queues[i];
    long what = random() % 100;

    if (what < 45)
        publish(world);
    else if (what < 60 && !world->tail)
        testqueues_turn(&world->t);
    else if (queue->life == 0)
        declare(world, i);
    else if (what < 61)
        delete_queue(world, i);
    else if (what < 66)
        change_binding(world, i);
    else if (what < 70)
        receive(world, i);
    else if (!queue->attached)
        attach(world, i);
    else if (what < 73)
        detach(world, i);
    else if (what < 86)
        take(world, i);
    else
        settle(world, i);
}

static int64_t live_bytes(struct world *world)
{
    struct wz_journal_info info;

    wz_journal_info(world->t.journal, &info);
    return info.live_bytes;
}

// Holds everything against the model; each message is given once.
static void check(struct world *world)
{
    size_t messages = 0;
    size_t there = 0;

    for (size_t i = 0; i < QUEUES; i++) {
        struct model_queue *model = &world->queues[i];
        struct wz_durable_queue *queue = find(world, i);
        struct wz_queued queued;
        size_t bindings = 0;

        assert_int_equal(queue != NULL, model->life > 0);
        if (queue == NULL)
            continue;
        there++;
        messages += model->count;
        for (size_t filter = 0; filter < FILTERS; filter++)
            bindings += model->qos[filter] >= 0;
        assert_int_equal(queue->bindings.count, bindings);
        for (uint16_t packet = 0; packet < PACKETS; packet++) {
            const struct wz_received_message *message =
                wz_received_get(&queue->received, (uint16_t)(packet + 1));

            assert_int_equal(message != NULL ? message->offset : -1, model->received[packet]);
        }
        assert_int_equal(queue->count, model->count);
        attach(world, i);
        while (testconsumer_take(&world->t, &world->consumers[i], &queued))
            check_given(model, &queued);
        assert_int_equal(model->next, model->count);
        detach(world, i);
    }
    assert_int_equal(wz_queues_count(world->t.queues), there);
    assert_int_equal(testqueues_messages(&world->t), messages);
}

static void save(struct world *world)
{
    testqueues_rest(&world->t);
    for (size_t i = 0; i < QUEUES; i++)
        model_copy(&world->saved[i], &world->queues[i]);
}

// Back to what was saved; but identifiers that were given since hold on.
static void restore(struct world *world)
{
    for (size_t i = 0; i < QUEUES; i++) {
        struct model_queue *saved = &world->saved[i];
        const struct model_queue *queue = &world->queues[i];

        for (size_t a = 0; saved->life == queue->life && a < saved->count; a++) {
            for (size_t b = 0; b < queue->count; b++) {
                if (saved->waiting[a].number == queue->waiting[b].number)
                    saved->waiting[a].packet_id = queue->waiting[b].packet_id;
            }
        }
        saved->attached = false;
        saved->next = 0;
        model_copy(&world->queues[i], saved);
        wz_buf_release(&world->consumers[i].direct);
    }
}

static void crash(struct world *world)
{
    save(world);
    world->tail = true;
    for (size_t count = up_to(TAIL); count > 0; count--)
        operate(world);
    world->tail = false;
    testqueues_crash(&world->t);
    restore(world);
}

static void stop_and_start(struct world *world)
{
    int64_t live;

    for (size_t i = 0; i < QUEUES; i++) {
        if (world->queues[i].life > 0 && world->queues[i].attached)
            detach(world, i);
    }
    testqueues_rest(&world->t);
    live = live_bytes(world);
    testqueues_reopen(&world->t);
    assert_int_equal(live_bytes(world), live);
}

static void test_queues_are_what_the_model_is(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));
    struct wz_journal_info info;
    int64_t compactions = 0;

    world->seed = *(const unsigned *)*state;
    srandom(world->seed);
    testqueues_init(&world->t);
    world->t.journal_options.segment_bytes = 64 * 1024;
    world->t.journal_options.compact_bytes = 128 * 1024;
    testqueues_open(&world->t);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < OPERATIONS; i++)
            operate(world);
        wz_journal_info(world->t.journal, &info);
        compactions += info.compactions;
        if (random() % 3 > 0)
            crash(world);
        else
            stop_and_start(world);
        check(world);
    }
    assert_true(compactions > 0);
    for (size_t i = 0; i < QUEUES; i++) {
        wz_free(world->queues[i].waiting);
        wz_free(world->saved[i].waiting);
    }
    testqueues_close(&world->t);
    testqueues_release(&world->t);
    wz_free(world);
}

int main(void)
{
    static char titles[SEEDS][64];
    static unsigned seeds[SEEDS];
    struct CMUnitTest tests[SEEDS];

    for (unsigned i = 0; i < SEEDS; i++) {
        seeds[i] = i + 31;
        (void)snprintf(titles[i], sizeof(titles[i]), "test_queues_are_what_the_model_is, seed %u",
                       seeds[i]);
        tests[i] = (struct CMUnitTest){.name = titles[i],
                                       .test_func = test_queues_are_what_the_model_is,
                                       .initial_state = &seeds[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
