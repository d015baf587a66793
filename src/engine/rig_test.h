// SPDX-License-Identifier: Apache-2.0
// For the engine's tests: a bus, streams and a journal on disk, crashes, and real workers.
#pragma once

#include "engine/engine.h"
#include "engine/inputs.h"

// A script that emits each record's number.
#define RIG_ECHO "def handle_input(msg, context):\n    context.emit('out', msg['n'])\n"

// A script that counts its inputs in its state, and emits the count.
#define RIG_COUNT                                                                                  \
    "def handle_input(msg, context):\n"                                                            \
    "    n = context.get_state('n', 0) + 1\n"                                                      \
    "    context.set_state('n', n)\n"                                                              \
    "    context.emit('out', n)\n"

// What stands on processed-stream.
struct rig_output {
    char *topic;
    char *body;
    char *parent;
    char *commit;
    uint8_t hops;
    int64_t offset;
};

// Everything a test needs. All but the dirs is new after rig_crash and rig_reopen.
struct rig {
    char dirs[4][64]; // journal, raw, processed, script-log
    struct wz_loop loop;
    struct wz_loop_part part;
    uv_timer_t tick;
    struct wz_bus *bus;
    struct wz_feeds *feeds; // of rig_inputs_options
    struct wz_binding *egress;
    struct wz_log *logs[WZ_SCRIPT_STREAM_COUNT];
    struct wz_log *script_log;
    struct wz_journal *journal;
    struct wz_accounts *accounts;
    struct wz_board *board;
    struct wz_desk *desk;
    struct wz_engine *engine;
    bool hold[WZ_SCRIPT_STREAM_COUNT]; // what is appended is not given to the writer
    bool hold_journal;
    void (*durable)(void *arg); // called when something has become durable
    void *durable_arg;
    void (*published)(void *arg, struct rig *rig, const struct wz_message *msg); // on egress
    void *published_arg;
    int64_t busy_every; // each so many outputs the bus is busy once; 0: never
    int64_t busy_left;
    int busy_count; // how often it was
    struct rig_output *outputs;
    size_t output_count;
    int64_t fed; // records that rig_feed has made, in all
    bool stopped;
    int64_t revision;
    int64_t segment_bytes; // of the streams and the journal; 0: the default
    int64_t compact_bytes; // of the journal
    bool start_journal;    // it compacts to the end, and cannot be held
    unsigned seed;
};

// Makes a rig for a test, without an engine; and takes it away with all that is in it.
int rig_setup(void **state);
int rig_teardown(void **state);

// Closes all in order and opens it again; or as after a crash at this moment. An engine is gone.
void rig_reopen(struct rig *rig);
void rig_crash(struct rig *rig);

// Makes the engine, with the parts of the rig and what else OPTIONS say.
void rig_start(struct rig *rig, struct wz_engine_options options);

// Ends it, and waits for that; fine when there is none.
void rig_stop(struct rig *rig);

// Makes CODE, bound to raw by "in.#" and by "in.b", the only script; NULL: no script. Or one with
// so many workers.
void rig_apply(struct rig *rig, const char *code);
void rig_apply_workers(struct rig *rig, const char *code, int workers);

// As above, and grants it writing in FOLDER.
void rig_apply_writing(struct rig *rig, const char *code, const char *folder);

// As rig_apply, but it is not to run.
void rig_apply_stopped(struct rig *rig, const char *code);

// Appends COUNT records of a body {"_id", "n": how many there were before} to raw-stream and shows
// them on the exchange.
void rig_feed(struct rig *rig, const char *topic, int64_t count);
void rig_feed_hops(struct rig *rig, const char *topic, int64_t count, uint8_t hops);

// The number in a body that rig_feed made.
int64_t rig_number(struct wz_slice body);

// What inputs of the rig's streams are made with. FILLED and CLOSED may do nothing.
struct wz_inputs_options rig_inputs_options(struct rig *rig, void *arg);

// A turn of the loop. Or turns until DONE says so; the test fails when that takes too long. Or
// until everything is durable.
void rig_turn(struct rig *rig);
void rig_run_until(struct rig *rig, bool (*done)(struct rig *rig, int64_t num), int64_t num);
void rig_settle(struct rig *rig);

// What stands on the board of the script: a number, and whether a text holds TEXT.
int64_t rig_board_int(struct rig *rig, const char *member);
bool rig_board_is(struct rig *rig, const char *member, const char *text);

// For rig_run_until: the script runs a document of at least revision NUM, is invalid, parked,
// stopped; so many outputs are there, records answered, records behind, workers started again.
bool rig_is_running(struct rig *rig, int64_t num);
bool rig_is_invalid(struct rig *rig, int64_t num);
bool rig_is_parked(struct rig *rig, int64_t num);
bool rig_is_stopped(struct rig *rig, int64_t num);
bool rig_has_outputs(struct rig *rig, int64_t num);
bool rig_has_answered(struct rig *rig, int64_t num);
bool rig_has_lag(struct rig *rig, int64_t num);
bool rig_has_restarted(struct rig *rig, int64_t num);

// The outputs are COUNT numbers from FIRST on, all but MISSING, each once, in order, with the right
// cause.
void rig_assert_numbers(struct rig *rig, int64_t first, int64_t count, int64_t missing);

// The outputs are the numbers from 1 to COUNT, in order, and their causes COUNT records from FIRST
// on, each once.
void rig_assert_counted(struct rig *rig, int64_t first, int64_t count);

// A group of the journal's, which is waited for until it may begin.
void rig_begin_group(struct rig *rig);
void rig_end_group(struct rig *rig);

// Inside one: sets entry number KEY of the state, in a lane of its own choice; VALUE NULL: takes it
// out.
void rig_put_change(struct wz_account *account, int key, const char *value);

// Inside one: puts a ledger whose position on raw-stream is BASE.
void rig_put_position(struct wz_account *account, uint64_t commit, int64_t base);
