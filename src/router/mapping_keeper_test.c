// SPDX-License-Identifier: Apache-2.0
#include "router/mapping_keeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/rand.h"
#include "router/documents_test.h"

// A store whose mappings are kept, and what came of the last change.
struct world {
    char folder[40];
    char path[64];
    struct wz_store *store;
    struct wz_mapping_keeper keeper;
    struct wz_mapping *mapping; // in force
    struct wz_mapping *whole;   // made of all documents, for the last change that was looked at
    int whole_result;
    int rebuilt; // changes whose mapping was made from the one before
};

// Store thread, as all that follows up to the tests.

static int on_check(void *arg, struct wz_store_view *view, struct wz_problem *ret_problem)
{
    struct world *world = arg;
    size_t count;
    int r;

    wz_mapping_unref(world->whole);
    world->whole = NULL;
    world->whole_result = wz_mapping_build(view, &world->whole, NULL);
    world->rebuilt += world->keeper.newest != NULL && wz_store_view_changes(view, &count) != NULL;
    r = wz_mapping_keeper_check(&world->keeper, view, ret_problem);
    assert_int_equal(r, world->whole_result);
    return r;
}

static void on_changed(void *arg, struct wz_store_view *view, unsigned changed)
{
    struct world *world = arg;

    if ((changed & WZ_MAPPING_COLLECTIONS) == 0)
        return;
    wz_mapping_unref(world->mapping);
    world->mapping = NULL;
    if (wz_mapping_keeper_take(&world->keeper, view, &world->mapping, NULL) < 0)
        world->mapping = NULL;
}

static void open_world(struct world *world)
{
    struct wz_store_options options = {
        .check = on_check, .changed = on_changed, .arg = world, .poll_ms = 3600000};

    *world = (struct world){.folder = "/tmp/wyze-keeper-test-XXXXXX"};
    assert_non_null(mkdtemp(world->folder));
    (void)snprintf(world->path, sizeof(world->path), "%s/store.db", world->folder);
    assert_int_equal(wz_store_open(world->path, &options, &world->store, NULL), WZ_OK);
}

static void close_world(struct world *world)
{
    wz_store_close(world->store);
    wz_mapping_keeper_release(&world->keeper);
    wz_mapping_unref(world->mapping);
    wz_mapping_unref(world->whole);
    assert_int_equal(wz_fs_remove(world->path), WZ_OK);
    assert_int_equal(rmdir(world->folder), 0);
}

// BODY NULL removes.
static int change(struct world *world, enum wz_collection collection, const char *name,
                  const char *body)
{
    json_t *document = body != NULL ? json_loads(body, 0, NULL) : NULL;
    struct wz_store_call call = {
        .op = body != NULL ? WZ_STORE_PUT : WZ_STORE_DELETE,
        .collection = collection,
        .name = name,
        .body = document,
        .expected_revision = WZ_REVISION_ANY,
    };
    int r;

    assert_true((body == NULL) == (document == NULL));
    r = wz_store_do(world->store, &call);
    json_decref(document);
    return r;
}

static void assert_topic(const struct wz_mapping *mapping, const char *physical, const char *topic)
{
    struct wz_translation translation;
    enum wz_outcome outcome = wz_mapping_in(mapping, wz_slice_str(physical), &translation);

    if (topic == NULL) {
        assert_int_not_equal(outcome, WZ_OUTCOME_MAPPED);
        return;
    }
    assert_int_equal(outcome, WZ_OUTCOME_MAPPED);
    assert_int_equal(translation.topic_len, strlen(topic));
    assert_memory_equal(translation.topic, topic, strlen(topic));
}

static void test_mapping_keeper_follows_each_change(void **state)
{
    struct world world;
    (void)state;

    open_world(&world);
    assert_int_equal(change(&world, WZ_COLLECTION_DEVICES, "a", "{\"route\":\"r\"}"), WZ_OK);
    assert_topic(world.mapping, "a/M/status", "r.M");
    assert_int_equal(change(&world, WZ_COLLECTION_SUBTOPICS, "M", "{\"channel\":\"m\"}"), WZ_OK);
    assert_topic(world.mapping, "a/M/status", "r.m");
    assert_int_equal(change(&world, WZ_COLLECTION_DEVICES, "b", "{\"route\":\"r\"}"),
                     WZ_ERR_INVALID);
    assert_topic(world.mapping, "b/status", NULL);
    assert_int_equal(
        change(&world, WZ_COLLECTION_DEVICES, "b", "{\"route\":\"s\",\"input\":\"in\"}"), WZ_OK);
    assert_topic(world.mapping, "b/M/in", "s.m");
    assert_int_equal(change(&world, WZ_COLLECTION_TEMPLATES, "t", "{\"input\":\"x\"}"), WZ_OK);
    assert_int_equal(
        change(&world, WZ_COLLECTION_DEVICES, "a", "{\"route\":\"r\",\"template\":\"t\"}"), WZ_OK);
    assert_topic(world.mapping, "a/M/status", NULL);
    assert_topic(world.mapping, "a/M/x", "r.m");
    assert_topic(world.mapping, "b/M/in", "s.m"); // it has members of its own, still
    assert_int_equal(change(&world, WZ_COLLECTION_TEMPLATES, "t", NULL), WZ_ERR_INVALID);
    assert_int_equal(change(&world, WZ_COLLECTION_TEMPLATES, "t", "{\"input\":\"y\"}"), WZ_OK);
    assert_topic(world.mapping, "a/M/y", "r.m");
    assert_int_equal(change(&world, WZ_COLLECTION_DEVICES, "a", NULL), WZ_OK);
    assert_topic(world.mapping, "a/M/y", NULL);
    assert_int_equal(change(&world, WZ_COLLECTION_DEVICES, "m/{x}", "{\"route\":\"q.{x}\"}"),
                     WZ_OK);
    assert_int_equal(change(&world, WZ_COLLECTION_DEVICES, "c", "{\"route\":\"p\"}"), WZ_OK);
    assert_topic(world.mapping, "m/1/status", "q.1");
    assert_int_equal(change(&world, WZ_COLLECTION_DEVICES, "m/{x}", NULL), WZ_OK);
    assert_topic(world.mapping, "m/1/status", NULL);
    assert_true(world.rebuilt > 10);
    close_world(&world);
}

// Devices with members of their own are read again at each change, and their template may be ready.
static void test_mapping_keeper_follows_ready_templates(void **state)
{
    struct world world;
    char text[128];
    (void)state;

    open_world(&world);
    for (int i = 0; i < 40; i++) {
        char id[16];

        (void)snprintf(id, sizeof(id), "p%d", i);
        (void)snprintf(text, sizeof(text),
                       "{\"route\":\"r%d\",\"template\":\"%s\",\"channels\":{\"S\":\"s%d\"}}", i,
                       i % 2 == 0 ? "tasmota" : "plain", i);
        assert_int_equal(change(&world, WZ_COLLECTION_DEVICES, id, text), WZ_OK);
    }
    for (int i = 0; i < 40; i++) {
        char topic[16];

        (void)snprintf(text, sizeof(text), i % 2 == 0 ? "tele/p%d/S" : "p%d/S", i);
        (void)snprintf(topic, sizeof(topic), "r%d.s%d", i, i);
        assert_topic(world.mapping, text, topic);
    }
    close_world(&world);
}

// Another process has changed the file: what was kept is not what the next change is made to.
static void test_mapping_keeper_sees_changes_of_another_process(void **state)
{
    struct world world;
    struct wz_store *other;
    struct wz_store_options options = {0};
    json_t *body = json_pack("{s:s}", "route", "r");
    struct wz_store_call call = {.op = WZ_STORE_PUT,
                                 .collection = WZ_COLLECTION_DEVICES,
                                 .name = "a",
                                 .body = body,
                                 .expected_revision = WZ_REVISION_ANY};
    (void)state;

    open_world(&world);
    assert_int_equal(change(&world, WZ_COLLECTION_DEVICES, "b", "{\"route\":\"s\"}"), WZ_OK);
    assert_int_equal(wz_store_open(world.path, &options, &other, NULL), WZ_OK);
    assert_int_equal(wz_store_do(other, &call), WZ_OK);
    wz_store_close(other);
    json_decref(body);
    assert_int_equal(change(&world, WZ_COLLECTION_DEVICES, "c", "{\"route\":\"r\"}"),
                     WZ_ERR_INVALID);
    assert_int_equal(change(&world, WZ_COLLECTION_DEVICES, "c", "{\"route\":\"t\"}"), WZ_OK);
    assert_topic(world.mapping, "a/status", "r");
    assert_topic(world.mapping, "b/status", "s");
    assert_topic(world.mapping, "c/status", "t");
    close_world(&world);
}

static void random_change(struct world *world, uint64_t *seed)
{
    static const char *const ids[] = {"a", "a/b", "b", "{x}/c", "c/{y}"};
    static const char *const routes[] = {"r", "r.s", "s", "{x}.t", "u.{y}"};
    static const char *const ends[] = {"}",
                                       "}",
                                       ",\"template\":\"t\"}",
                                       ",\"input\":\"in\"}",
                                       ",\"channels\":{\"M\":\"z\"}}",
                                       ",\"template\":\"plain\"}",
                                       ",\"template\":\"plain\",\"channels\":{\"N\":\"y\"}}"};
    static const char *const subtopics[] = {"M", "N"};
    static const char *const channels[] = {"m", "n", "s"};
    static const char *const templates[] = {"{}", "{\"input\":\"x\"}",
                                            "{\"channels\":{\"N\":\"k\"}}"};
    char body[128];
    bool removes = next_random(seed) % 4 == 0;

    switch (next_random(seed) % 6) {
    case 0:
        (void)snprintf(body, sizeof(body), "{\"channel\":\"%s\"}", channels[next_random(seed) % 3]);
        (void)change(world, WZ_COLLECTION_SUBTOPICS, subtopics[next_random(seed) % 2],
                     removes ? NULL : body);
        break;
    case 1:
        (void)change(world, WZ_COLLECTION_TEMPLATES, "t",
                     removes ? NULL : templates[next_random(seed) % 3]);
        break;
    default:
        (void)snprintf(body, sizeof(body), "{\"route\":\"%s\"%s", routes[next_random(seed) % 5],
                       ends[next_random(seed) % 7]);
        (void)change(world, WZ_COLLECTION_DEVICES, ids[next_random(seed) % 5],
                     removes ? NULL : body);
    }
}

// Both say the same of a topic, by the devices' ids.
static void compare(const struct wz_mapping *kept, const struct wz_mapping *whole,
                    const char *physical)
{
    struct wz_translation one;
    struct wz_translation other;
    enum wz_outcome outcome = wz_mapping_in(kept, wz_slice_str(physical), &one);

    assert_int_equal(outcome, wz_mapping_in(whole, wz_slice_str(physical), &other));
    if (outcome != WZ_OUTCOME_MAPPED)
        return;
    assert_int_equal(one.topic_len, other.topic_len);
    assert_memory_equal(one.topic, other.topic, one.topic_len);
    assert_true(wz_slice_eq(wz_mapping_device_id(kept, one.device),
                            wz_mapping_device_id(whole, other.device)));
}

static void test_mapping_keeper_agrees_with_a_mapping_of_all_documents(void **state)
{
    static const char *const fronts[] = {"a", "a/b", "b", "q/c", "c/q", "c/c"};
    static const char *const backs[] = {"/status",  "/M/status", "/N/x", "/N/in",
                                        "/command", "/z/in",     "/N",   "/N/set"};
    struct world world;
    uint64_t seed = wz_rand_u64();
    int accepted = 0;
    (void)state;

    print_message("seed %llu\n", (unsigned long long)seed);
    open_world(&world);
    for (int i = 0; i < 1000; i++) {
        char physical[32];

        random_change(&world, &seed);
        if (world.whole == NULL)
            continue; // refused by both
        accepted++;
        for (size_t f = 0; f < 6; f++)
            for (size_t b = 0; b < 8; b++) {
                (void)snprintf(physical, sizeof(physical), "%s%s", fronts[f], backs[b]);
                compare(world.mapping, world.whole, physical);
            }
    }
    assert_in_range(accepted, 100, 1000);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping_keeper_follows_each_change),
        cmocka_unit_test(test_mapping_keeper_follows_ready_templates),
        cmocka_unit_test(test_mapping_keeper_sees_changes_of_another_process),
        cmocka_unit_test(test_mapping_keeper_agrees_with_a_mapping_of_all_documents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
