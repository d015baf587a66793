// SPDX-License-Identifier: Apache-2.0
// For tests: an API over a store and a log in a folder of its own, asked through a connection
// without a socket.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "gateway/peer.h"
#include "stream/reader.h"

struct stage {
    char folder[64];
    struct wz_mailbox loop_mail; // the test is the log's loop thread
    struct wz_api_parts parts;
    struct wz_api api;
    struct wz_peer *peer;
    int64_t durable_end;
    int status; // of the last answer
    struct wz_buf answer;
    struct wz_buf content; // of the last answer, chunks joined
};

static void stage_wake(void *arg) { (void)arg; }

static void stage_durable(void *arg, int64_t durable_end, int state_err)
{
    struct stage *stage = arg;

    assert_int_equal(state_err, WZ_OK);
    stage->durable_end = durable_end;
}

static inline void stage_open_store(struct stage *stage)
{
    struct wz_store_options options = {0};
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/store.db", stage->folder);
    assert_int_equal(wz_store_open(path, &options, &stage->parts.store, NULL), WZ_OK);
    stage->parts.board = wz_board_new();
}

static inline void stage_open_log(struct stage *stage)
{
    struct wz_log_options options = {
        .loop_mail = &stage->loop_mail, .on_durable = stage_durable, .arg = stage};
    struct wz_log_recovery recovery;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/raw-stream", stage->folder);
    stage->parts.streams[0].name = "raw-stream";
    stage->parts.stream_count = 1;
    assert_int_equal(wz_log_open(path, &options, &stage->parts.streams[0].log, &recovery, NULL),
                     WZ_OK);
}

static inline void stage_open(struct stage *stage)
{
    *stage = (struct stage){.folder = "/tmp/wyze-api-XXXXXX"};
    assert_non_null(mkdtemp(stage->folder));
    wz_mailbox_init(&stage->loop_mail, 1024, NULL, NULL);
    stage_open_store(stage);
    stage_open_log(stage);
}

// To be called when the parts are as the test wants them.
static inline void stage_begin(struct stage *stage)
{
    wz_api_init(&stage->api, &stage->parts, NULL, NULL);
    stage->peer = wz_peer_new(&stage->api, stage_wake, NULL);
}

static inline void stage_close(struct stage *stage)
{
    char command[128];

    wz_peer_free(stage->peer);
    wz_api_release(&stage->api);
    wz_store_close(stage->parts.store);
    wz_board_free(stage->parts.board);
    assert_int_equal(wz_log_close(stage->parts.streams[0].log), WZ_OK);
    (void)wz_mailbox_run(&stage->loop_mail);
    wz_mailbox_release(&stage->loop_mail);
    wz_buf_release(&stage->answer);
    wz_buf_release(&stage->content);
    (void)snprintf(command, sizeof(command), "rm -rf %s", stage->folder);
    assert_int_equal(system(command), 0);
}

// Appends a record and waits until it is durable.
static inline int64_t stage_append(struct stage *stage, const char *topic, const char *body,
                                   int64_t time_ms)
{
    struct wz_log *log = stage->parts.streams[0].log;
    uint8_t header[64];
    struct wz_pen pen = wz_pen(header, sizeof(header));
    struct wz_record_parts parts = {.key = wz_slice_str(topic),
                                    .value = {wz_slice_str(body)},
                                    .value_count = 1,
                                    .header_pieces = 1,
                                    .header_count = 1};
    int64_t offset;

    wz_record_header_put(&pen, WZ_SLICE_LIT("from"), WZ_SLICE_LIT("a/b"));
    parts.headers[0] = wz_slice(header, (size_t)(pen.pos - header));
    wz_log_set_time(log, time_ms);
    assert_int_equal(wz_log_append(log, &parts, &offset), WZ_OK);
    wz_log_flush(log);
    while (stage->durable_end <= offset) {
        assert_true(wz_mailbox_wait(&stage->loop_mail));
        (void)wz_mailbox_run(&stage->loop_mail);
    }
    return offset;
}

// Sends bytes and gathers what comes back until there is nothing more to come at present.
static inline int stage_exchange(struct stage *stage, struct wz_slice bytes)
{
    int r;

    stage->answer.len = 0;
    wz_peer_input(stage->peer, bytes);
    for (;;) {
        r = wz_peer_output(stage->peer, &stage->answer, 65536);
        if (r == WZ_END)
            return r;
        if (r == WZ_OK)
            continue;
        if (stage->api.under_way == 0)
            return r;
        assert_true(wz_mailbox_wait(&stage->api.mail));
        (void)wz_mailbox_run(&stage->api.mail);
    }
}

// Asks and takes the answer apart: status and content. FIELDS are whole lines, or "".
static inline int stage_ask(struct stage *stage, const char *method, const char *target,
                            const char *fields, const char *body)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_http_head head;
    struct wz_http_body framing;
    struct wz_slice rest;
    struct wz_slice piece;
    size_t len;

    wz_buf_addf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s",
                method, target, fields, strlen(body), body);
    (void)stage_exchange(stage, wz_buf_slice(&text));
    len = wz_http_head_len(wz_buf_slice(&stage->answer), 0);
    assert_true(len > 0);
    assert_int_equal(wz_http_read_answer(wz_slice(stage->answer.ptr, len), &head), WZ_OK);
    wz_http_body_of_answer(&framing, &head, wz_slice_str(method));
    rest = wz_slice(stage->answer.ptr + len, stage->answer.len - len);
    stage->content.len = 0;
    while (wz_http_body_next(&framing, &rest, &piece) == WZ_OK)
        wz_buf_add_slice(&stage->content, piece);
    stage->status = head.status;
    return head.status;
}

// The content as a C string.
static inline const char *stage_text(struct stage *stage) { return wz_buf_str(&stage->content); }

// Whether a field of the last answer's head has this line.
static inline bool stage_has(struct stage *stage, const char *line)
{
    return strstr(wz_buf_str(&stage->answer), line) != NULL;
}
