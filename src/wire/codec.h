// SPDX-License-Identifier: Apache-2.0
// Record batches whose records are compressed with zstd (Kafka's codec 4), and back. The header
// stays as it is, but for length, codec and checksum: offsets, times and count are the same.
#pragma once

#include "base/buf.h"
#include "wire/batch.h"

// What it takes to compress and to decompress, kept from one batch to the next. All zero is ready;
// wz_codec_release frees it. Of one thread at a time.
struct wz_codec {
    void *packs;   // ZSTD_CCtx
    void *unpacks; // ZSTD_DCtx
};

// Frees what it holds.
void wz_codec_release(struct wz_codec *codec);

// Adds the batch S, of its own length and not compressed, to RET_BUF with its records compressed at
// LEVEL, sealed. WZ_END, and nothing added, when that would not be shorter.
WZ_MUST int wz_codec_pack(struct wz_codec *codec, struct wz_slice s, int level,
                          struct wz_buf *ret_buf);

// Turns the batch S, whose header INFO is, into one that is not compressed: RET_BATCH and RET_INFO
// are then as of a batch that never was, but that its checksum is not right. Its bytes are put into
// BUF, over what was there. A batch that is not compressed is RET_BATCH itself. WZ_ERR_CORRUPT for
// another codec, what zstd cannot read, what does not say how long it gets, and more than a batch
// may have.
WZ_MUST int wz_codec_unpack(struct wz_codec *codec, struct wz_slice s,
                            const struct wz_batch_info *info, struct wz_buf *buf,
                            struct wz_slice *ret_batch, struct wz_batch_info *ret_info);
