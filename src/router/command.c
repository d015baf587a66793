// SPDX-License-Identifier: Apache-2.0
// Owns the way back from a stamped record to a plain body. It is computed from the record alone, so
// a command that is sent again is the same to the byte.
#include "router/command.h"

#include "base/mem.h"
#include "json/scan.h"
#include "json/text.h"

static bool name_is(const struct wz_json_member *member, const char *name)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    wz_json_add_unescaped(&text, member->name);
    return wz_slice_eq(wz_buf_slice(&text), wz_slice_str(name));
}

static void add_member(struct wz_buf *body, const struct wz_json_member *member)
{
    if (body->ptr[body->len - 1] != '{')
        wz_buf_add_byte(body, ',');
    wz_json_add_compact(body, member->whole);
}

static void add_object(struct wz_buf *body, struct wz_slice members)
{
    struct wz_json_members walk = {.rest = members};
    struct wz_json_member member;
    struct wz_slice received = {0};

    wz_buf_add_byte(body, '{');
    while (wz_json_members_next(&walk, &member)) {
        if (!member.reserved)
            add_member(body, &member);
        else if (name_is(&member, "_received"))
            received = member.value;
    }
    if (received.len > 0) {
        struct wz_json_scan scan;

        wz_json_scan(received, &scan);
        walk.rest = scan.members;
        while (scan.kind == WZ_JSON_OBJECT && wz_json_members_next(&walk, &member))
            add_member(body, &member);
    }
    wz_buf_add_byte(body, '}');
}

// The value of the first member NAME; a NULL pointer when there is none.
static struct wz_slice member_value(struct wz_slice members, const char *name)
{
    struct wz_json_members walk = {.rest = members};
    struct wz_json_member member;

    while (wz_json_members_next(&walk, &member)) {
        if (name_is(&member, name))
            return member.value;
    }
    return (struct wz_slice){0};
}

int wz_command_body(struct wz_slice value, enum wz_form form, enum wz_send send,
                    struct wz_buf *ret_body)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_json_scan scan;

    wz_json_scan(value, &scan);
    if (scan.kind != WZ_JSON_OBJECT)
        return WZ_ERR_INVALID;
    value = member_value(scan.members, "value");
    if (form == WZ_FORM_OBJECT && (send == WZ_SEND_BODY || value.ptr == NULL)) {
        add_object(ret_body, scan.members);
        return WZ_OK;
    }
    if (value.ptr == NULL)
        return WZ_OK; // not made by us
    if (value.ptr[0] != '"' || form == WZ_FORM_TYPED) {
        wz_json_add_compact(ret_body, value);
        return WZ_OK;
    }
    if (form == WZ_FORM_TEXT || form == WZ_FORM_OBJECT) {
        wz_json_add_unescaped(ret_body, value);
        return WZ_OK;
    }
    wz_json_add_unescaped(&text, value);
    return wz_json_add_decoded_base64(ret_body, wz_buf_slice(&text));
}
