// SPDX-License-Identifier: Apache-2.0
// JSON by the quick way, held against Python's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "worker/peer_test.h"

// Emits each value twice: as it is, and as the text that json.dumps makes of it.
static const char code[] =
    "import enum, json, random, sys\n"
    "class Word(str): pass\n"
    "class Level(enum.IntEnum): HIGH = 3\n"
    "class Table(dict): pass\n"
    "def nest(depth):\n"
    "    value = 1\n"
    "    for i in range(depth): value = [value] if i % 2 else {'a': value}\n"
    "    return value\n"
    "FIXED = [None, True, False, 0, -1, 2 ** 63 - 1, -2 ** 63, 2 ** 63, -2 ** 63 - 1, 10 ** 40,\n"
    "         0.0, -0.0, 1.0, 0.1, 1e16, 1e17, 1e-5, 123456789.125, 5e-324, sys.float_info.max,\n"
    "         '', 'a', 'ä', '😀', '\\x7f', '\\u2028', '\"', '\\\\', '/', 'a\"b\\\\c\\nd',\n"
    "         ''.join(map(chr, range(0x30))), [], {}, [[]], [{}], {'': ''}, [1, 'a', None],\n"
    "         {'a': 1, 'b': [True, {'c': 2.5}]}, {'ä\\n': 1}, (1, 2), {'t': (1, ())},\n"
    "         Word('x'), Level.HIGH, Table(a=1), {Word('k'): Level.HIGH}, {1: 2, None: 3, 1.5: "
    "4},\n"
    "         nest(99), nest(100), nest(101), nest(200)]\n"
    "def any_value(rng, depth):\n"
    "    kind = rng.randrange(8 if depth else 6)\n"
    "    if kind == 0: return rng.choice([None, True, False])\n"
    "    if kind == 1: return rng.randrange(-2 ** 65, 2 ** 65) >> rng.randrange(66)\n"
    "    if kind == 2: return rng.uniform(-1, 1) * 10.0 ** rng.randrange(-30, 30)\n"
    "    if kind < 6: return ''.join(chr(rng.choice([rng.randrange(0x80), rng.randrange(0x800),\n"
    "                                    rng.randrange(0xe000, 0x110000)]))\n"
    "                                for _ in range(rng.randrange(6)))\n"
    "    if kind == 6: return [any_value(rng, depth - 1) for _ in range(rng.randrange(5))]\n"
    "    return {any_text(rng): any_value(rng, depth - 1) for _ in range(rng.randrange(5))}\n"
    "def any_text(rng):\n"
    "    return ''.join(map(chr, rng.choices(range(0x20, 0x7f), k=rng.randrange(8))))\n"
    "def handle_input(msg, context):\n"
    "    rng = random.Random(msg['seed'])\n"
    "    for value in [*FIXED, *(any_value(rng, 4) for _ in range(1000))]:\n"
    "        yield 'quick', {'v': value}\n"
    "        yield 'slow', json.dumps({'v': value}, ensure_ascii=False, separators=(',', ':'))\n";

static void test_dump_writes_what_python_writes(void **state)
{
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item quick;
    struct wz_frame_item slow;
    int count = 0;

    peer_start_script(*state, code);
    peer_send_batch(*state, 1, 1, "{\"seed\":1}");
    result = peer_expect_result(*state, 1);
    if (result.status != WZ_FRAME_OK)
        fail_msg("%.*s", WZ_SLICE_FMT(result.items));
    it = wz_frame_items(&result);
    while (wz_frame_next_item(&it, &quick) == WZ_OK) {
        assert_int_equal(wz_frame_next_item(&it, &slow), WZ_OK);
        peer_assert_text(quick.topic, "quick");
        if (!wz_slice_eq(quick.body, slow.body))
            fail_msg("%.*s is not %.*s", WZ_SLICE_FMT(quick.body), WZ_SLICE_FMT(slow.body));
        count++;
    }
    assert_in_range(count, 1040, 1100);
}

// What is no JSON is refused in the middle of a value too, and leaves nothing behind.
static void test_dump_leaves_nothing_of_what_it_refuses(void **state)
{
    peer_start_script(*state,
                      "def handle_input(msg, context):\n"
                      "    circle = {'a': 1}\n"
                      "    circle['b'] = circle\n"
                      "    for bad in {'a': 1, 'b': {2}}, {'a': [float('nan')]}, {'\\ud800': 1}, "
                      "{'a': '\\ud800'}, circle:\n"
                      "        try: context.emit('t', bad)\n"
                      "        except (TypeError, ValueError) as error:\n"
                      "            context.emit(type(error).__name__, {'good': 1})\n");
    peer_send_batch(*state, 1, 1, "{}");
    peer_assert_result(peer_expect(*state, WZ_FRAME_RESULT),
                       "TypeError {\"good\":1}\nValueError {\"good\":1}\n"
                       "UnicodeEncodeError {\"good\":1}\nUnicodeEncodeError {\"good\":1}\n"
                       "ValueError {\"good\":1}");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_dump_writes_what_python_writes),
        TEST(test_dump_leaves_nothing_of_what_it_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
