// SPDX-License-Identifier: Apache-2.0
// Owns the order of a script's steps and what each waits for.
#include "engine/commits.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "engine/accounts.h"

// In front of an output in a part: flags, hops, lengths of parent, topic and body.
#define OUTPUT_LEN (1 + 1 + 1 + 1 + 4)
#define OUTPUT_PERSISTENT 0x01

// In front of the outputs of a part: the index of the first.
#define PART_LEN 4

// What a key costs in a group besides its bytes and its value's, at the most; and how many there
// are in one.
#define RECORD_COST 48
#define GROUP_RECORDS 60000

// So long a large step is put at a time, and so many changes of it in a group: others have their
// turn in between.
#define PUT_US 20000
#define PUT_CHANGES 16384

// So many bytes of changes, and the last one's rest, are staged as one.
#define STAGED_BYTES ((size_t)64 * 1024)

// What a step counts for besides its bytes.
#define STEP_COST ((size_t)1024)

enum stage {
    STAGE_OPEN,
    STAGE_PUTTING, // some of its groups are in the journal
    STAGE_PUT,
    STAGE_PROJECTED,
};

// Where a large step's way into the journal has come to.
enum putting {
    PUTTING_OUTPUTS, // a part a group
    PUTTING_STAGED,  // changes aside
    PUTTING_LEDGER,  // now it counts
    PUTTING_CHANGES, // changes into the state
};

// A part of a step's outputs: bytes from START up to the next part, FIRST is the index of its
// first.
struct part {
    size_t start;
    uint32_t first;
};

// A message that goes into quarantine (again), or leaves it when VALUE_LEN is 0.
struct quarantine_change {
    uint64_t number; // 0: a new one
    size_t value_len;
};

struct step {
    struct wz_list link;
    enum stage stage;
    bool sealed;   // nothing more is added: the streams are waited for, or somebody waits for it
    bool durable;  // as the script was when it began
    uint64_t made; // the how-manieth step it is
    uint64_t number;
    int64_t ends[WZ_SCRIPT_STREAM_COUNT]; // what must be durable first
    struct wz_buf outputs;
    struct wz_buf parts; // of struct part
    uint32_t output_count;
    struct wz_buf changes; // as frames have them
    uint32_t change_count;
    struct wz_buf quarantine; // of struct quarantine_change, each with its value behind it
    struct wz_buf positions;
    bool halts; // it changes what is said of that
    enum wz_halt halt;
    int64_t halt_revision;
    struct wz_buf remark;
    size_t counted; // of the bytes, in COMMITS
    enum putting putting;
    size_t put_at; // bytes, or parts, of what is being put
    uint32_t put_part;
    size_t staged_at;       // bytes of changes, of what is being put, that whole staged parts hold
    int64_t journal_offset; // of its last group
    bool found;             // it was read back, and some of its outputs may be published already
    size_t project_at;      // bytes of outputs that were published
    uint32_t project_index;
    int64_t processed_end;
};

static struct step *step_of(struct wz_list *link) { return WZ_CONTAINER(link, struct step, link); }

static size_t step_bytes(const struct step *step)
{
    return step->outputs.len + step->changes.len + step->quarantine.len;
}

// What a step takes in memory: of small ones there could be ever so many, and each advance looks at
// all of them.
static void count(struct wz_commits *commits, struct step *step)
{
    size_t bytes = step_bytes(step) + STEP_COST;

    commits->bytes += bytes - step->counted;
    step->counted = bytes;
}

static struct step *add_step(struct wz_commits *commits)
{
    struct step *step = wz_zalloc(1, sizeof(*step));

    step->durable = commits->options.durable;
    step->made = ++commits->made;
    wz_list_push(&commits->steps, &step->link);
    return step;
}

static void free_step(struct wz_commits *commits, struct step *step)
{
    commits->bytes -= step->counted;
    wz_list_remove(&step->link);
    wz_buf_release(&step->outputs);
    wz_buf_release(&step->parts);
    wz_buf_release(&step->changes);
    wz_buf_release(&step->quarantine);
    wz_buf_release(&step->positions);
    wz_buf_release(&step->remark);
    wz_free(step);
}

static bool may_grow(const struct wz_commits *commits, const struct step *step)
{
    return step->stage == STAGE_OPEN && !step->sealed &&
           step->durable == commits->options.durable && step_bytes(step) < WZ_COMMIT_STEP_BYTES;
}

// The step that results go into: one and the same for all of a frame, or a crash between two would
// leave outputs without the positions that go with them.
static struct step *open_step(struct wz_commits *commits)
{
    struct step *last = step_of(commits->steps.prev);
    bool goes_on = commits->taking;

    commits->taking = true;
    if (!wz_list_empty(&commits->steps) && (goes_on || may_grow(commits, last)))
        return last;
    return add_step(commits);
}

// Begins a part when there is none, or the last one is full.
static void ready_part(struct step *step)
{
    size_t n = step->parts.len / sizeof(struct part);
    const struct part *parts = (const struct part *)(const void *)step->parts.ptr;
    struct part part = {step->outputs.len, step->output_count};

    if (n == 0 || step->outputs.len - parts[n - 1].start >= WZ_COMMIT_PART_BYTES)
        wz_buf_add(&step->parts, &part, sizeof(part));
}

void wz_commits_output(struct wz_commits *commits, const struct wz_frame_item *output,
                       const struct wz_cause *cause)
{
    struct step *step = open_step(commits);
    uint8_t bytes[OUTPUT_LEN];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));

    ready_part(step);
    wz_pen_put_u8(&pen, output->persistent ? OUTPUT_PERSISTENT : 0);
    wz_pen_put_u8(&pen, (uint8_t)(cause->hops + 1));
    wz_pen_put_u8(&pen, (uint8_t)cause->id_len);
    wz_pen_put_u8(&pen, (uint8_t)output->topic.len);
    wz_pen_put_u32(&pen, (uint32_t)output->body.len);
    wz_buf_add(&step->outputs, bytes, sizeof(bytes));
    wz_buf_add(&step->outputs, cause->id, cause->id_len);
    wz_buf_add_slice(&step->outputs, output->topic);
    wz_buf_add_slice(&step->outputs, output->body);
    step->output_count++;
}

void wz_commits_change(struct wz_commits *commits, const struct wz_frame_entry *change)
{
    struct step *step;

    if (!commits->options.durable)
        return;
    step = open_step(commits);
    wz_frame_put_entry(&step->changes, change);
    step->change_count++;
}

void wz_commits_quarantine(struct wz_commits *commits, uint64_t number, struct wz_slice value)
{
    struct step *step = open_step(commits);
    struct quarantine_change change = {number, value.len};

    wz_buf_add(&step->quarantine, &change, sizeof(change));
    wz_buf_add_slice(&step->quarantine, value);
}

void wz_commits_release_message(struct wz_commits *commits, uint64_t number)
{
    wz_commits_quarantine(commits, number, (struct wz_slice){0});
}

void wz_commits_halt(struct wz_commits *commits, enum wz_halt halt, int64_t revision,
                     struct wz_slice remark)
{
    struct step *step = open_step(commits);

    step->halts = true;
    step->halt = halt;
    step->halt_revision = revision;
    step->remark.len = 0;
    wz_buf_add_slice(&step->remark, remark);
}

static bool has_content(const struct step *step) { return step_bytes(step) > 0 || step->halts; }

static void set_positions(struct step *step, const struct wz_inputs *inputs)
{
    step->positions.len = 0;
    wz_inputs_put_positions(inputs, &step->positions, step->ends);
}

void wz_commits_close(struct wz_commits *commits, const struct wz_inputs *inputs)
{
    struct step *last = step_of(commits->steps.prev);

    commits->taking = false;
    if (wz_list_empty(&commits->steps) || last->stage != STAGE_OPEN || last->sealed ||
        !has_content(last)) {
        commits->stale = true;
        return;
    }
    if (inputs) {
        set_positions(last, inputs);
        commits->stale = false;
    }
    count(commits, last);
    wz_commits_advance(commits);
}

void wz_commits_keep_positions(struct wz_commits *commits, struct wz_inputs *inputs)
{
    struct step *step;

    if (!commits->stale || !commits->options.durable)
        return;
    commits->stale = false;
    wz_inputs_settle(inputs);
    step = open_step(commits);
    commits->taking = false;
    set_positions(step, inputs);
    count(commits, step);
    wz_commits_advance(commits);
}

// Putting.

static struct wz_slice part_slice(const struct step *step, uint32_t number, uint32_t *ret_first)
{
    size_t n = step->parts.len / sizeof(struct part);
    const struct part *parts = (const struct part *)(const void *)step->parts.ptr;
    size_t end = number + 1 < n ? parts[number + 1].start : step->outputs.len;

    *ret_first = parts[number].first;
    return wz_slice(step->outputs.ptr + parts[number].start, end - parts[number].start);
}

static uint32_t part_count(const struct step *step)
{
    return (uint32_t)(step->parts.len / sizeof(struct part));
}

static void put_part(struct wz_commits *commits, struct step *step, uint32_t number)
{
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};
    uint8_t bytes[PART_LEN];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    uint32_t first;
    struct wz_slice outputs = part_slice(step, number, &first);

    wz_pen_put_u32(&pen, first);
    wz_buf_reserve(&value, sizeof(bytes) + outputs.len);
    wz_buf_add(&value, bytes, sizeof(bytes));
    wz_buf_add_slice(&value, outputs);
    wz_account_put_outputs(commits->options.account, step->number, number, wz_buf_slice(&value));
}

static struct wz_frame_iter changes_of(const struct step *step)
{
    return (struct wz_frame_iter){.cur = wz_cursor(wz_buf_slice(&step->changes)),
                                  .left = step->change_count};
}

static void put_quarantine(struct wz_commits *commits, struct step *step)
{
    struct wz_account *account = commits->options.account;
    struct quarantine_change change;

    for (size_t at = 0; at < step->quarantine.len; at += change.value_len) {
        struct wz_quarantined *message = NULL;
        struct wz_slice value;

        memcpy(&change, step->quarantine.ptr + at, sizeof(change));
        at += sizeof(change);
        value = wz_slice(step->quarantine.ptr + at, change.value_len);
        if (change.number > 0)
            message = wz_account_find_quarantined(account, change.number);
        if (change.number == 0)
            (void)wz_account_quarantine(account, value); // it is found by its number
        else if (message && value.len > 0)
            wz_account_quarantine_again(account, message, value);
        else if (message)
            wz_account_release(account, message);
    }
}

// What makes a step count: in one group.
static void put_ledger(struct wz_commits *commits, struct step *step)
{
    struct wz_account *account = commits->options.account;

    // All before it is on processed-stream: what a crash leaves of it is not looked for further
    // back.
    if (commits->steps.next == &step->link)
        account->mark = wz_log_next_offset(commits->options.logs[WZ_SCRIPT_PROCESSED]);
    put_quarantine(commits, step);
    if (step->halts)
        wz_account_halt(account, step->halt, step->halt_revision, wz_buf_slice(&step->remark));
    else if (account->place.offset < 0)
        wz_account_put(account);
    if (step->positions.len > 0)
        wz_account_put_ledger(account, step->number, wz_buf_slice(&step->positions));
}

static void put_small(struct wz_commits *commits, struct step *step)
{
    struct wz_frame_iter changes = changes_of(step);
    struct wz_frame_entry change;

    wz_journal_begin(commits->options.journal);
    for (uint32_t i = 0; i < part_count(step) && step->durable; i++)
        put_part(commits, step, i);
    while (wz_frame_next_entry(&changes, &change) == WZ_OK)
        wz_account_change(commits->options.account, &change);
    put_ledger(commits, step);
    wz_journal_end(commits->options.journal, &step->journal_offset);
}

// Whether the changes up to PUT_AT fill the staged part that begins at STAGED_AT.
static bool fills_staged(const struct step *step)
{
    return step->put_at - step->staged_at >= STAGED_BYTES || step->put_part == step->change_count;
}

// Puts changes, from PUT_AT on, as many staged parts as one group takes: aside, or into the state.
// Whether all of them are put.
static bool put_changes(struct wz_commits *commits, struct step *step, bool aside)
{
    struct wz_account *account = commits->options.account;
    struct wz_slice all = wz_buf_slice(&step->changes);
    struct wz_frame_iter it = {
        .cur = wz_cursor(wz_slice_sub(all, step->put_at, all.len - step->put_at)),
        .left = step->change_count - step->put_part,
    };
    struct wz_frame_entry change;
    size_t end = step->put_at + WZ_COMMIT_PART_BYTES;
    uint32_t last = step->put_part + PUT_CHANGES;

    while (wz_frame_next_entry(&it, &change) == WZ_OK) {
        step->put_at += WZ_FRAME_ENTRY_LEN + change.key.len + change.value.len;
        step->put_part++;
        if (!aside)
            wz_account_change(account, &change);
        if (!fills_staged(step))
            continue;
        if (aside)
            wz_account_put_staged(
                account, step->number, step->put_part,
                wz_slice_sub(all, step->staged_at, step->put_at - step->staged_at));
        else
            (void)wz_account_remove_staged(account); // its own: they are in order
        step->staged_at = step->put_at;
        if (step->put_at >= end || step->put_part >= last)
            break;
    }
    return step->put_part == step->change_count;
}

static void next_putting(struct step *step)
{
    step->putting++;
    step->put_at = 0;
    step->staged_at = 0;
    step->put_part = 0;
}

// One group of a large step. Whether it was the last.
static bool put_group(struct wz_commits *commits, struct step *step)
{
    switch (step->putting) {
    case PUTTING_OUTPUTS:
        if (step->put_part < part_count(step))
            put_part(commits, step, step->put_part++);
        if (step->put_part >= part_count(step))
            next_putting(step);
        return false;
    case PUTTING_STAGED:
        if (put_changes(commits, step, true))
            next_putting(step);
        return false;
    case PUTTING_LEDGER:
        put_ledger(commits, step);
        next_putting(step);
        return false;
    default:
        return put_changes(commits, step, false);
    }
}

// Whether all of a step goes into one group: what a key costs besides its bytes counts.
static bool fits_group(const struct step *step)
{
    size_t records = step->change_count + step->quarantine.len / sizeof(struct quarantine_change) +
                     part_count(step) + 2;

    return records <= GROUP_RECORDS &&
           step_bytes(step) + records * RECORD_COST <= WZ_COMMIT_GROUP_BYTES;
}

// Takes a step into the journal, as far as that takes it. Whether all of it is there.
static bool put_step(struct wz_commits *commits, struct step *step)
{
    int64_t start_us = wz_clock_mono_us();
    bool done = false;

    if (step->stage == STAGE_OPEN) {
        step->number = ++commits->last;
        step->journal_offset = -1;
        step->stage = STAGE_PUTTING;
    }
    if (fits_group(step)) {
        if (!wz_journal_ready(commits->options.journal))
            return false;
        put_small(commits, step);
        return true;
    }
    while (!done) {
        int64_t before = step->journal_offset;

        if (!wz_journal_ready(commits->options.journal))
            return false;
        wz_journal_begin(commits->options.journal);
        done = put_group(commits, step);
        wz_journal_end(commits->options.journal, &step->journal_offset);
        if (!done && step->journal_offset > before && wz_clock_mono_us() - start_us > PUT_US) {
            wz_log_want(
                wz_journal_log(commits->options.journal)); // when that is durable it goes on
            return false;
        }
    }
    return true;
}

static bool streams_durable(const struct wz_commits *commits, struct step *step)
{
    bool durable = true;

    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++) {
        if (wz_log_durable_end(commits->options.logs[i]) >= step->ends[i])
            continue;
        wz_log_want(commits->options.logs[i]);
        step->sealed = true; // or under steady load it would wait for ever
        durable = false;
    }
    return durable;
}

static bool needs_journal(const struct step *step)
{
    return step->durable || step->quarantine.len > 0 || step->halts;
}

// Projection.

static int publish(struct wz_commits *commits, struct step *step, struct wz_cursor *cur)
{
    struct wz_output output;
    char text[WZ_COMMIT_TEXT_MAX];
    uint8_t flags = wz_cursor_get_u8(cur);
    size_t parent_len;
    size_t topic_len;
    size_t body_len;

    output.hops = wz_cursor_get_u8(cur);
    parent_len = wz_cursor_get_u8(cur);
    topic_len = wz_cursor_get_u8(cur);
    body_len = wz_cursor_get_u32(cur);
    output.parent = wz_cursor_get_bytes(cur, parent_len);
    output.topic = wz_cursor_get_bytes(cur, topic_len);
    output.body = wz_cursor_get_bytes(cur, body_len);
    output.persistent = (flags & OUTPUT_PERSISTENT) != 0;
    output.commit = (struct wz_slice){0};
    if (cur->failed)
        return WZ_ERR_CORRUPT;
    if (step->durable)
        output.commit = wz_slice(text, wz_commit_text(commits->options.account, step->number,
                                                      step->project_index, text));
    return wz_egress_publish(commits->options.egress, &output);
}

// Publishes the outputs of a step. Whether all are.
static bool project(struct wz_commits *commits, struct step *step)
{
    struct wz_slice all = wz_buf_slice(&step->outputs);

    while (step->project_at < all.len) {
        struct wz_cursor cur =
            wz_cursor(wz_slice_sub(all, step->project_at, all.len - step->project_at));
        int r = publish(commits, step, &cur);

        if (r == WZ_ERR_BUSY) {
            commits->waits_for_bus = true;
            return false;
        }
        if (r < 0) { // read back, and damaged where no checksum tells
            WZ_LOG(WZ_LOG_ERROR, "script.outputs-lost",
                   WZ_F_SLICE("script", commits->options.egress->script), WZ_F_ERR(r));
            break;
        }
        step->project_at = all.len - wz_cursor_left(&cur);
        step->project_index++;
    }
    step->processed_end = wz_log_next_offset(commits->options.logs[WZ_SCRIPT_PROCESSED]);
    step->stage = STAGE_PROJECTED;
    return true;
}

static bool journal_durable(const struct wz_commits *commits, const struct step *step)
{
    struct wz_log *log = wz_journal_log(commits->options.journal);

    if (wz_log_durable_end(log) > step->journal_offset)
        return true;
    wz_log_want(log);
    return false;
}

// Whether a step that is projected is done with.
static bool finish(struct wz_commits *commits, struct step *step)
{
    struct wz_log *processed = commits->options.logs[WZ_SCRIPT_PROCESSED];
    struct wz_account *account = commits->options.account;
    const struct step *next = step->link.next == &commits->steps ? NULL : step_of(step->link.next);
    bool last = !next || next->number != step->number;
    uint64_t number = last ? step->number : step->number - 1; // read back, a part is a step
    bool marks = step->output_count > 0 && last && (!next || !next->found);

    if (!step->durable)
        return true;
    if (step->output_count > 0 && wz_log_durable_end(processed) < step->processed_end) {
        wz_log_want(processed);
        return false;
    }
    // What an earlier life has published of the next one stands below this one's end.
    wz_account_project(account, number, marks ? step->processed_end : account->mark);
    return true;
}

// Takes a step as far as it goes. False: those behind it may not overtake it.
static bool take_on(struct wz_commits *commits, struct step *step, bool *may_put, bool *may_project)
{
    if (step->stage <= STAGE_PUTTING) {
        if (!*may_put || (step->durable && !streams_durable(commits, step)))
            return *may_put = false;
        if (needs_journal(step) && !put_step(commits, step))
            return *may_put = false;
        step->stage = STAGE_PUT;
    }
    if (step->stage == STAGE_PUT) {
        if (!*may_project || (needs_journal(step) && !journal_durable(commits, step)) ||
            !project(commits, step))
            return *may_project = false;
    }
    return true;
}

void wz_commits_advance(struct wz_commits *commits)
{
    struct wz_list *it;
    struct wz_list *tmp;
    bool may_put = true;
    bool may_project = true;

    if (commits->advancing || commits->taking)
        return; // publishing has come back to here, or the end of the frame will
    commits->advancing = true;
    commits->waits_for_bus = false;
    WZ_LIST_EACH(it, tmp, &commits->steps)
    {
        (void)take_on(commits, step_of(it), &may_put, &may_project); // what it says is in both
        if (!may_put)
            break;
    }
    while (!wz_list_empty(&commits->steps)) {
        struct step *first = step_of(commits->steps.next);

        if (first->stage != STAGE_PROJECTED || !finish(commits, first))
            break;
        free_step(commits, first);
    }
    commits->advancing = false;
    if (commits->waits_for_bus)
        commits->options.busy(commits->options.arg);
    commits->options.advanced(commits->options.arg);
}

uint64_t wz_commits_mark(struct wz_commits *commits)
{
    WZ_ASSERT(!commits->taking);
    if (!wz_list_empty(&commits->steps))
        step_of(commits->steps.prev)->sealed = true;
    return commits->made;
}

bool wz_commits_written(const struct wz_commits *commits, uint64_t mark)
{
    struct wz_log *log = wz_journal_log(commits->options.journal);
    struct wz_list *it;
    struct wz_list *tmp;

    if (wz_log_durable_end(log) < commits->start) {
        wz_log_want(log);
        return false;
    }
    WZ_LIST_EACH(it, tmp, (struct wz_list *)&commits->steps)
    {
        const struct step *step = step_of(it);

        if (step->made > mark)
            break;
        if (step->stage < STAGE_PUT || !journal_durable(commits, step))
            return false;
    }
    return true;
}

// Reading back.

// The outputs of PART behind the first SKIP of its step.
static struct wz_slice skip_outputs(struct wz_slice part, uint32_t skip, uint32_t *ret_index)
{
    struct wz_cursor cur = wz_cursor(part);

    *ret_index = wz_cursor_get_u32(&cur);
    while (!cur.failed && *ret_index < skip && wz_cursor_left(&cur) > 0) {
        size_t len;

        (void)wz_cursor_get_u16(&cur); // flags, hops
        len = wz_cursor_get_u8(&cur);
        len += wz_cursor_get_u8(&cur);
        len += wz_cursor_get_u32(&cur);
        (void)wz_cursor_get_bytes(&cur, len); // on processed-stream already
        ++*ret_index;
    }
    return wz_cursor_get_bytes(&cur, wz_cursor_left(&cur));
}

static void restore(struct wz_commits *commits, const struct wz_stored_part *part,
                    struct wz_projection projection)
{
    uint64_t number = wz_stored_part_commit(part);
    uint32_t skip = number < projection.commit    ? UINT32_MAX
                    : number == projection.commit ? projection.index
                                                  : 0;
    struct step *step = add_step(commits);

    step->stage = STAGE_PUT;
    step->number = number;
    step->found = number <= projection.commit;
    step->journal_offset = -1; // it has been read there
    wz_buf_add_slice(&step->outputs,
                     skip_outputs(wz_buf_slice(&part->value), skip, &step->project_index));
    step->output_count = 1; // or none: then processed-stream has them, and is durable
    count(commits, step);
}

void wz_commits_init(struct wz_commits *commits, const struct wz_commits_options *options,
                     struct wz_projection projection)
{
    struct wz_list *it;
    struct wz_list *tmp;

    *commits = (struct wz_commits){
        .options = *options,
        .last = options->account->commit,
        .start = wz_log_next_offset(wz_journal_log(options->journal)),
    };
    wz_list_init(&commits->steps);
    WZ_LIST_EACH(it, tmp, &options->account->outputs)
    {
        struct wz_stored_part *part = WZ_CONTAINER(it, struct wz_stored_part, link);

        restore(commits, part, projection);
        wz_buf_release(&part->value);
    }
}

void wz_commits_release(struct wz_commits *commits)
{
    while (!wz_list_empty(&commits->steps))
        free_step(commits, step_of(commits->steps.next));
}
