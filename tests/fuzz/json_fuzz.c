// SPDX-License-Identifier: Apache-2.0
// The scanner must agree with jansson, or differ in a known way; what it accepts must come apart
// into members, and together again, as JSON of the same kind.
#include "base/err.h"
#include "base/mem.h"
#include "json/differences_test.h"
#include "json/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static enum wz_json_kind kind_of(struct wz_slice s)
{
    struct wz_json_scan found;

    wz_json_scan(s, &found);
    return found.kind;
}

static void check_members(const struct wz_json_scan *found)
{
    struct wz_json_members walk = {.rest = found->members};
    struct wz_json_member member;
    bool reserved = false;

    while (wz_json_members_next(&walk, &member)) {
        WZ_AUTO(wz_buf_release) struct wz_buf name = {0};
        WZ_AUTO(wz_buf_release) struct wz_buf again = {0};

        WZ_ASSERT(kind_of(member.value) != WZ_JSON_NONE);
        wz_json_add_unescaped(&name, member.name);
        wz_json_add_string(&again, wz_buf_slice(&name));
        WZ_ASSERT(kind_of(wz_buf_slice(&again)) == WZ_JSON_STRING);
        reserved = reserved || member.reserved;
    }
    WZ_ASSERT(walk.rest.len == 0);
    WZ_ASSERT(reserved == found->reserved);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    WZ_AUTO(wz_buf_release) struct wz_buf compact = {0};
    struct wz_slice body = wz_slice(bytes, len);
    struct wz_json_scan found;
    int row;

    WZ_ASSERT(wz_json_agrees(body, &row));
    wz_json_scan(body, &found);
    if (found.kind == WZ_JSON_OBJECT)
        check_members(&found);
    if (found.kind != WZ_JSON_NONE) {
        wz_json_add_compact(&compact, body);
        WZ_ASSERT(kind_of(wz_buf_slice(&compact)) == found.kind);
    }
    return 0;
}
