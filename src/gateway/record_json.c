// SPDX-License-Identifier: Apache-2.0
// Owns the writing of records as JSON.
#include "gateway/record_json.h"

#include "base/utf8.h"
#include "stream/moment.h"
#include "json/scan.h"
#include "json/text.h"

// Bytes as a JSON string; those that are not UTF-8 as {"base64":".."}.
static void add_text(struct wz_buf *buf, struct wz_slice s)
{
    if (wz_utf8_valid(s)) {
        wz_json_add_string(buf, s);
        return;
    }
    wz_buf_add_str(buf, "{\"base64\":");
    wz_json_add_base64(buf, s);
    wz_buf_add_byte(buf, '}');
}

static void add_headers(struct wz_buf *buf, struct wz_slice headers)
{
    struct wz_record_header header;
    bool first = true;

    wz_buf_add_byte(buf, '{');
    while (wz_record_header_next(&headers, &header) == WZ_OK) {
        if (!wz_utf8_valid(header.key))
            continue;
        if (!first)
            wz_buf_add_byte(buf, ',');
        first = false;
        wz_json_add_string(buf, header.key);
        wz_buf_add_byte(buf, ':');
        add_text(buf, header.value);
    }
    wz_buf_add_byte(buf, '}');
}

static void add_body(struct wz_buf *buf, const struct wz_record *record)
{
    struct wz_json_scan scan;
    size_t from = buf->len;

    if (record->value_null) {
        wz_buf_add_str(buf, "null");
        return;
    }
    wz_json_scan(record->value, &scan);
    if (scan.kind == WZ_JSON_NONE) {
        add_text(buf, record->value);
        return;
    }
    wz_buf_add_slice(buf, record->value);
    for (size_t i = from; i < buf->len; i++) {
        if (buf->ptr[i] == '\n' || buf->ptr[i] == '\r')
            buf->ptr[i] = ' ';
    }
}

void wz_record_json_add(struct wz_buf *buf, const struct wz_record *record)
{
    wz_buf_addf(buf, "{\"offset\":%lld,\"append_time\":\"", (long long)record->offset);
    wz_moment_add_time(buf, record->append_ms);
    wz_buf_add_str(buf, "\",\"topic\":");
    add_text(buf, record->key);
    wz_buf_add_str(buf, ",\"headers\":");
    add_headers(buf, record->headers);
    wz_buf_add_str(buf, ",\"body\":");
    add_body(buf, record);
    wz_buf_add_byte(buf, '}');
}
