// SPDX-License-Identifier: Apache-2.0
// A record's headers and value in one piece, for who is given both as a body.
#pragma once

#include "base/buf.h"
#include "wire/batch.h"

// What wz_headed_get takes apart; borrowed from the piece.
struct wz_headed {
    struct wz_slice headers; // encoded, for wz_record_header_next
    int header_count;
    struct wz_slice value;
};

// Adds the headers, which are HEADER_COUNT in PIECE_COUNT pieces, and the value to BUF.
void wz_headed_put(struct wz_buf *buf, const struct wz_slice *pieces, int piece_count,
                   int header_count, struct wz_slice value);

// Takes a piece apart. False when it was not made by wz_headed_put.
WZ_MUST bool wz_headed_get(struct wz_slice piece, struct wz_headed *ret_headed);
