// SPDX-License-Identifier: Apache-2.0
// Owns `wyze log`: what is on the streams, and whether it is whole. Verifying reads the files of a
// folder itself, without a lock, also while a server writes to them.
#include <string.h>
#include <unistd.h>

#include "base/codes.h"
#include "base/cursor.h"
#include "base/map.h"
#include "base/mem.h"
#include "broker/journal_keys.h"
#include "cli/commands.h"
#include "cli/resource.h"
#include "stream/reader.h"

int wz_cmd_log_info(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"STREAM", "name"},      {"FIRST", "first_offset"}, {"NEXT", "next_offset"},
        {"SINCE", "first_time"}, {"LAST", "last_time"},     {"BYTES", "size_bytes"},
        {"KEPT", "max_bytes"},   {"SEGMENTS", "segments"},  {"DAMAGED", "damaged_batches"},
        {"STATE", "state"},
    };

    return wz_resource_list(cli, "/api/v1/streams", NULL, columns,
                            sizeof(columns) / sizeof(columns[0]));
}

// What was found in a folder.
struct findings {
    struct wz_log_recovery recovery;
    struct wz_log_info info;
    int64_t records;
    int64_t damaged;
    int64_t unreadable; // in a journal: records that do not have the form of any key
    int64_t keys[WZ_JOURNAL_KEY_COUNT]; // in a journal: how many there are of each kind
    int64_t disorder; // records whose offset or append time is not above, or below, the one before
};

// A key of a journal that has a value.
struct known {
    struct wz_slice key; // owned bytes
    enum wz_journal_key kind;
    uint64_t head; // of an 'H': its queue's messages below are gone
};

// All of them.
struct present {
    struct wz_map map; // key -> struct known
    struct findings *findings;
};

static void known_free(struct known *known)
{
    wz_free((void *)(uintptr_t)known->key.ptr);
    wz_free(known);
}

// The number of 8 bytes at POS.
static uint64_t number_at(struct wz_slice s, size_t pos)
{
    struct wz_cursor cur = wz_cursor(wz_slice_sub(s, pos, s.len - pos));

    return wz_cursor_get_u64(&cur);
}

static void see_key(struct present *present, const struct wz_record *record)
{
    struct wz_slice value = record->value_null ? (struct wz_slice){0} : record->value;
    enum wz_journal_key kind;
    struct known *known;

    if (wz_journal_key_check(record->key, value, &kind) < 0) {
        present->findings->unreadable++;
        return;
    }
    known = wz_map_get(&present->map, record->key);
    if (record->value_null && known != NULL) {
        (void)wz_map_remove(&present->map, record->key); // it is there
        known_free(known);
        return;
    }
    if (!record->value_null && known == NULL) {
        known = wz_zalloc(1, sizeof(*known));
        known->key = wz_slice(wz_strndup(record->key.ptr, record->key.len), record->key.len);
        known->kind = kind;
        (void)wz_map_put(&present->map, known->key, known); // it is new
    }
    if (kind == WZ_JOURNAL_KEY_HEAD && known != NULL)
        known->head = number_at(value, 1);
}

// The key of LETTER of the queue to which a key belongs, if it is there.
static const struct known *sibling(const struct present *present, struct wz_slice key, char letter)
{
    uint8_t bytes[9] = {(uint8_t)letter};

    memcpy(bytes + 1, key.ptr + 1, 8);
    return wz_map_get(&present->map, wz_slice(bytes, sizeof(bytes)));
}

// Counts the keys, but for those that another key says are gone.
static void count_keys(const struct present *present)
{
    const struct known *known;
    size_t walk = 0;

    while ((known = wz_map_next(&present->map, &walk)) != NULL) {
        const struct known *head;

        if (wz_journal_key_of_queue(known->kind) && sibling(present, known->key, 'Q') == NULL)
            continue;
        head = known->kind == WZ_JOURNAL_KEY_ENTRY ? sibling(present, known->key, 'H') : NULL;
        if (head != NULL && number_at(known->key, 9) < head->head)
            continue;
        present->findings->keys[known->kind]++;
    }
}

static void present_release(struct present *present)
{
    struct known *known;
    size_t walk = 0;

    while ((known = wz_map_next(&present->map, &walk)) != NULL)
        known_free(known);
    wz_map_release(&present->map);
}

// Reads all records; of a journal, PRESENT gets its keys, else it is NULL.
static int read_all(struct wz_log *log, struct findings *findings, struct present *present)
{
    struct wz_reader_options options = {0};
    struct wz_reader *reader;
    struct wz_record record;
    int64_t last_offset = -1;
    int64_t last_ms = 0;
    int r = wz_reader_open(log, &options, &reader);

    if (r < 0)
        return r;
    while ((r = wz_reader_next(reader, &record)) == WZ_OK) {
        findings->records++;
        if (present != NULL)
            see_key(present, &record);
        if (record.offset <= last_offset || record.append_ms < last_ms)
            findings->disorder++;
        last_offset = record.offset;
        last_ms = record.append_ms;
    }
    findings->damaged = wz_reader_damaged(reader);
    wz_reader_close(reader);
    return r == WZ_END ? WZ_OK : r;
}

static json_t *describe(const char *dir, const struct findings *findings)
{
    int64_t damaged = findings->damaged > findings->recovery.damaged_batches
                          ? findings->damaged
                          : findings->recovery.damaged_batches;
    bool whole = damaged == 0 && findings->disorder == 0 && findings->unreadable == 0 &&
                 findings->recovery.cut_bytes == 0 && findings->recovery.rebuilt_indexes == 0;

    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I}", "stream", dir, "state",
                     whole ? "whole" : "damaged", "records", (json_int_t)findings->records,
                     "first_offset", (json_int_t)findings->info.first_offset, "next_offset",
                     (json_int_t)findings->info.next_offset, "size_bytes",
                     (json_int_t)findings->info.size_bytes, "damaged_batches", (json_int_t)damaged,
                     "torn_bytes", (json_int_t)findings->recovery.cut_bytes, "damaged_indexes",
                     findings->recovery.rebuilt_indexes, "disorder",
                     (json_int_t)findings->disorder);
}

// Adds what is in a journal.
static void describe_keys(json_t *row, const struct findings *findings)
{
    json_t *keys = json_object();

    for (int i = 0; i < WZ_JOURNAL_KEY_COUNT; i++)
        (void)json_object_set_new(keys, wz_journal_key_name((enum wz_journal_key)i),
                                  json_integer(findings->keys[i])); // names and numbers are fine
    (void)json_object_set_new(row, "keys", keys);                   // as here
    (void)json_object_set_new(row, "unreadable", json_integer(findings->unreadable));
}

// Whether the folder is a journal: that is its name.
static bool is_journal(const char *dir)
{
    size_t len = strlen(dir);

    while (len > 0 && dir[len - 1] == '/')
        len--;
    return len >= 7 && strncmp(dir + len - 7, "journal", 7) == 0 &&
           (len == 7 || dir[len - 8] == '/');
}

// Verifies the stream in DIR and adds what was found to ROWS.
static int verify(struct wz_cli *cli, const char *dir, json_t *rows)
{
    bool journal = is_journal(dir);
    struct wz_log_options options = {.read_only = true, .keys_unindexed = journal};
    struct findings findings = {0};
    struct present present = {.findings = &findings};
    json_t *row;
    struct wz_log *log;
    int r = wz_log_open(dir, &options, &log, &findings.recovery, &cli->problem);

    if (r < 0)
        return r;
    r = read_all(log, &findings, journal ? &present : NULL);
    count_keys(&present);
    present_release(&present);
    wz_log_info(log, &findings.info);
    (void)wz_log_close(log); // it was only read
    if (r < 0) {
        (void)wz_problem_set(&cli->problem, r, WZ_CODE_STREAM_IO, "The stream cannot be read: %s.",
                             wz_err_text(r));
        wz_problem_where(&cli->problem, "%s", dir);
        return r;
    }
    row = describe(dir, &findings);
    if (journal && row != NULL)
        describe_keys(row, &findings);
    (void)json_array_append_new(rows, row); // refuses a path that is not UTF-8
    return WZ_OK;
}

// What has a folder of the same name in the data folder.
static const char *const streams[] = {"raw-stream", "processed-stream", "unmapped", "journal"};

static int verify_data(struct wz_cli *cli, json_t *rows)
{
    const char *data = wz_config_str(cli->config, WZ_CONFIG_DATA);
    int r = WZ_OK;

    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]) && r == WZ_OK; i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf dir = {0};

        wz_buf_addf(&dir, "%s/%s", data, streams[i]);
        if (access(wz_buf_str(&dir), F_OK) == 0)
            r = verify(cli, wz_buf_str(&dir), rows);
    }
    if (r == WZ_OK && json_array_size(rows) == 0)
        r = wz_problem_set(&cli->problem, WZ_ERR_NOT_FOUND, WZ_CODE_STREAM_NOT_FOUND,
                           "There are no streams in the data folder %.128s.", data);
    return r;
}

// WORD is the name of a stream in the data folder ("raw", "raw-stream", "journal"), or a folder.
static int verify_named(struct wz_cli *cli, const char *word, json_t *rows)
{
    WZ_AUTO(wz_buf_release) struct wz_buf dir = {0};
    size_t len = strlen(word);

    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        if (strcmp(word, streams[i]) != 0 &&
            (strncmp(word, streams[i], len) != 0 || strcmp(streams[i] + len, "-stream") != 0))
            continue;
        wz_buf_addf(&dir, "%s/%s", wz_config_str(cli->config, WZ_CONFIG_DATA), streams[i]);
        if (access(wz_buf_str(&dir), F_OK) == 0)
            return verify(cli, wz_buf_str(&dir), rows);
        return wz_problem_set(&cli->problem, WZ_ERR_NOT_FOUND, WZ_CODE_STREAM_NOT_FOUND,
                              "There is no %s in the data folder.", streams[i]);
    }
    return verify(cli, word, rows);
}

int wz_cmd_log_verify(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"STREAM", "stream"},           {"STATE", "state"},      {"RECORDS", "records"},
        {"FIRST", "first_offset"},      {"NEXT", "next_offset"}, {"BYTES", "size_bytes"},
        {"DAMAGED", "damaged_batches"}, {"TORN", "torn_bytes"},  {"INDEXES", "damaged_indexes"},
        {"DISORDER", "disorder"},
    };
    json_t *rows = json_array();
    json_t *row;
    size_t i;
    int code;
    int r = cli->args.word_count > 0 ? verify_named(cli, cli->args.words[0], rows)
                                     : verify_data(cli, rows);

    code = r == WZ_OK ? wz_cli_print_rows(cli, rows, columns, sizeof(columns) / sizeof(columns[0]))
                      : wz_cli_exit(r);
    json_array_foreach(rows, i, row)
    {
        if (code == WZ_EXIT_OK &&
            strcmp(json_string_value(json_object_get(row, "state")), "whole") != 0)
            code = WZ_EXIT_FAILED;
    }
    json_decref(rows);
    return code;
}
