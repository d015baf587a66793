// SPDX-License-Identifier: Apache-2.0
// What the context does and refuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "worker/peer_test.h"

static void test_context_runs_a_valid_script(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item item;

    peer_start_script(peer, "def init(context):\n"
                            "    context.config['n'] = 1\n"
                            "def handle_input(msg, context):\n"
                            "    context.emit('a.' + context.config['room'],\n"
                            "                 {'v': msg['value'] * 2, 'n': context.config['n'],\n"
                            "                  's': context.script, 't': context.now()}, False)\n");
    peer_send_batch(peer, 7, 1, "{\"value\":21}");
    result = peer_expect_result(peer, 7);
    assert_int_equal(result.status, WZ_FRAME_OK);
    assert_int_equal(result.item_count, 1);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    assert_int_equal(item.kind, WZ_FRAME_ITEM_EMIT);
    assert_false(item.persistent);
    peer_assert_text(item.topic, "a.kitchen");
    peer_assert_text(item.body, "{\"v\":42,\"n\":1,\"s\":\"test\",\"t\":1770000000.123}");
    peer_send_empty(peer, WZ_FRAME_DRAIN);
    peer_assert_result(peer_expect(peer, WZ_FRAME_DRAINED), "");
    assert_int_equal(peer_wait_exit(peer), 0);
}

// What a script does with the LimitError: the call fails by it all the same.
static const char *const limit_scripts[] = {
    "        context.emit('t', 'x' * msg['len'])\n",
    "        try: context.emit('t', 'x' * msg['len'])\n        except Exception: pass\n",
    ("        try: context.emit('t', 'x' * msg['len'])\n"
     "        except wyze.LimitError as error: raise KeyError('other') from None\n"),
};

static void test_context_limits_the_outputs_of_one_message(void **state)
{
    for (size_t i = 0; i < sizeof(limit_scripts) / sizeof(limit_scripts[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf code = {0};
        struct wz_frame_record record = {.stream = 1, .topic = WZ_SLICE_LIT("t")};
        struct wz_frame_result result;
        struct wz_frame_item item;

        wz_buf_addf(&code,
                    "import wyze\ndef handle_input(msg, context):\n"
                    "    for i in range(msg['n']):\n%s",
                    limit_scripts[i]);
        peer_start_script(*state, wz_buf_str(&code));
        record.body = WZ_SLICE_LIT("{\"n\":10000,\"len\":1}");
        peer_send_records(*state, &record, 1);
        result = peer_expect_result(*state, 0);
        assert_int_equal(result.item_count, 10000);
        record.body = WZ_SLICE_LIT("{\"n\":10001,\"len\":1}");
        record.lane = 1;
        record.offset = 1;
        peer_send_records(*state, &record, 1);
        item = peer_expect_status(*state, 1, WZ_FRAME_REFUSED);
        peer_assert_contains(item.body, i < 2 ? "wyze.LimitError: one message may cause at most "
                                                "10000 outputs"
                                              : "KeyError: 'other'");
        record.body = WZ_SLICE_LIT("{\"n\":17,\"len\":1000000}");
        record.lane = 2;
        record.offset = 2;
        peer_send_records(*state, &record, 1);
        item = peer_expect_status(*state, 2, WZ_FRAME_REFUSED);
        if (i < 2)
            peer_assert_contains(item.body, "one message may cause at most 16777216 bytes");
        peer_teardown(state);
        assert_int_equal(peer_setup(state), 0);
    }
}

static void test_context_refuses_the_seventeenth_output_in_a_row(void **state)
{
    struct wz_frame_record record = {
        .stream = 1, .hops = 15, .topic = WZ_SLICE_LIT("t"), .body = WZ_SLICE_LIT("{}")};
    struct wz_frame_item item;

    peer_start_script(*state, "def handle_input(msg, context):\n    context.emit('t', 1)\n");
    peer_send_records(*state, &record, 1);
    peer_expect_status(*state, 0, WZ_FRAME_OK);
    record.hops = 16;
    record.offset = 1;
    peer_send_records(*state, &record, 1);
    item = peer_expect_status(*state, 1, WZ_FRAME_REFUSED);
    peer_assert_contains(item.body,
                         "LimitError: it would be the 17th output of an output in a row");
}

static void test_context_terminates_when_the_call_has_ended_well(void **state)
{
    struct peer *peer = *state;

    peer_start_script(peer, "def handle_input(msg, context):\n"
                            "    context.terminate('enough')\n"
                            "    context.set_state('k', 1)\n"
                            "    context.emit('t', 1)\n"
                            "    if msg['bad']: raise OSError('no')\n"
                            "def stop(context):\n    context.emit('bye', 1)\n");
    peer_send_batch(peer, 1, 1, "{\"bad\":true}");
    peer_expect_status(peer, 1, WZ_FRAME_EXCEPTION);
    {
        struct wz_frame_record records[] = {
            {.stream = 1,
             .lane = 4,
             .topic = WZ_SLICE_LIT("t"),
             .body = WZ_SLICE_LIT("{\"bad\":0}")},
            {.stream = 1,
             .lane = 5,
             .topic = WZ_SLICE_LIT("t"),
             .body = WZ_SLICE_LIT("{\"bad\":0}")},
        };

        peer_send_records(peer, &records[0], 1);
        peer_assert_result(peer_expect(peer, WZ_FRAME_RESULT), "t 1\n! enough\n64 k 1");
        records[1].opens = true;
        peer_send_records(peer, &records[1], 1);
    }
    peer_expect_status(peer, 0, WZ_FRAME_DEFERRED);
    peer_send_empty(peer, WZ_FRAME_DRAIN);
    peer_assert_result(peer_expect(peer, WZ_FRAME_DRAINED), "bye 1");
    assert_int_equal(peer_wait_exit(peer), 0);
}

// Holds the stub, which is its input, against the types that the process really has.
static const char stub_code[] =
    "import ast, inspect, wyze\n"
    "def real_shape(function):\n"
    "    return [(p.name, None if p.default is p.empty else repr(p.default))\n"
    "            for p in inspect.signature(function).parameters.values()]\n"
    "def stub_shape(node):\n"
    "    names = [a.arg for a in node.args.args]\n"
    "    values = [ast.unparse(d) for d in node.args.defaults]\n"
    "    return [*zip(names, [None] * (len(names) - len(values)) + values)]\n"
    "def real_members(kind):\n"
    "    return {name: ('attribute' if inspect.isgetsetdescriptor(value) else real_shape(value),\n"
    "                   inspect.getdoc(value))\n"
    "            for name, value in vars(kind).items() if not name.startswith('_')}\n"
    "def stub_members(node):\n"
    "    return {f.name: ('attribute' if f.decorator_list else stub_shape(f),\n"
    "                     ast.get_docstring(f))\n"
    "            for f in node.body if isinstance(f, ast.FunctionDef)}\n"
    "def handle_input(msg, context):\n"
    "    tree = ast.parse(msg['stub'])\n"
    "    kinds = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}\n"
    "    assert set(kinds) == {n for n in vars(wyze) if not n.startswith('_')}, set(kinds)\n"
    "    assert ast.get_docstring(tree) == wyze.__doc__\n"
    "    for name, node in kinds.items():\n"
    "        kind = getattr(wyze, name)\n"
    "        assert ast.get_docstring(node) == inspect.getdoc(kind), name\n"
    "        assert [ast.unparse(b) for b in node.bases] == [\n"
    "            b.__name__ for b in kind.__bases__ if b is not object], name\n"
    "    real, stub = real_members(wyze.Context), stub_members(kinds['Context'])\n"
    "    assert set(real) == set(stub), set(real) ^ set(stub)\n"
    "    for name in real:\n"
    "        assert real[name] == stub[name], (real[name], stub[name])\n"
    "    return 't', len(real)\n";

// Adds the file at PATH to BUF as a JSON string.
static void add_file(struct wz_buf *buf, const char *path)
{
    FILE *file = fopen(path, "r");
    int c;

    assert_non_null(file);
    wz_buf_add_byte(buf, '"');
    while ((c = fgetc(file)) != EOF)
        if (c == '"' || c == '\\' || c == '\n')
            wz_buf_addf(buf, "\\%c", c == '\n' ? 'n' : c);
        else
            wz_buf_add_byte(buf, (uint8_t)c);
    wz_buf_add_byte(buf, '"');
    (void)fclose(file);
}

static void test_context_is_as_its_stub_says(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf body = {0};

    wz_buf_add_str(&body, "{\"stub\":");
    add_file(&body, WZ_STUB_PATH);
    wz_buf_add_byte(&body, '}');
    peer_start_script(*state, stub_code);
    peer_send_batch(*state, 1, 1, wz_buf_str(&body));
    peer_assert_result(peer_expect(*state, WZ_FRAME_RESULT), "t 11");
}

static void test_context_works_only_inside_of_calls(void **state)
{
    peer_start_script(*state, "import threading\n"
                              "kept = []\n"
                              "def init(context): kept.append(context)\n"
                              "said = []\n"
                              "class Late:\n"
                              "    def __del__(self):\n"
                              "        for call in ((lambda c: c.emit('a', 1)),\n"
                              "                     (lambda c: c.get_state('a')),\n"
                              "                     (lambda c: c.set_state('a', 1)),\n"
                              "                     (lambda c: c.unset_state('a')),\n"
                              "                     (lambda c: c.lookback('a')),\n"
                              "                     (lambda c: c.last('a')),\n"
                              "                     (lambda c: c.terminate('a'))):\n"
                              "            try: call(kept[0])\n"
                              "            except RuntimeError as e: said.append(str(e))\n"
                              "def handle_input(msg, context):\n"
                              "    if msg: raise Fault(Late())\n"
                              "    return ((text.split()[0], text) for text in said)\n"
                              "class Fault(Exception): pass\n");
    // The exception, and what it holds, goes when the call is over.
    peer_send_batch(*state, 1, 1, "{\"a\":1}");
    peer_expect_status(*state, 1, WZ_FRAME_EXCEPTION);
    peer_send_batch(*state, 2, 1, "{}");
#define ONLY " works only while init, handle_input or stop is running"
    peer_assert_result(peer_expect(*state, WZ_FRAME_RESULT),
                       "emit emit" ONLY "\nget_state get_state" ONLY "\nset_state set_state" ONLY
                       "\nunset_state unset_state" ONLY "\nlookback lookback" ONLY
                       "\nlast last" ONLY "\nterminate terminate" ONLY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_context_runs_a_valid_script),
        TEST(test_context_limits_the_outputs_of_one_message),
        TEST(test_context_refuses_the_seventeenth_output_in_a_row),
        TEST(test_context_is_as_its_stub_says),
        TEST(test_context_works_only_inside_of_calls),
        TEST(test_context_terminates_when_the_call_has_ended_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
