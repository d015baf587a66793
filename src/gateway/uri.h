// SPDX-License-Identifier: Apache-2.0
// The parts of a request's target: percent-encoding (RFC 3986, section 2.1) and queries.
#pragma once

#include "base/buf.h"
#include "base/err.h"

// Adds the bytes that S stands for. WZ_ERR_INVALID for a '%' without two hex digits, and for an
// encoded NUL. RET_BUF is then left as it was.
WZ_MUST int wz_uri_decode(struct wz_slice s, struct wz_buf *ret_buf);

// Adds S so that it can stand as one segment of a path or one value of a query: all but letters,
// digits and "-._~" is encoded.
void wz_uri_encode(struct wz_buf *buf, struct wz_slice s);

// Splits a target into path and query, both still encoded; the query is empty when there is none.
void wz_uri_split(struct wz_slice target, struct wz_slice *ret_path, struct wz_slice *ret_query);

// Takes the next "name=value" off QUERY, both still encoded; false after the last one. Empty ones
// are skipped.
bool wz_uri_query_next(struct wz_slice *query, struct wz_slice *ret_name,
                       struct wz_slice *ret_value);

// Adds the decoded value of the query's first parameter NAME ('+' is a space). WZ_ERR_NOT_FOUND
// when there is none, WZ_ERR_INVALID when it is not encoded rightly.
WZ_MUST int wz_uri_query_find(struct wz_slice query, const char *name, struct wz_buf *ret_buf);
