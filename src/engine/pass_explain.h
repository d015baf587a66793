// SPDX-License-Identifier: Apache-2.0
// Says, for people, which rules of the passthrough would decide about a record. Pure; any thread.
#pragma once

#include <jansson.h>

#include "base/slice.h"
#include "store/store.h"

// The rules in DOCUMENTS, of the collection passthrough, that are active and match TOPIC, as an
// array in the order in which they are tried, the caller's. Each has "rule", its name, "pattern",
// "order" and "decides": true for the first, which decides alone. That one has "topic", under which
// the record would stand on processed-stream, unless it can be none, and "note" when it may be
// dropped, by what came before or always. The others have a "note", too.
json_t *wz_pass_explain(const struct wz_document_list *documents, struct wz_slice topic);
