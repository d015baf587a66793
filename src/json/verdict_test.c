// SPDX-License-Identifier: Apache-2.0
// Tells python_test.py what the scanner and the walk find. Reads bodies from standard input, each
// with its length as four bytes before it (little-endian), and answers each with its kind as one
// byte and, for an object, its members: name (unescaped) and value (compact), each with its length;
// a length of 0xffffffff ends them.
#include <stdio.h>

#include "base/mem.h"
#include "json/scan.h"
#include "json/text.h"

static void put(struct wz_slice s)
{
    uint32_t len = (uint32_t)s.len;

    WZ_ASSERT(fwrite(&len, sizeof(len), 1, stdout) == 1);
    WZ_ASSERT(s.len == 0 || fwrite(s.ptr, s.len, 1, stdout) == 1);
}

static void put_members(struct wz_slice members)
{
    struct wz_json_members walk = {.rest = members};
    struct wz_json_member member;
    const uint32_t end = UINT32_MAX;

    while (wz_json_members_next(&walk, &member)) {
        WZ_AUTO(wz_buf_release) struct wz_buf name = {0};
        WZ_AUTO(wz_buf_release) struct wz_buf value = {0};

        wz_json_add_unescaped(&name, member.name);
        wz_json_add_compact(&value, member.value);
        put(wz_buf_slice(&name));
        put(wz_buf_slice(&value));
    }
    WZ_ASSERT(fwrite(&end, sizeof(end), 1, stdout) == 1);
}

int main(void)
{
    uint32_t len;

    while (fread(&len, sizeof(len), 1, stdin) == 1) {
        uint8_t *body = wz_alloc(len);
        struct wz_json_scan found;

        WZ_ASSERT(len == 0 || fread(body, len, 1, stdin) == 1);
        wz_json_scan(wz_slice(body, len), &found);
        WZ_ASSERT(putchar((int)found.kind) != EOF);
        if (found.kind == WZ_JSON_OBJECT)
            put_members(found.members);
        wz_free(body);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
