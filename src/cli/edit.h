// SPDX-License-Identifier: Apache-2.0
// Changing members of a document and leaving the others as they are.
#pragma once

#include "cli/cli.h"

// Changes a document's body; a failure fills the cli's problem.
typedef int (*wz_edit_fn)(struct wz_cli *cli, json_t *body);

// Reads the document at TARGET, an empty one when it is not there, has EDIT change it, and saves
// it; once more when somebody else was faster. On failure the cli's problem is filled.
WZ_MUST int wz_edit_document(struct wz_cli *cli, const char *target, wz_edit_fn edit);

// Sets MEMBER to a text. WZ_ERR_INVALID, with a problem, when that is not UTF-8.
WZ_MUST int wz_edit_set_text(struct wz_cli *cli, json_t *body, const char *member,
                             const char *text);

// Does what the options --set NAME=VALUE and --unset NAME say. VALUE is JSON, or else a text; a
// NAME like "channels.M" is the member M of the member "channels".
WZ_MUST int wz_edit_by_options(struct wz_cli *cli, json_t *body);
