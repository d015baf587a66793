// SPDX-License-Identifier: Apache-2.0
// For the engine's tests: real workers, and a bus and streams in memory.
#pragma once

#include <pthread.h>

#include "engine/engine.h"

#define RIG_BINDINGS_MAX 16

// A script that emits each record's number.
#define RIG_ECHO "def handle_input(msg, context):\n    context.emit('out', msg['n'])\n"

// A stream.
struct wz_log {
    pthread_mutex_t lock;
    int64_t count;    // appended
    int64_t readable; // of those, written and so to be read
    bool slow;        // they become readable only now and then
    int64_t read_count;
    char (*topics)[32];
    char (*bodies)[160];
};

// Somebody who consumes.
struct wz_binding {
    bool used;
    enum wz_bus_exchange exchange;
    char pattern[64];
    wz_bus_consume_fn consume;
    void *arg;
};

// What the engine has published.
struct rig_output {
    char *topic;
    char *body;
    char *parent;
    uint8_t hops;
};

// The bus.
struct wz_bus {
    struct wz_binding bindings[RIG_BINDINGS_MAX];
    struct rig_output *outputs;
    size_t output_count;
    int64_t busy_every; // each so many outputs the bus is busy once; 0: never
    int64_t busy_left;
    struct wz_bus_waiter *waiter;
};

// Everything a test needs.
struct rig {
    struct wz_loop loop;
    uv_timer_t tick;
    struct wz_bus bus;
    struct wz_log logs[2];
    struct wz_board *board;
    struct wz_engine *engine;
    bool stopped;
    int64_t revision;
};

// Makes a rig for a test, without an engine; and takes it away with all that is in it.
int rig_setup(void **state);
int rig_teardown(void **state);

// Makes the engine, with the parts of the rig and what else OPTIONS say.
void rig_start(struct rig *rig, struct wz_engine_options options);

// Ends it, and waits for that; fine when there is none.
void rig_stop(struct rig *rig);

// Makes CODE, bound to raw by "in.#" and by "in.b", the only script; NULL: no script.
void rig_apply(struct rig *rig, const char *code);

// As above, and grants it writing in FOLDER.
void rig_apply_writing(struct rig *rig, const char *code, const char *folder);

// Appends COUNT records of a body {"_id", "n": offset} to raw-stream and shows them on the
// exchange.
void rig_feed(struct rig *rig, const char *topic, int64_t count);
void rig_feed_hops(struct rig *rig, const char *topic, int64_t count, uint8_t hops);

// Turns the loop until DONE says so; the test fails when that takes too long.
void rig_run_until(struct rig *rig, bool (*done)(struct rig *rig, int64_t num), int64_t num);

// What stands on the board of the script: a number, and whether a text holds TEXT.
int64_t rig_board_int(struct rig *rig, const char *member);
bool rig_board_is(struct rig *rig, const char *member, const char *text);

// For rig_run_until: the script runs a document of at least revision NUM, is invalid; so many
// outputs are there, records answered, records behind, workers started again.
bool rig_is_running(struct rig *rig, int64_t num);
bool rig_is_invalid(struct rig *rig, int64_t num);
bool rig_has_outputs(struct rig *rig, int64_t num);
bool rig_has_answered(struct rig *rig, int64_t num);
bool rig_has_lag(struct rig *rig, int64_t num);
bool rig_has_restarted(struct rig *rig, int64_t num);

// The outputs are COUNT numbers from FIRST on, all but MISSING, each once, in order, with the right
// cause.
void rig_assert_numbers(struct rig *rig, int64_t first, int64_t count, int64_t missing);
