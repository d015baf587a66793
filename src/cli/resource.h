// SPDX-License-Identifier: Apache-2.0
// What most commands do with one address of the API: ask, and print what comes. Those that return
// an exit code have filled the cli's problem when it is not WZ_EXIT_OK.
#pragma once

#include "cli/cli.h"

// The row of a list's item; the caller owns it.
typedef json_t *(*wz_resource_row_fn)(const json_t *item);

// Writes "/api/v1/" FRONT NAME REST into BUF, over what was there, with NAME encoded (NULL: none);
// returns its text.
const char *wz_resource_target(struct wz_buf *buf, const char *front, const char *name,
                               const char *rest);

// Asks, and gives the answer as JSON, which the caller owns; NULL, with the cli's problem filled,
// when RET_R is an error. RET_REVISION, unless NULL, becomes that of an answer.
json_t *wz_resource_ask(struct wz_cli *cli, const char *method, const char *target,
                        struct wz_slice body, int64_t *ret_revision, int *ret_r);

// Reads what is there; as wz_resource_ask.
json_t *wz_resource_get(struct wz_cli *cli, const char *target, int *ret_r);

// Asks, and prints nothing. WZ_OK or an error, with the cli's problem filled. BODY is compact JSON.
WZ_MUST int wz_resource_do(struct wz_cli *cli, const char *method, const char *target,
                           struct wz_slice body);

// Asks with BODY, which is taken over, and prints nothing. A body that is NULL, because a word was
// not UTF-8, is refused. Returns an exit code.
int wz_resource_send(struct wz_cli *cli, const char *method, const char *target, json_t *body);

// Takes a command's word that is a document, or the file of one of at most MAX bytes. On failure
// the cli's problem is filled.
WZ_MUST int wz_resource_read_body(struct wz_cli *cli, const char *word, size_t max,
                                  struct wz_buf *ret_body);

// Puts BODY there, if PATH is NULL or what is there still is what the file PATH says, an export of
// at most MAX bytes. RET_REPLY is the caller's to release.
WZ_MUST int wz_resource_put(struct wz_cli *cli, const char *target, struct wz_slice body,
                            const char *path, size_t max, struct wz_reply *ret_reply);

// Removes it. Returns an exit code.
int wz_resource_remove(struct wz_cli *cli, const char *target);

// Prints it. Returns an exit code.
int wz_resource_show(struct wz_cli *cli, const char *target);

// Prints the list that is there, each item as ROW makes it (NULL: as it is). Returns an exit code.
int wz_resource_list(struct wz_cli *cli, const char *target, wz_resource_row_fn row,
                     const struct wz_column *columns, size_t column_count);
