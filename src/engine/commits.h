// SPDX-License-Identifier: Apache-2.0
// A script's steps on their way to being durable, in order. A step is what a frame of results says:
// positions, changes of state, outputs, messages for quarantine. Loop thread only.
//
//   open       results come in; waits for the streams it read from to be durable
//   put        its groups are in the journal; waits for them to be durable
//   projected  its outputs are on processed-stream; waits for them to be durable
//
// Frames that wait together become one step; a frame is never split. Nothing of a step is seen
// outside before it is durable.
#pragma once

#include "bus/bus.h"
#include "engine/accounts.h"
#include "engine/egress.h"
#include "engine/inputs.h"

// A step that has grown to this is not added to; a part of its outputs in the journal; more than
// this does not go into one group.
#define WZ_COMMIT_STEP_BYTES (1024 * 1024)
#define WZ_COMMIT_PART_BYTES (1024 * 1024)
#define WZ_COMMIT_GROUP_BYTES (3 * 1024 * 1024)

// So much on its way, and the script is to be given no more and its results not read.
#define WZ_COMMITS_MAX_BYTES (8 * 1024 * 1024)

// Called when a step has come further: there may be room again, or all may be done.
typedef void (*wz_commits_advanced_fn)(void *arg);

// What steps need. All that is pointed to outlives them. DURABLE false: nothing goes into the
// journal but quarantine, outputs leave at once, and a crash may lose or double them.
struct wz_commits_options {
    struct wz_journal *journal;
    struct wz_log *logs[WZ_SCRIPT_STREAM_COUNT];
    struct wz_egress *egress;
    struct wz_account *account;
    bool durable;
    wz_commits_advanced_fn advanced;
    wz_commits_advanced_fn busy; // the bus takes nothing: call wz_commits_advance when it does
    void *arg;
};

// A script's steps. All zero and then wz_commits_init is none.
struct wz_commits {
    struct wz_commits_options options;
    struct wz_list steps;
    size_t bytes; // of all steps
    bool taking;  // a frame is being added to the last one, up to wz_commits_close
    bool stale;   // positions are further on than any step says
    bool advancing;
    bool waits_for_bus;
    uint64_t last; // number of the last step that was put
    uint64_t made; // steps that there were
    int64_t start; // of the journal: recovery has put what is before
};

// Starts, with the outputs that the journal has and processed-stream has not: PROJECTION says how
// far that is.
void wz_commits_init(struct wz_commits *commits, const struct wz_commits_options *options,
                     struct wz_projection projection);

// Forgets all steps: the journal has what counts of them.
void wz_commits_release(struct wz_commits *commits);

// Adds an output of the record behind CAUSE.
void wz_commits_output(struct wz_commits *commits, const struct wz_frame_item *output,
                       const struct wz_cause *cause);

// Adds a change of the state.
void wz_commits_change(struct wz_commits *commits, const struct wz_frame_entry *change);

// A message goes into quarantine, VALUE is wz_quarantine_put's; NUMBER: it is there already, under
// that number; 0: it is not.
void wz_commits_quarantine(struct wz_commits *commits, uint64_t number, struct wz_slice value);

// A message leaves quarantine.
void wz_commits_release_message(struct wz_commits *commits, uint64_t number);

// The script ends with a remark, or is parked with one, or (WZ_HALT_NONE) may run again.
void wz_commits_halt(struct wz_commits *commits, enum wz_halt halt, int64_t revision,
                     struct wz_slice remark);

// Ends a frame of results: INPUTS are where they are now, and what was added since the last call
// belongs to that; NULL: the positions are as they were. Nothing added: they are kept later.
void wz_commits_close(struct wz_commits *commits, const struct wz_inputs *inputs);

// Keeps the positions now if they are further on than what is kept.
void wz_commits_keep_positions(struct wz_commits *commits, struct wz_inputs *inputs);

// Takes steps on as far as they go: called when something has become durable, and when the bus is
// ready.
void wz_commits_advance(struct wz_commits *commits);

// Whether there is room for more results.
static inline bool wz_commits_ready(const struct wz_commits *commits)
{
    return commits->bytes < WZ_COMMITS_MAX_BYTES;
}

// Whether no step is on its way.
static inline bool wz_commits_idle(const struct wz_commits *commits)
{
    return wz_list_empty(&commits->steps);
}

// What has been added so far, for wz_commits_written; what is added from here on is not of it.
uint64_t wz_commits_mark(struct wz_commits *commits);

// Whether all changes of state up to MARK are in the journal and can be read there.
bool wz_commits_written(const struct wz_commits *commits, uint64_t mark);
