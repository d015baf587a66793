// SPDX-License-Identifier: Apache-2.0
// The accounts of all scripts, as the journal has them: read back at start, found by name, and what
// a crash left between the journal and processed-stream. Loop thread only.
#pragma once

#include "engine/account.h"

struct wz_accounts;

// Where a script's outputs stand on processed-stream after a crash: those of commits before COMMIT,
// and of COMMIT those before INDEX, are there.
struct wz_projection {
    uint64_t commit;
    uint32_t index;
};

// Joins the journal, which is not read yet. The caller owns it; it must be freed before the
// journal.
struct wz_accounts *wz_accounts_new(struct wz_journal *journal);

// Frees all accounts.
void wz_accounts_free(struct wz_accounts *accounts);

// After the journal is read: finds out which outputs PROCESSED has, and puts an end to what a crash
// left half done. WZ_ERR_* of the stream, with RET_PROBLEM.
WZ_MUST int wz_accounts_recover(struct wz_accounts *accounts, struct wz_log *processed,
                                struct wz_problem *ret_problem);

// The offset on processed-stream from which on a crash now would have outputs looked for;
// INT64_MAX: nowhere.
int64_t wz_accounts_needed(const struct wz_accounts *accounts);

// The account of the script NAME that nobody uses, made if there is none. Whoever asks uses it.
struct wz_account *wz_accounts_use(struct wz_accounts *accounts, const char *name);

// What recovery found of an account.
struct wz_projection wz_accounts_projection(const struct wz_accounts *accounts,
                                            const struct wz_account *account);

// Its document is gone, but its script still has steps to end: its name is taken out of the
// journal, now or as the journal takes it. Whoever uses it goes on, and ends with
// wz_accounts_remove.
void wz_accounts_disown(struct wz_accounts *accounts, struct wz_account *account);

// Whether the names of all that is gone are out of the journal, durable or not.
bool wz_accounts_disowned(const struct wz_accounts *accounts);

// Its script is gone: its keys are taken out, now or as the journal takes it, and it is freed.
void wz_accounts_remove(struct wz_accounts *accounts, struct wz_account *account);

// The script NAME was removed and a crash came before that was in the journal: what is there of it
// is taken out, as above, unless a script uses it.
void wz_accounts_forget(struct wz_accounts *accounts, const char *name);

// Goes on with what the journal did not take.
void wz_accounts_durable(struct wz_accounts *accounts);

// The record header `commit` of an output: script, commit and index as decimal numbers.
#define WZ_COMMIT_TEXT_MAX 56
size_t wz_commit_text(const struct wz_account *account, uint64_t commit, uint32_t index,
                      char ret_text[WZ_COMMIT_TEXT_MAX]);
