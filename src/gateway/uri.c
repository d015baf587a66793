// SPDX-License-Identifier: Apache-2.0
// Owns percent-encoding and the splitting of targets.
#include "gateway/uri.h"

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode(struct wz_slice s, bool plus, struct wz_buf *ret_buf)
{
    size_t before = ret_buf->len;

    for (size_t i = 0; i < s.len; i++) {
        int c = s.ptr[i];

        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < s.len ? hex(s.ptr[i + 1]) : -1;
            int low = i + 2 < s.len ? hex(s.ptr[i + 2]) : -1;

            c = high < 0 || low < 0 ? 0 : high * 16 + low;
            i += 2;
        }
        if (c == 0) {
            ret_buf->len = before;
            return WZ_ERR_INVALID;
        }
        wz_buf_add_byte(ret_buf, (uint8_t)c);
    }
    return WZ_OK;
}

int wz_uri_decode(struct wz_slice s, struct wz_buf *ret_buf) { return decode(s, false, ret_buf); }

void wz_uri_encode(struct wz_buf *buf, struct wz_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '-' || c == '.' || c == '_' || c == '~';

        if (plain)
            wz_buf_add_byte(buf, c);
        else
            wz_buf_addf(buf, "%%%02X", c);
    }
}

void wz_uri_split(struct wz_slice target, struct wz_slice *ret_path, struct wz_slice *ret_query)
{
    const uint8_t *mark = target.len > 0 ? memchr(target.ptr, '?', target.len) : NULL;
    size_t len = mark != NULL ? (size_t)(mark - target.ptr) : target.len;

    *ret_path = wz_slice(target.ptr, len);
    *ret_query = mark != NULL ? wz_slice(mark + 1, target.len - len - 1) : wz_slice(NULL, 0);
}

bool wz_uri_query_next(struct wz_slice *query, struct wz_slice *ret_name,
                       struct wz_slice *ret_value)
{
    while (query->len > 0) {
        const uint8_t *amp = memchr(query->ptr, '&', query->len);
        size_t len = amp != NULL ? (size_t)(amp - query->ptr) : query->len;
        struct wz_slice part = wz_slice_sub(*query, 0, len);
        const uint8_t *equals = len > 0 ? memchr(part.ptr, '=', len) : NULL;
        size_t name_len = equals != NULL ? (size_t)(equals - part.ptr) : len;

        len += amp != NULL;
        *query = wz_slice_sub(*query, len, query->len - len);
        if (part.len == 0)
            continue;
        *ret_name = wz_slice_sub(part, 0, name_len);
        name_len += equals != NULL;
        *ret_value = wz_slice_sub(part, name_len, part.len - name_len);
        return true;
    }
    return false;
}

int wz_uri_query_find(struct wz_slice query, const char *name, struct wz_buf *ret_buf)
{
    struct wz_slice key;
    struct wz_slice value;

    while (wz_uri_query_next(&query, &key, &value)) {
        if (wz_slice_eq(key, wz_slice_str(name)))
            return decode(value, true, ret_buf);
    }
    return WZ_ERR_NOT_FOUND;
}
