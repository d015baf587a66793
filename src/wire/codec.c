// SPDX-License-Identifier: Apache-2.0
// Owns the way of a batch through libzstd. How long it gets is checked before anything is
// decompressed, and nothing is written past that.
#include "wire/codec.h"

#include <zstd.h>

#include "base/mem.h"

// Shorter matches, which zstd would take in what is short itself, make records hardly shorter and
// take longer to decompress.
#define MATCH_MIN 5

void wz_codec_release(struct wz_codec *codec)
{
    (void)ZSTD_freeCCtx(codec->packs); // these two cannot fail; NULL is fine
    (void)ZSTD_freeDCtx(codec->unpacks);
    *codec = (struct wz_codec){0};
}

// Sets length and attributes in the header at the front of a batch of LEN bytes.
static void put_header(uint8_t *bytes, size_t len, uint16_t attributes)
{
    struct wz_pen pen = wz_pen(bytes + WZ_BATCH_LENGTH_POS, 4);

    wz_pen_put_u32(&pen, (uint32_t)(len - WZ_BATCH_PREFIX_LEN));
    pen = wz_pen(bytes + WZ_BATCH_ATTRIBUTES_POS, 2);
    wz_pen_put_u16(&pen, attributes);
}

int wz_codec_pack(struct wz_codec *codec, struct wz_slice s, int level, struct wz_buf *ret_buf)
{
    size_t records_len = s.len - WZ_BATCH_HEADER_LEN;
    struct wz_batch_info info;
    uint8_t *to;
    size_t len;

    WZ_ASSERT(wz_batch_read(s, &info) == WZ_OK && info.len == s.len &&
              (info.attributes & WZ_BATCH_CODEC) == 0);
    if (codec->packs == NULL)
        codec->packs = ZSTD_createCCtx();
    WZ_ASSERT(codec->packs != NULL); // as all our memory
    // Neither fails for a context that is at rest: a level is put into range.
    (void)ZSTD_CCtx_setParameter(codec->packs, ZSTD_c_compressionLevel, level);
    (void)ZSTD_CCtx_setParameter(codec->packs, ZSTD_c_minMatch, MATCH_MIN);
    wz_buf_reserve(ret_buf, s.len);
    to = ret_buf->ptr + ret_buf->len;
    // What does not fit is not shorter.
    len = ZSTD_compress2(codec->packs, to + WZ_BATCH_HEADER_LEN, records_len,
                         s.ptr + WZ_BATCH_HEADER_LEN, records_len);
    if (ZSTD_isError(len) || len >= records_len)
        return WZ_END;
    memcpy(to, s.ptr, WZ_BATCH_HEADER_LEN);
    len += WZ_BATCH_HEADER_LEN;
    put_header(to, len, info.attributes | WZ_BATCH_ZSTD);
    wz_batch_seal(to, len);
    ret_buf->len += len;
    return WZ_OK;
}

int wz_codec_unpack(struct wz_codec *codec, struct wz_slice s, const struct wz_batch_info *info,
                    struct wz_buf *buf, struct wz_slice *ret_batch, struct wz_batch_info *ret_info)
{
    struct wz_slice packed = wz_slice_sub(s, WZ_BATCH_HEADER_LEN, s.len - WZ_BATCH_HEADER_LEN);
    struct wz_batch_info unpacked = *info;
    unsigned long long len;

    WZ_ASSERT(s.len == info->len);
    if ((info->attributes & WZ_BATCH_CODEC) == 0) {
        *ret_batch = s;
        *ret_info = *info;
        return WZ_OK;
    }
    if ((info->attributes & WZ_BATCH_CODEC) != WZ_BATCH_ZSTD)
        return WZ_ERR_CORRUPT;
    len = ZSTD_getFrameContentSize(packed.ptr, packed.len); // unknown and wrong ones are larger
    if (len > WZ_BATCH_LIMIT_BYTES - WZ_BATCH_HEADER_LEN)
        return WZ_ERR_CORRUPT;
    if (codec->unpacks == NULL)
        codec->unpacks = ZSTD_createDCtx();
    WZ_ASSERT(codec->unpacks != NULL); // as all our memory
    buf->len = 0;
    wz_buf_reserve(buf, WZ_BATCH_HEADER_LEN + (size_t)len);
    if (ZSTD_decompressDCtx(codec->unpacks, buf->ptr + WZ_BATCH_HEADER_LEN, (size_t)len, packed.ptr,
                            packed.len) != len)
        return WZ_ERR_CORRUPT;
    buf->len = WZ_BATCH_HEADER_LEN + (size_t)len;
    memcpy(buf->ptr, s.ptr, WZ_BATCH_HEADER_LEN);
    unpacked.packed_len = s.len;
    unpacked.len = buf->len;
    unpacked.attributes &= (uint16_t)~WZ_BATCH_CODEC;
    put_header(buf->ptr, buf->len, unpacked.attributes);
    *ret_batch = wz_buf_slice(buf);
    *ret_info = unpacked;
    return WZ_OK;
}
