// SPDX-License-Identifier: Apache-2.0
#include "broker/packet_shifts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

#define IDS ((uint64_t)WZ_PACKET_ID_COUNT)

static void test_packet_shifts_give_each_identifier_in_turn(void **state)
{
    struct wz_packet_shifts shifts = {0};

    (void)state;
    assert_int_equal(wz_packet_shifts_id(&shifts, 0), 1);
    assert_int_equal(wz_packet_shifts_id(&shifts, IDS - 1), 65535);
    assert_int_equal(wz_packet_shifts_id(&shifts, IDS), 1);
    assert_int_equal(wz_packet_shifts_id(&shifts, IDS * 1000000007 + 41), 42);
}

static void test_packet_shifts_shift_from_a_sequence_on(void **state)
{
    struct wz_packet_shifts shifts = {0};

    (void)state;
    assert_int_equal(wz_packet_shifts_add(&shifts, IDS), WZ_OK);
    assert_int_equal(wz_packet_shifts_id(&shifts, IDS - 1), 65535);
    assert_int_equal(wz_packet_shifts_id(&shifts, IDS), 2);
    assert_int_equal(wz_packet_shifts_add(&shifts, IDS), WZ_OK); // 2 is in use as well
    assert_int_equal(wz_packet_shifts_id(&shifts, IDS), 3);
    assert_int_equal(shifts.count, 1);
    assert_int_equal(wz_packet_shifts_add(&shifts, 2 * IDS - 2), WZ_OK);
    assert_int_equal(wz_packet_shifts_id(&shifts, 2 * IDS - 3), 65535);
    assert_int_equal(wz_packet_shifts_id(&shifts, 2 * IDS - 2), 2);
    wz_packet_shifts_release(&shifts);
}

static void test_packet_shifts_find_nothing_outside(void **state)
{
    struct wz_packet_shifts shifts = {0};
    uint64_t found = 77;

    (void)state;
    assert_false(wz_packet_shifts_find(&shifts, 0, 0, UINT32_MAX, &found)); // no identifier
    assert_false(wz_packet_shifts_find(&shifts, 1, 1, IDS, &found));
    assert_false(wz_packet_shifts_find(&shifts, 1, 5, 5, &found));
    assert_false(wz_packet_shifts_find(&shifts, 1, 5, 4, &found));
    assert_int_equal(found, 77);
    assert_true(wz_packet_shifts_find(&shifts, 1, 1, IDS + 1, &found));
    assert_int_equal(found, IDS);
}

static void test_packet_shifts_are_limited(void **state)
{
    struct wz_packet_shifts shifts = {0};
    struct wz_packet_shifts again = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};

    (void)state;
    for (uint64_t i = 0; i < WZ_PACKET_SHIFTS_MAX; i++)
        assert_int_equal(wz_packet_shifts_add(&shifts, i * 10), WZ_OK);
    assert_int_equal(wz_packet_shifts_add(&shifts, WZ_PACKET_SHIFTS_MAX * 10), WZ_ERR_LIMIT);
    wz_packet_shifts_encode(&shifts, &value);
    assert_int_equal(wz_packet_shifts_decode(&again, wz_buf_slice(&value)), WZ_OK);
    assert_int_equal(again.count, WZ_PACKET_SHIFTS_MAX);
    wz_packet_shifts_cut(&shifts, 10000);
    assert_int_equal(wz_packet_shifts_add(&shifts, WZ_PACKET_SHIFTS_MAX * 10), WZ_OK);
    wz_packet_shifts_release(&shifts);
    wz_packet_shifts_release(&again);
}

static void test_packet_shifts_stand_in_the_journal_as_documented(void **state)
{
    struct wz_packet_shifts shifts = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};

    (void)state;
    assert_int_equal(wz_packet_shifts_add(&shifts, 0x0102030405060708), WZ_OK);
    assert_int_equal(wz_packet_shifts_add(&shifts, 0x1102030405060708), WZ_OK);
    wz_packet_shifts_encode(&shifts, &value);
    assert_int_equal(value.len, 20);
    assert_memory_equal(value.ptr, "\1\2\3\4\5\6\7\x08\0\1\x11\2\3\4\5\6\7\x08\0\2", 20);
    wz_packet_shifts_release(&shifts);
}

static void test_packet_shifts_refuse_values_that_are_none(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"\0\0\0\0\0\0\0\1\0", 9},
        {"\0\0\0\0\0\0\0\1\0\1\0", 11},
        {"\0\0\0\0\0\0\0\1\xff\xff", 10},                 // a shift that is none
        {"\0\0\0\0\0\0\0\1\0\1\0\0\0\0\0\0\0\1\0\2", 20}, // not above the one before
        {"\0\0\0\0\0\0\0\2\0\1\0\0\0\0\0\0\0\1\0\2", 20}, // below it
        {"\0\0\0\0\0\0\0\1\0\1\0\0\0\0\0\0\0\2\xff\xff", 20},
    };
    static uint8_t many[(WZ_PACKET_SHIFTS_MAX + 1) * 10];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wz_packet_shifts shifts = {0};

        if (wz_packet_shifts_decode(&shifts, wz_slice(rows[i].bytes, rows[i].len)) !=
            WZ_ERR_CORRUPT)
            fail_msg("row %zu", i);
        wz_packet_shifts_release(&shifts);
    }
    for (size_t i = 0; i <= WZ_PACKET_SHIFTS_MAX; i++) {
        many[i * 10 + 6] = (uint8_t)(i >> 8);
        many[i * 10 + 7] = (uint8_t)i;
    }
    for (size_t extra = 0; extra < 2; extra++) {
        struct wz_packet_shifts shifts = {0};

        assert_int_equal(
            wz_packet_shifts_decode(&shifts, wz_slice(many, sizeof(many) - 10 + extra * 10)),
            extra == 0 ? WZ_OK : WZ_ERR_CORRUPT);
        wz_packet_shifts_release(&shifts);
    }
}

// The model: for each sequence from BASE on, its shift, as adding has left it.
#define RANGE 300000

static uint16_t model[RANGE];

static uint16_t model_id(uint64_t base, uint64_t at)
{
    return (uint16_t)((base + at + model[at]) % IDS + 1);
}

static void check_finds(const struct wz_packet_shifts *shifts, uint64_t base, uint64_t low,
                        uint64_t high, unsigned seed)
{
    for (int round = 0; round < 20; round++) {
        uint16_t id = (uint16_t)(1 + (uint64_t)random() % IDS);
        uint64_t at = low;
        uint64_t found = 0;

        while (at < high && model_id(base, at) != id)
            at++;
        if (wz_packet_shifts_find(shifts, id, base + low, base + high, &found) != (at < high) ||
            (at < high && found != base + at))
            fail_msg("seed %u: identifier %u from %llu to %llu", seed, id, (unsigned long long)low,
                     (unsigned long long)high);
    }
}

static void test_packet_shifts_are_what_looking_at_each_sequence_gives(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 30; seed++) {
        WZ_AUTO(wz_buf_release) struct wz_buf value = {0};
        struct wz_packet_shifts shifts = {0};
        uint64_t base = (uint64_t)(seed % 3) << 40;
        uint64_t low = 0;
        uint64_t at = 0;

        srandom(seed);
        memset(model, 0, sizeof(model));
        while ((at += (uint64_t)(random() % 5 == 0 ? 0 : random() % 60000)) < RANGE) {
            assert_int_equal(wz_packet_shifts_add(&shifts, base + at), WZ_OK);
            for (uint64_t i = at; i < RANGE; i++)
                model[i]++;
            if (random() % 4 == 0) {
                low += (at - low) / 2;
                wz_packet_shifts_cut(&shifts, base + low);
            }
        }
        wz_packet_shifts_encode(&shifts, &value);
        assert_int_equal(wz_packet_shifts_decode(&shifts, wz_buf_slice(&value)), WZ_OK);
        for (uint64_t i = low; i < RANGE; i += (uint64_t)(1 + random() % 100)) {
            if (wz_packet_shifts_id(&shifts, base + i) != model_id(base, i))
                fail_msg("seed %u: sequence %llu", seed, (unsigned long long)i);
        }
        for (int round = 0; round < 10; round++) {
            uint64_t from = low + (uint64_t)random() % (RANGE - low);

            check_finds(&shifts, base, from, from + (uint64_t)random() % (RANGE - from), seed);
        }
        wz_packet_shifts_release(&shifts);
    }
}

static void test_packet_shifts_forget_what_lies_between(void **state)
{
    struct wz_packet_shifts shifts = {0};
    uint16_t ids[6];

    (void)state;
    for (uint64_t i = 1; i <= 5; i++)
        assert_int_equal(wz_packet_shifts_add(&shifts, i * 100), WZ_OK);
    for (uint64_t i = 0; i <= 5; i++)
        ids[i] = wz_packet_shifts_id(&shifts, i * 100 + 50);
    assert_false(wz_packet_shifts_forget(&shifts, 150, 199)); // nothing begins there
    assert_false(wz_packet_shifts_forget(&shifts, 150, 299)); // the one of 200 holds for 299
    assert_int_equal(shifts.count, 5);
    assert_true(wz_packet_shifts_forget(&shifts, 150, 450)); // those of 200 and 300
    assert_int_equal(shifts.count, 3);
    assert_int_equal(wz_packet_shifts_id(&shifts, 50), ids[0]);
    assert_int_equal(wz_packet_shifts_id(&shifts, 150), ids[1]);
    assert_int_equal(wz_packet_shifts_id(&shifts, 450), ids[4]);
    assert_int_equal(wz_packet_shifts_id(&shifts, 550), ids[5]);
    assert_true(wz_packet_shifts_forget(&shifts, 450, UINT64_MAX));
    assert_int_equal(shifts.count, 2);
    assert_int_equal(wz_packet_shifts_id(&shifts, 450), ids[4]);
    wz_packet_shifts_release(&shifts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packet_shifts_give_each_identifier_in_turn),
        cmocka_unit_test(test_packet_shifts_shift_from_a_sequence_on),
        cmocka_unit_test(test_packet_shifts_find_nothing_outside),
        cmocka_unit_test(test_packet_shifts_are_limited),
        cmocka_unit_test(test_packet_shifts_stand_in_the_journal_as_documented),
        cmocka_unit_test(test_packet_shifts_refuse_values_that_are_none),
        cmocka_unit_test(test_packet_shifts_are_what_looking_at_each_sequence_gives),
        cmocka_unit_test(test_packet_shifts_forget_what_lies_between),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
