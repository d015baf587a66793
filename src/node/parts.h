// SPDX-License-Identifier: Apache-2.0
// What a node is made of; for the files of this folder alone, each of which opens and closes some
// of it.
#pragma once

#include "base/buf.h"
#include "base/problem.h"
#include "config/config.h"
#include "loop/loop.h"
#include "router/mapping_keeper.h"

// The most bytes of a path in the data folder.
#define WZ_NODE_PATH_BYTES 4096

// The streams of a node and, among them, its journal.
enum wz_stream {
    WZ_STREAM_RAW,
    WZ_STREAM_PROCESSED,
    WZ_STREAM_JOURNAL,
    WZ_STREAM_SCRIPT_LOG, // what scripts say
    WZ_STREAM_UNMAPPED,   // what the inbox keeps
    WZ_STREAM_COUNT,
};

// One of them, for the one who is told what became of it.
struct wz_stream_watch {
    struct wz_node *node;
    const char *name;
    bool failing;
};

// Parts are NULL before they are open. All of it is the loop thread's unless said otherwise.
struct wz_node {
    struct wz_stream_watch watches[WZ_STREAM_COUNT];
    const struct wz_config *config;
    struct wz_problem *problem;
    struct wz_loop loop;
    uv_signal_t signals[2];
    int lock_fd;
    struct wz_log *raw;
    struct wz_log *processed;
    struct wz_log *script_log;
    struct wz_log *unmapped;
    struct wz_journal *journal;
    struct wz_space *space;
    struct wz_retention *retention;
    struct wz_trimmer *trimmer;
    struct wz_queues *queues;
    struct wz_retained *retained;
    struct wz_accounts *accounts;
    struct wz_commands *commands;
    struct wz_passthrough *passthrough;
    struct wz_inbox *inbox;
    struct wz_bus *bus;
    struct wz_board *board;
    struct wz_desk *desk;
    struct wz_router *router;
    struct wz_engine *engine;
    struct wz_store *store;
    struct wz_mapping_keeper keeper; // the store thread's
    struct wz_gateway *gateway;
    struct wz_mqtt *mqtt;
    struct wz_buf worker_path;
    int64_t started_ms;
    int64_t started_us; // the same, of the monotonic clock
    bool mapped;        // a mapping is in force
    bool disk_low;      // and so it has been logged
    bool loop_made;
    bool stopping;
};
