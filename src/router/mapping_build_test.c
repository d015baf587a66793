// SPDX-License-Identifier: Apache-2.0
#include "router/mapping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <malloc.h>

#include "base/codes.h"
#include "base/fs.h"
#include "router/documents_test.h"

// A mapping of one to three documents, and what is said of it.
struct refusal {
    const char *devices[2][2];
    const char *subtopics[2][2];
    const char *types[2][2];
    int code; // 0: it is fine
    const char *where;
};

static const struct refusal refusals[] = {
    {.devices = {{"mesh/b5ea3f/42", "bedroom.light"}, {"mesh/b5ea3f", "bedroom"}}},
    {.devices = {{"a b", "\xc3\xa4 \xc3\xb6"}, {"x.y", "x"}}},
    {.devices = {{"a", "r"}, {"b", "r"}},
     .code = WZ_CODE_MAPPING_ROUTE_TAKEN,
     .where = "devices/b"},
    {.devices = {{"a", "a/b"}}, .code = WZ_CODE_MAPPING_ROUTE, .where = "devices/a"},
    {.devices = {{"a", "a.*"}}, .code = WZ_CODE_MAPPING_ROUTE, .where = "devices/a"},
    {.devices = {{"a", "#"}}, .code = WZ_CODE_MAPPING_ROUTE, .where = "devices/a"},
    {.devices = {{"a", ""}}, .code = WZ_CODE_MAPPING_ROUTE, .where = "devices/a"},
    {.devices = {{"a", "a..b"}}, .code = WZ_CODE_MAPPING_ROUTE, .where = "devices/a"},
    {.devices = {{"a", ".b"}}, .code = WZ_CODE_MAPPING_ROUTE, .where = "devices/a"},
    {.devices = {{"a", "b."}}, .code = WZ_CODE_MAPPING_ROUTE, .where = "devices/a"},
    {.devices = {{"a", "b\n"}}, .code = WZ_CODE_MAPPING_ROUTE, .where = "devices/a"},
    {.devices = {{"a", "b.output"}}, .code = WZ_CODE_MAPPING_OUTPUT_WORD, .where = "devices/a"},
    {.devices = {{"a", "output.b"}}, .code = WZ_CODE_MAPPING_OUTPUT_WORD, .where = "devices/a"},
    {.devices = {{"a", "outputs"}}},
    {.devices = {{"a/+", "b"}}, .code = WZ_CODE_MAPPING_DEVICE, .where = "devices/a/+"},
    {.devices = {{"a#", "b"}}, .code = WZ_CODE_MAPPING_DEVICE, .where = "devices/a#"},
    {.devices = {{"/a", "b"}}, .code = WZ_CODE_MAPPING_DEVICE, .where = "devices//a"},
    {.devices = {{"a/", "b"}}, .code = WZ_CODE_MAPPING_DEVICE, .where = "devices/a/"},
    {.devices = {{"a//b", "b"}}, .code = WZ_CODE_MAPPING_DEVICE, .where = "devices/a//b"},
    {.devices = {{"$SYS", "b"}}, .code = WZ_CODE_MAPPING_DEVICE, .where = "devices/$SYS"},
    {.subtopics = {{"M", "m"}, {"N", "m"}},
     .code = WZ_CODE_MAPPING_CHANNEL_TAKEN,
     .where = "subtopics/N"},
    {.subtopics = {{"M", "a.output"}}, .code = WZ_CODE_MAPPING_OUTPUT_WORD, .where = "subtopics/M"},
    {.subtopics = {{"M", "a/b"}}, .code = WZ_CODE_MAPPING_CHANNEL, .where = "subtopics/M"},
    {.subtopics = {{"M", ""}}, .code = WZ_CODE_MAPPING_CHANNEL, .where = "subtopics/M"},
    {.subtopics = {{"M/+", "a"}}, .code = WZ_CODE_MAPPING_SUBTOPIC, .where = "subtopics/M/+"},
    {.subtopics = {{"M/N", "a.b"}, {"a.b", "c"}}},
    {.devices = {{"a", "r"}, {"b", "r.m"}},
     .subtopics = {{"M", "m"}},
     .code = WZ_CODE_MAPPING_OVERLAP,
     .where = "devices/b"},
    {.devices = {{"a", "r"}, {"b", "r.m.n"}},
     .subtopics = {{"M", "m.n"}, {"L", "m-n"}},
     .code = WZ_CODE_MAPPING_OVERLAP,
     .where = "devices/b"},
    {.devices = {{"a", "r"}, {"b", "r.m"}},
     .subtopics = {{"M", "m.n"}, {"L", "m-n"}},
     .code = WZ_CODE_MAPPING_OVERLAP,
     .where = "devices/b"},
    {.devices = {{"a", "r"}, {"b", "r.m.n"}}, .subtopics = {{"M", "m"}}},
    {.devices = {{"a", "r"}, {"b", "r.m"}}, .subtopics = {{"M", "mm"}}},
    {.devices = {{"a", "r"}, {"b", "rr.m"}}, .subtopics = {{"M", "m"}}},
    {.devices = {{"b", "r.m"}}, .subtopics = {{"M", "m"}}},
    {.types = {{"input", "x"}, {"output", "x"}},
     .code = WZ_CODE_MAPPING_TYPES_EQUAL,
     .where = "types/input"},
    {.types = {{"input", "command"}}, .code = WZ_CODE_MAPPING_TYPES_EQUAL, .where = "types/input"},
    {.types = {{"input", "command"}, {"output", "status"}}},
    {.types = {{"input", "a/b"}}, .code = WZ_CODE_MAPPING_TYPE, .where = "types/input"},
    {.types = {{"input", ""}}, .code = WZ_CODE_MAPPING_TYPE, .where = "types/input"},
    {.types = {{"output", "+"}}, .code = WZ_CODE_MAPPING_TYPE, .where = "types/output"},
    {.types = {{"inputs", "x"}}, .code = WZ_CODE_MAPPING_TYPE, .where = "types/inputs"},
};

static void test_mapping_compile_refuses_what_breaks_a_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal *refusal = &refusals[i];
        struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
        struct wz_problem problem = {0};
        struct wz_mapping *mapping = NULL;

        for (size_t j = 0; j < 2; j++) {
            if (refusal->devices[j][0] != NULL)
                add_device(lists, refusal->devices[j][0], refusal->devices[j][1]);
            if (refusal->subtopics[j][0] != NULL)
                add_subtopic(lists, refusal->subtopics[j][0], refusal->subtopics[j][1]);
            if (refusal->types[j][0] != NULL)
                add_type(lists, refusal->types[j][0], refusal->types[j][1]);
        }
        assert_int_equal(wz_mapping_compile(lists, &mapping, &problem),
                         refusal->code == 0 ? WZ_OK : WZ_ERR_INVALID);
        print_message("%zu: %s | %s | %s\n", i, problem.what, problem.where, problem.fix);
        assert_int_equal(problem.code, refusal->code);
        if (refusal->code != 0)
            assert_string_equal(problem.where, refusal->where);
        wz_mapping_unref(mapping);
        release_documents(lists);
    }
}

static void test_mapping_compile_refuses_members_that_it_does_not_know(void **state)
{
    static const struct {
        const char *body;
        const char *what;
    } vectors[] = {
        {"{\"route\":\"r\",\"temperature\":\"t\"}", "There is no member \"temperature\"."},
        {"{\"rout\":\"r\"}", "There is no member \"rout\"."},
        {"{}", "The member \"route\" is missing or not a text."},
        {"{\"route\":1}", "The member \"route\" is missing or not a text."},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
        struct wz_problem problem = {0};
        struct wz_mapping *mapping = NULL;

        add_document(&lists[WZ_COLLECTION_DEVICES], "a", NULL, NULL);
        json_decref(lists[WZ_COLLECTION_DEVICES].items[0].body);
        lists[WZ_COLLECTION_DEVICES].items[0].body = json_loads(vectors[i].body, 0, NULL);
        assert_int_equal(wz_mapping_compile(lists, &mapping, &problem), WZ_ERR_INVALID);
        assert_int_equal(problem.code, WZ_CODE_MAPPING_MEMBER);
        assert_string_equal(problem.what, vectors[i].what);
        assert_string_equal(problem.where, "devices/a");
        release_documents(lists);
    }
}

static void test_mapping_compile_refuses_a_route_that_is_too_long(void **state)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_problem problem = {0};
    struct wz_mapping *mapping = NULL;
    char route[WZ_TOPIC_MAX + 2];
    (void)state;

    memset(route, 'r', sizeof(route));
    route[WZ_TOPIC_MAX] = '\0';
    add_device(lists, "a", route);
    assert_int_equal(wz_mapping_compile(lists, &mapping, &problem), WZ_OK);
    wz_mapping_unref(mapping);
    route[WZ_TOPIC_MAX] = 'r';
    route[WZ_TOPIC_MAX + 1] = '\0';
    add_device(lists, "b", route);
    assert_int_equal(wz_mapping_compile(lists, &mapping, &problem), WZ_ERR_INVALID);
    assert_int_equal(problem.code, WZ_CODE_MAPPING_ROUTE);
    release_documents(lists);
}

static int check_mapping(void *arg, struct wz_store_view *view, struct wz_problem *ret_problem)
{
    struct wz_mapping **mapping = arg;
    struct wz_mapping *built = NULL;
    int r = wz_mapping_build(view, &built, ret_problem);

    if (r < 0)
        return r;
    wz_mapping_unref(*mapping);
    *mapping = built;
    return WZ_OK;
}

static int put_device(struct wz_store *store, const char *id, const char *route,
                      struct wz_store_call *ret_call)
{
    json_t *body = json_pack("{s:s}", "route", route);
    int r;

    *ret_call = (struct wz_store_call){.op = WZ_STORE_PUT,
                                       .collection = WZ_COLLECTION_DEVICES,
                                       .name = id,
                                       .body = body,
                                       .expected_revision = WZ_REVISION_ANY};
    r = wz_store_do(store, ret_call);
    json_decref(body);
    return r;
}

static void test_mapping_build_checks_what_a_store_is_about_to_save(void **state)
{
    char folder[] = "/tmp/wyze-mapping-test-XXXXXX";
    char path[64];
    struct wz_mapping *mapping = NULL;
    struct wz_store_options options = {.check = check_mapping, .arg = &mapping};
    struct wz_store_call call;
    struct wz_store *store = NULL;
    (void)state;

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/store.db", folder);
    assert_int_equal(wz_store_open(path, &options, &store, NULL), WZ_OK);
    assert_int_equal(put_device(store, "a", "r", &call), WZ_OK);
    assert_int_equal(put_device(store, "b", "r", &call), WZ_ERR_INVALID);
    assert_int_equal(call.problem.code, WZ_CODE_MAPPING_ROUTE_TAKEN);
    assert_true(wz_slice_eq(wz_mapping_device_id(mapping, 0), WZ_SLICE_LIT("a")));
    wz_store_close(store);
    wz_mapping_unref(mapping);
    assert_int_equal(wz_fs_remove(path), WZ_OK);
    assert_int_equal(rmdir(folder), 0);
}

// What a mapping of COUNT devices takes: the microseconds of this process to compile it, and its
// bytes.
struct cost {
    int64_t cpu_us;
    size_t bytes;
};

static int64_t cpu_us(void)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct cost cost_of(int count)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_document_list *list = &lists[WZ_COLLECTION_DEVICES];
    struct wz_mapping *mapping = NULL;
    struct cost cost;

    add_subtopic(lists, "M", "brightness");
    list->items = wz_zalloc((size_t)count, sizeof(list->items[0]));
    for (int i = 0; i < count; i++) {
        char name[64];
        char route[64];

        (void)snprintf(name, sizeof(name), "mesh/b5ea3f/%06d", i);
        (void)snprintf(route, sizeof(route), "site%d.floor%d.lamp%d", i % 10, i % 100, i);
        list->items[list->count++] = (struct wz_document){
            .name = wz_strdup(name), .body = json_pack("{s:s}", "route", route)};
    }
    cost.bytes = mallinfo2().uordblks + mallinfo2().hblkhd;
    cost.cpu_us = cpu_us();
    assert_int_equal(wz_mapping_compile(lists, &mapping, NULL), WZ_OK);
    cost.cpu_us = cpu_us() - cost.cpu_us;
    cost.bytes = mallinfo2().uordblks + mallinfo2().hblkhd - cost.bytes;
    print_message("%d devices: %lld us, %zu bytes a device\n", count, (long long)cost.cpu_us,
                  cost.bytes / (size_t)count);
    wz_mapping_unref(mapping);
    release_documents(lists);
    return cost;
}

// How long it takes says bench/; here, that it does not grow with the square: machines differ, and
// builds that check memory do, too.
static void test_mapping_compile_of_many_devices_grows_with_them_and_is_small(void **state)
{
    enum { FEW = 10000, MANY = 100000 };
    struct cost few = cost_of(FEW);
    struct cost many = cost_of(MANY);

    (void)state;
    for (int i = 0; i < 2; i++) {
        int64_t again_us = cost_of(FEW).cpu_us;

        if (few.cpu_us < again_us)
            few.cpu_us = again_us;
    }
    assert_true(many.bytes < (size_t)MANY * 300);
    assert_true(many.cpu_us < few.cpu_us * 40); // 10 to 20 times; 100 times with the square
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping_compile_refuses_what_breaks_a_rule),
        cmocka_unit_test(test_mapping_compile_refuses_members_that_it_does_not_know),
        cmocka_unit_test(test_mapping_compile_refuses_a_route_that_is_too_long),
        cmocka_unit_test(test_mapping_build_checks_what_a_store_is_about_to_save),
        cmocka_unit_test(test_mapping_compile_of_many_devices_grows_with_them_and_is_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
