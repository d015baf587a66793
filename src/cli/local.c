// SPDX-License-Identifier: Apache-2.0
// Owns the API of a process without a server: store and logs, opened here, and one connection
// without a socket.
#include "cli/local.h"

#include <unistd.h>

#include "base/codes.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/document_check.h"
#include "cli/mapping_text.h"
#include "gateway/peer.h"
#include "stream/reader.h"

#define WZ_LOCAL_TURN_BYTES (64 * 1024)

// The streams of a data folder, a folder of the same name each.
static const char *const stream_names[] = {"raw-stream", "processed-stream", "script-log"};

struct wz_local {
    struct wz_api_parts parts;
    struct wz_api api;
    struct wz_peer *peer;
    bool api_made;
};

// The connection needs no waking: its one user asks for output himself.
static void wake(void *arg) { (void)arg; }

static int open_store(struct wz_local *local, const char *data, struct wz_problem *ret_problem)
{
    struct wz_store_options options = {.check = wz_document_check};
    WZ_AUTO(wz_buf_release) struct wz_buf path = {0};

    wz_buf_addf(&path, "%s/store.db", data);
    return wz_store_open(wz_buf_str(&path), &options, &local->parts.store, ret_problem);
}

static int open_logs(struct wz_local *local, const char *data, struct wz_problem *ret_problem)
{
    struct wz_log_options options = {.read_only = true};

    for (size_t i = 0; i < sizeof(stream_names) / sizeof(stream_names[0]); i++) {
        struct wz_api_stream *stream = &local->parts.streams[local->parts.stream_count];
        WZ_AUTO(wz_buf_release) struct wz_buf path = {0};
        struct wz_log_recovery recovery;
        int r;

        wz_buf_addf(&path, "%s/%s", data, stream_names[i]);
        if (access(wz_buf_str(&path), F_OK) < 0)
            continue; // nothing was ever recorded
        r = wz_log_open(wz_buf_str(&path), &options, &stream->log, &recovery, ret_problem);
        if (r < 0)
            return r;
        stream->name = stream_names[i];
        local->parts.stream_count++;
    }
    return WZ_OK;
}

int wz_local_open(const char *data, unsigned needs, struct wz_local **ret_local,
                  struct wz_problem *ret_problem)
{
    struct wz_local *local;
    int r = WZ_OK;

    if (access(data, F_OK) < 0) {
        (void)wz_problem_set(ret_problem, WZ_ERR_UNREACHABLE, WZ_CODE_API_UNREACHABLE,
                             "No wyze runs with the data folder %s, which is not there.", data);
        wz_problem_fix(ret_problem,
                       "Start it with \"wyze run --data %s\", or say with --data or "
                       "--url where it is.",
                       data);
        return WZ_ERR_UNREACHABLE;
    }
    local = wz_zalloc(1, sizeof(*local));
    if (needs & WZ_LOCAL_STORE)
        r = open_store(local, data, ret_problem);
    if (r == WZ_OK && (needs & WZ_LOCAL_LOGS))
        r = open_logs(local, data, ret_problem);
    if (r < 0) {
        wz_local_close(local);
        return r;
    }
    local->parts.import = wz_mapping_text_import;
    local->parts.export = wz_mapping_text_export;
    local->parts.ready = wz_mapping_text_ready;
    local->parts.explain = wz_mapping_text_explain;
    wz_api_init(&local->api, &local->parts, NULL, NULL);
    local->api_made = true;
    local->peer = wz_peer_new(&local->api, wake, NULL);
    *ret_local = local;
    return WZ_OK;
}

void wz_local_close(struct wz_local *local)
{
    if (local == NULL)
        return;
    wz_peer_free(local->peer);
    while (local->api_made && local->api.under_way > 0 && wz_mailbox_wait(&local->api.mail))
        (void)wz_mailbox_run(&local->api.mail); // the count is of no interest
    if (local->parts.store != NULL)
        wz_store_close(local->parts.store);
    for (size_t i = 0; i < local->parts.stream_count; i++)
        (void)wz_log_close(local->parts.streams[i].log); // it was only read
    if (local->api_made)
        wz_api_release(&local->api);
    wz_free(local);
}

void wz_local_send(struct wz_local *local, struct wz_slice bytes)
{
    wz_peer_input(local->peer, bytes);
}

int wz_local_receive(struct wz_local *local, struct wz_buf *ret_buf)
{
    size_t before = ret_buf->len;

    for (;;) {
        int r = wz_peer_output(local->peer, ret_buf, WZ_LOCAL_TURN_BYTES);

        if (r == WZ_OK || ret_buf->len > before)
            return WZ_OK;
        if (r == WZ_END)
            return WZ_END;
        if (local->api.under_way == 0)
            return WZ_END; // nothing will come: it waits for records that nobody writes
        if (wz_mailbox_wait(&local->api.mail))
            (void)wz_mailbox_run(&local->api.mail); // the count is of no interest
    }
}
