// SPDX-License-Identifier: Apache-2.0
// Owns the rules that hold for each name by itself.
#include "router/name_rules.h"

#include "base/codes.h"
#include "base/utf8.h"

// Whether a control character begins at POS: C0, DEL or C1 (U+0080 to U+009F, two bytes of UTF-8),
// which the names of documents and the text form cannot have either.
static bool is_control(struct wz_slice s, size_t pos)
{
    return s.ptr[pos] < 0x20 || s.ptr[pos] == 0x7f ||
           (s.ptr[pos] == 0xc2 && pos + 1 < s.len && s.ptr[pos + 1] < 0xa0);
}

const char *wz_rule_levels(struct wz_slice s)
{
    if (s.len == 0)
        return "is empty";
    for (size_t i = 0; i < s.len; i++) {
        if (is_control(s, i))
            return "contains a control character";
        if (s.ptr[i] == '+' || s.ptr[i] == '#')
            return "contains a wildcard, '+' or '#'";
        if (s.ptr[i] == '/' && (i == 0 || i + 1 == s.len || s.ptr[i + 1] == '/'))
            return "contains an empty level";
    }
    return wz_utf8_valid(s) ? NULL : "is not UTF-8";
}

const char *wz_rule_level(struct wz_slice s)
{
    const char *wrong = wz_rule_levels(s);

    if (wrong == NULL && memchr(s.ptr, '/', s.len) != NULL)
        wrong = "is more than one level";
    if (wrong == NULL && s.len > WZ_TOPIC_MAX)
        wrong = "is longer than 255 bytes";
    return wrong;
}

const char *wz_rule_words(struct wz_slice s, int *code)
{
    size_t start = 0;

    if (s.len == 0)
        return "is empty";
    if (s.len > WZ_TOPIC_MAX)
        return "is longer than 255 bytes";
    for (size_t i = 0; i <= s.len; i++) {
        if (i < s.len && is_control(s, i))
            return "contains a control character";
        if (i < s.len && (s.ptr[i] == '/' || s.ptr[i] == '*' || s.ptr[i] == '#' || s.ptr[i] == '+'))
            return "contains one of '/', '*', '#' and '+'";
        if (i < s.len && s.ptr[i] != '.')
            continue;
        if (i == start)
            return "contains an empty word";
        if (wz_slice_eq(wz_slice_sub(s, start, i - start), WZ_SLICE_LIT(WZ_MAPPING_COMMAND_WORD))) {
            *code = WZ_CODE_MAPPING_OUTPUT_WORD;
            return "contains the word \"output\", which marks commands";
        }
        start = i + 1;
    }
    return wz_utf8_valid(s) ? NULL : "is not UTF-8";
}
