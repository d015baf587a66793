// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 (RFC 9112) as bytes: heads and bodies of requests and answers, without I/O. Used by the
// server and by the command line's client, so both have one idea of where a message ends.
#pragma once

#include "base/buf.h"
#include "base/err.h"

// A head longer than this, or with more fields, is refused.
#define WZ_HTTP_HEAD_MAX (16 * 1024)
#define WZ_HTTP_FIELDS_MAX 64

// One field line; the value is trimmed. Borrows the head's bytes.
struct wz_http_field {
    struct wz_slice name;
    struct wz_slice value;
};

// A head. Everything borrows the bytes it was read from.
struct wz_http_head {
    struct wz_slice method; // of a request
    struct wz_slice target; // of a request, in origin form ("/path?query")
    int status;             // of an answer
    int minor;              // HTTP/1.minor
    struct wz_http_field fields[WZ_HTTP_FIELDS_MAX];
    size_t field_count;
    int64_t content_length; // -1: not said
    bool chunked;
    bool close; // no further message on this connection
};

// The length of the head at the front of S, with its empty line, or 0 while it is not whole. Looks
// from FROM on, below which no end can be (a length of S at which it was not whole).
size_t wz_http_head_len(struct wz_slice s, size_t from);

// Reads a request's head, which is the whole of S. WZ_ERR_PROTOCOL when it is malformed or its
// framing could be read in two ways (RFC 9112, sections 2.2, 3, 5 and 6.3), WZ_ERR_UNSUPPORTED for
// another major version or a transfer coding other than chunked, WZ_ERR_LIMIT for too many fields.
WZ_MUST int wz_http_read_request(struct wz_slice s, struct wz_http_head *ret_head);

// Reads an answer's head, as above.
WZ_MUST int wz_http_read_answer(struct wz_slice s, struct wz_http_head *ret_head);

// The value of the field NAME, in any case; an empty slice with NULL when there is none.
struct wz_slice wz_http_field(const struct wz_http_head *head, const char *name);

enum wz_http_body_state {
    WZ_HTTP_BODY_DONE,
    WZ_HTTP_BODY_COUNTED,    // LEFT bytes to come
    WZ_HTTP_BODY_UNTIL_END,  // all that comes, until the connection ends
    WZ_HTTP_BODY_CHUNK_SIZE, // a chunk's size line
    WZ_HTTP_BODY_CHUNK,      // LEFT bytes of a chunk
    WZ_HTTP_BODY_CHUNK_END,  // the line end behind a chunk
    WZ_HTTP_BODY_TRAILER,    // field lines behind the last chunk, which are dropped
};

// Where a body's reading stands.
struct wz_http_body {
    enum wz_http_body_state state;
    int64_t left;
    size_t trailer_bytes;
};

// The body that follows a request's head.
void wz_http_body_of_request(struct wz_http_body *body, const struct wz_http_head *head);

// The body that follows an answer's head; METHOD is that of the request, because HEAD
// has none.
void wz_http_body_of_answer(struct wz_http_body *body, const struct wz_http_head *head,
                            struct wz_slice method);

// Takes the next piece of the body off the front of INPUT into RET_PIECE (borrowed). WZ_OK with a
// piece, WZ_AGAIN when more input is needed, WZ_END when the body is complete (INPUT then holds
// what follows it), WZ_ERR_PROTOCOL.
WZ_MUST int wz_http_body_next(struct wz_http_body *body, struct wz_slice *input,
                              struct wz_slice *ret_piece);

// Adds LEN bytes at PTR as one chunk; LEN 0 would end the body and adds nothing.
void wz_http_add_chunk(struct wz_buf *buf, const void *ptr, size_t len);

// Ends a body of chunks.
void wz_http_add_last_chunk(struct wz_buf *buf);

// The reason phrase of a status ("Not Found").
const char *wz_http_reason(int status);
