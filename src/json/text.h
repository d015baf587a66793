// SPDX-License-Identifier: Apache-2.0
// Writing JSON text and base64 by hand, where no document is built.
#pragma once

#include "base/buf.h"
#include "base/err.h"

// Adds S, which must be well-formed UTF-8, as a JSON string with its quotes. Only what RFC 8259
// section 7 demands is escaped.
void wz_json_add_string(struct wz_buf *buf, struct wz_slice s);

// Adds the bytes of S as a JSON string with quotes that holds them in base64 (RFC 4648 section 4).
void wz_json_add_base64(struct wz_buf *buf, struct wz_slice s);

// Adds the bytes that the base64 text S (no quotes) stands for. WZ_ERR_INVALID for what is no
// base64; BUF is then as it was.
WZ_MUST int wz_json_add_decoded_base64(struct wz_buf *buf, struct wz_slice s);

// Adds the JSON value S, which must be valid, without the white space between its tokens.
void wz_json_add_compact(struct wz_buf *buf, struct wz_slice s);

// Adds the text that the JSON string S (with its quotes, valid) stands for, as UTF-8; a lone
// surrogate becomes U+FFFD.
void wz_json_add_unescaped(struct wz_buf *buf, struct wz_slice s);
