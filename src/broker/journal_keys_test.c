// SPDX-License-Identifier: Apache-2.0
#include "broker/journal_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// Bytes and their length, for the table.
#define B(text) text, sizeof(text) - 1
#define S(text) WZ_SLICE_LIT(text)
#define ID "\0\0\0\0\0\0\0\1"
#define GONE NULL, 0

static const struct {
    const char *key;
    size_t key_len;
    const char *value;
    size_t value_len;
    int result;
    enum wz_journal_key kind;
} rows[] = {
    {B("Q" ID), B("\1\1" ID "client"), WZ_OK, WZ_JOURNAL_KEY_QUEUE},
    {B("Q" ID), GONE, WZ_OK, WZ_JOURNAL_KEY_QUEUE},
    {B("Q" ID "x"), B("\1\1" ID "client"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_QUEUE},
    {B("Q" ID), B("\1\1" ID), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_QUEUE},
    {B("Q" ID), B("\2\1" ID "client"), WZ_ERR_UNSUPPORTED, WZ_JOURNAL_KEY_QUEUE},
    {B("Q" ID), B("\1\2" ID "client"), WZ_ERR_UNSUPPORTED, WZ_JOURNAL_KEY_QUEUE},
    {B("B" ID "a/#"), B("\1\2"), WZ_OK, WZ_JOURNAL_KEY_BINDING},
    {B("B" ID), B("\1\2"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_BINDING},
    {B("B" ID "a/#"), B("\1\3"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_BINDING},
    {B("B" ID "a/#"), B("\1\2\1"), WZ_OK, WZ_JOURNAL_KEY_BINDING},
    {B("B" ID "a/#"), B("\1\2\1a/b"), WZ_OK, WZ_JOURNAL_KEY_BINDING},
    {B("B" ID "a/#"), B("\1\3\1a/b"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_BINDING},
    {B("B" ID "a/#"), B("\1\2\2a/b"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_BINDING},
    {B("B" ID "a/#"), B("\1\2\1a/#"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_BINDING},
    {B("E" ID ID), B("\1\1\0\0\3a/bbody"), WZ_OK, WZ_JOURNAL_KEY_ENTRY},
    {B("E" ID ID), B("\1\2\1\0\3a/b"), WZ_OK, WZ_JOURNAL_KEY_ENTRY},
    {B("E" ID ID), B("\1\2\2" ID), WZ_OK, WZ_JOURNAL_KEY_ENTRY},
    {B("E" ID ID), B("\1\xff"), WZ_OK, WZ_JOURNAL_KEY_ENTRY},
    {B("E" ID ID), B("\1\0\0\0\3a/b"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_ENTRY},
    {B("E" ID ID), B("\1\1\0\0\4a/b"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_ENTRY},
    {B("E" ID ID), B("\1\1\2" ID "x"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_ENTRY},
    {B("E" ID ID), B("\1\1\0\0\3a/+"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_ENTRY},
    {B("E" ID ID), B("\1\1\4\0\3a/b"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_ENTRY},
    {B("E" ID "\xff\xff\xff\xff\xff\xff\xff\xff"), GONE, WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_ENTRY},
    {B("E" ID ID), B("\1\1\2\xff\xff\xff\xff\xff\xff\xff\xff"), WZ_ERR_CORRUPT,
     WZ_JOURNAL_KEY_ENTRY},
    {B("M\xff\xff\xff\xff\xff\xff\xff\xff"), B("\1\0\3a/bbody"), WZ_ERR_CORRUPT,
     WZ_JOURNAL_KEY_SHARED},
    {B("C" ID), B("\1\0" ID "\0\1a"), WZ_OK, WZ_JOURNAL_KEY_SCRIPT},
    {B("C" ID), B("\1\2" ID "\0\1awhy"), WZ_OK, WZ_JOURNAL_KEY_SCRIPT},
    {B("C" ID), B("\1\3" ID "\0\1a"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_SCRIPT},
    {B("C" ID), B("\1\0" ID "\0\0"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_SCRIPT},
    {B("C" ID "x"), GONE, WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_SCRIPT},
    {B("L" ID), B("\1" ID ID ID "\2" ID "\0" ID "\1\x3f" ID), WZ_OK, WZ_JOURNAL_KEY_LEDGER},
    {B("L" ID), B("\1" ID ID ID "\2" ID "\0" ID "\1\x40" ID), WZ_ERR_CORRUPT,
     WZ_JOURNAL_KEY_LEDGER},
    {B("L" ID), B("\1" ID ID ID "\2" ID "\0" ID "\0x"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_LEDGER},
    {B("L" ID), B("\1" ID ID ID "\1" ID "\0"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_LEDGER},
    {B("S" ID "\x40"
       "k"),
     B("\1"
       "1"),
     WZ_OK, WZ_JOURNAL_KEY_STATE},
    {B("S" ID "\x41"
       "k"),
     B("\1"
       "1"),
     WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_STATE},
    {B("S" ID "\0"),
     B("\1"
       "1"),
     WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_STATE},
    {B("S" ID "\0k"), B("\1"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_STATE},
    {B("O" ID ID "\0\0\0\0"), B("\1\0\0\0\0\1\0\0\1\0\0\0\1a1"), WZ_OK, WZ_JOURNAL_KEY_OUTPUTS},
    {B("O" ID ID "\0\0\0\0"), B("\1\0\0\0\0\1\0\0\1\0\0\0\2a1"), WZ_ERR_CORRUPT,
     WZ_JOURNAL_KEY_OUTPUTS},
    {B("O" ID ID "\0\0\0\0"), B("\1\0\0\0\0"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_OUTPUTS},
    {B("O" ID ID), GONE, WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_OUTPUTS},
    {B("Z" ID ID "\0\0\0\0"), B("\1\3\0\1\0\0\0\1k1"), WZ_OK, WZ_JOURNAL_KEY_STAGED},
    {B("Z" ID ID "\0\0\0\0"), B("\1\3\0\1\0\0\0\1k1x"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_STAGED},
    {B("X" ID ID), B("\1\1\0\0\0\0\4" ID ID ID "\0\1\0\0\0\1\0\0\0\0ae{}"), WZ_OK,
     WZ_JOURNAL_KEY_QUARANTINED},
    {B("X" ID ID), B("\1\2\0\0\0\0\4" ID ID ID "\0\1\0\0\0\1\0\0\0\0ae{}"), WZ_ERR_CORRUPT,
     WZ_JOURNAL_KEY_QUARANTINED},
    {B("X" ID ID), B("\1\1\0\0\0\0\4" ID ID ID "\0\1\0\0\0\1\0\0\0\0a"), WZ_ERR_CORRUPT,
     WZ_JOURNAL_KEY_QUARANTINED},
    {B("T"), B("\1" ID ID ID), WZ_OK, WZ_JOURNAL_KEY_PASS_POSITION},
    {B("T"), B("\1" ID ID), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_PASS_POSITION},
    {B("Tx"), B("\1" ID ID ID), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_PASS_POSITION},
    {B("U" ID), B("\1" ID "\1\0\1a\"v\""), WZ_OK, WZ_JOURNAL_KEY_PASS_RULE},
    {B("U" ID), B("\1" ID "\0\0\1a"), WZ_OK, WZ_JOURNAL_KEY_PASS_RULE},
    {B("U" ID), B("\1" ID "\2\0\1a"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_PASS_RULE},
    {B("U" ID), B("\1" ID "\0\0\0"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_PASS_RULE},
    {B("U" ID), B("\1" ID "\0\0\2a"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_PASS_RULE},
    {B("V" ID "a.b"), B("\1" ID ID "\2" ID ID ID), WZ_OK, WZ_JOURNAL_KEY_PASS_STATE},
    {B("V" ID "a.b"), B("\1" ID ID "\3" ID ID ID), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_PASS_STATE},
    {B("V" ID "a.b"), B("\1" ID ID "\2" ID ID), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_PASS_STATE},
    {B("V" ID), B("\1" ID ID "\2" ID ID ID), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_PASS_STATE},
    {B("M" ID), B("\1\0\3a/bbody"), WZ_OK, WZ_JOURNAL_KEY_SHARED},
    {B("M" ID), B("\1\0"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_SHARED},
    {B("H" ID), B("\1" ID), WZ_OK, WZ_JOURNAL_KEY_HEAD},
    {B("H" ID), B("\1"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_HEAD},
    {B("N" ID), B("\1" ID "\0\1"), WZ_OK, WZ_JOURNAL_KEY_SHIFTS},
    {B("N" ID), B("\1" ID "\0"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_SHIFTS},
    {B("I" ID "\0\7"), B("\1" ID "\0"), WZ_OK, WZ_JOURNAL_KEY_RECEIVED},
    {B("I" ID "\0\7"), B("\1" ID "\2"), WZ_OK, WZ_JOURNAL_KEY_RECEIVED},
    {B("I" ID "\0\7"), B("\1" ID "\3"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_RECEIVED},
    {B("I" ID "\0\7"), B("\1" ID), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_RECEIVED},
    {B("I" ID), B("\1" ID), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_RECEIVED},
    {B("Ra/b"), B("\1\1" ID "v"), WZ_OK, WZ_JOURNAL_KEY_RETAINED},
    {B("Ra/b"), B("\1\1" ID), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_RETAINED},
    {B("R"), B("\1\1" ID "v"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_RETAINED},
    {B("P"), B("\1" ID), WZ_OK, WZ_JOURNAL_KEY_MARK},
    {B("Px"), B("\1" ID), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_MARK},
    {B("D"), B("\1" ID), WZ_OK, WZ_JOURNAL_KEY_COMMANDS},
    {B("Da.output"), B("\1" ID), WZ_OK, WZ_JOURNAL_KEY_COMMANDS},
    {B("Da.output"), GONE, WZ_OK, WZ_JOURNAL_KEY_COMMANDS},
    {B("D"), B("\1" ID "x"), WZ_ERR_CORRUPT, WZ_JOURNAL_KEY_COMMANDS},
};

static void test_journal_key_check_knows_every_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum wz_journal_key kind = WZ_JOURNAL_KEY_COUNT;

        struct wz_slice key = wz_slice(rows[i].key, rows[i].key_len);
        struct wz_slice value = wz_slice(rows[i].value, rows[i].value_len);

        assert_int_equal(wz_journal_key_check(key, value, &kind), rows[i].result);
        assert_int_equal(kind, rows[i].kind);
    }
}

static void test_journal_key_check_refuses_what_it_does_not_know(void **state)
{
    enum wz_journal_key kind = WZ_JOURNAL_KEY_COUNT;

    (void)state;
    assert_int_equal(wz_journal_key_check(S("Y" ID), S("\1x"), &kind), WZ_ERR_UNSUPPORTED);
    assert_int_equal(wz_journal_key_check(S(""), S("\1x"), &kind), WZ_ERR_UNSUPPORTED);
    assert_int_equal(wz_journal_key_check(S("P"), S(""), &kind), WZ_ERR_UNSUPPORTED);
}

// As the owner of the keys is given them: without letter and version.
static void test_journal_key_check_record_is_as_strict(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool removed = rows[i].value == NULL;
        struct wz_journal_record record = {
            .key = wz_slice(rows[i].key + 1, rows[i].key_len - 1),
            .value =
                removed ? (struct wz_slice){0} : wz_slice(rows[i].value + 1, rows[i].value_len - 1),
            .removed = removed,
        };

        if (removed || rows[i].value[0] == 1)
            assert_int_equal(wz_journal_key_check_record(rows[i].kind, &record), rows[i].result);
    }
}

static void test_journal_key_names_are_words(void **state)
{
    (void)state;
    assert_string_equal(wz_journal_key_name(WZ_JOURNAL_KEY_QUEUE), "sessions");
    assert_string_equal(wz_journal_key_name(WZ_JOURNAL_KEY_MARK), "marks");
    assert_true(wz_journal_key_of_queue(WZ_JOURNAL_KEY_ENTRY));
    assert_false(wz_journal_key_of_queue(WZ_JOURNAL_KEY_SHARED));
    assert_false(wz_journal_key_of_queue(WZ_JOURNAL_KEY_COMMANDS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal_key_check_knows_every_form),
        cmocka_unit_test(test_journal_key_check_refuses_what_it_does_not_know),
        cmocka_unit_test(test_journal_key_check_record_is_as_strict),
        cmocka_unit_test(test_journal_key_names_are_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
