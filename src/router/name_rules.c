// SPDX-License-Identifier: Apache-2.0
// Owns the rules that hold for each name by itself.
#include "router/name_rules.h"

#include "base/codes.h"
#include "base/utf8.h"

const char *wz_rule_levels(struct wz_slice s)
{
    if (s.len == 0)
        return "is empty";
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
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
        if (i < s.len && (s.ptr[i] < 0x20 || s.ptr[i] == 0x7f))
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
