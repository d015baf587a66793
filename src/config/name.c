// SPDX-License-Identifier: Apache-2.0
// Owns the spellings of keys and the guess at a misspelt one.
#include "config/name.h"

#include <ctype.h>

static const char *const keys[] = {
#define WZ_CONFIG_NAME(id, key, type, preset, least, most, words, help) key,
    WZ_CONFIG_TABLE(WZ_CONFIG_NAME)
#undef WZ_CONFIG_NAME
};

void wz_name_spell(enum wz_name_form form, enum wz_config_key key, char ret_name[WZ_NAME_MAX])
{
    static const char *const fronts[] = {"", "--", "WYZE_"};
    size_t len = strlen(fronts[form]);

    memcpy(ret_name, fronts[form], len);
    for (const char *c = keys[key]; *c != '\0' && len < WZ_NAME_MAX - 1; c++) {
        if (form == WZ_NAME_FLAG)
            ret_name[len++] = (char)(*c == '.' || *c == '_' ? '-' : *c);
        else if (form == WZ_NAME_ENV)
            ret_name[len++] = (char)(*c == '.' ? '_' : toupper((unsigned char)*c));
        else
            ret_name[len++] = *c;
    }
    ret_name[len] = '\0';
}

enum wz_config_key wz_name_find(enum wz_name_form form, struct wz_slice name)
{
    char spelling[WZ_NAME_MAX];

    for (int key = 0; key < WZ_CONFIG_KEY_COUNT; key++) {
        wz_name_spell(form, (enum wz_config_key)key, spelling);
        if (wz_slice_eq(wz_slice_str(spelling), name))
            return (enum wz_config_key)key;
    }
    return WZ_CONFIG_KEY_COUNT;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

// How many letters must be put in, taken out, replaced or swapped with their neighbour to make B of
// A (optimal string alignment). Both are shorter than WZ_NAME_MAX.
static size_t distance(struct wz_slice a, struct wz_slice b)
{
    size_t rows[3][WZ_NAME_MAX + 1];
    size_t *above2 = rows[0];
    size_t *above = rows[1];
    size_t *row = rows[2];

    for (size_t j = 0; j <= b.len; j++)
        above[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *spare = above2;

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t cost = a.ptr[i - 1] != b.ptr[j - 1];

            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
        above2 = above;
        above = row;
        row = spare;
    }
    return above[b.len];
}

bool wz_name_closest(enum wz_name_form form, struct wz_slice name, char ret_name[WZ_NAME_MAX])
{
    char spelling[WZ_NAME_MAX];
    size_t best = 1 + (name.len > 9 ? name.len / 3 : 2);
    int found = WZ_CONFIG_KEY_COUNT;

    if (name.len >= WZ_NAME_MAX)
        return false;
    for (int key = 0; key < WZ_CONFIG_KEY_COUNT; key++) {
        size_t far;

        wz_name_spell(form, (enum wz_config_key)key, spelling);
        far = distance(name, wz_slice_str(spelling));
        if (far >= best)
            continue;
        best = far;
        found = key;
    }
    if (found == WZ_CONFIG_KEY_COUNT)
        return false;
    wz_name_spell(form, (enum wz_config_key)found, ret_name);
    return true;
}

bool wz_name_is_group(const char *name)
{
    size_t len = strlen(name);

    for (int key = 0; key < WZ_CONFIG_KEY_COUNT; key++)
        if (strncmp(keys[key], name, len) == 0 && keys[key][len] == '.')
            return true;
    return false;
}
