// SPDX-License-Identifier: Apache-2.0
// Owns the printing of the tables of keys and of error codes.
#include "config/page.h"

#include "base/codes.h"
#include "base/mem.h"
#include "config/name.h"
#include "config/value.h"

#define WZ_PAGE_NOTE                                                                               \
    "<!-- Printed by `ninja pages`: change the table in the source instead. -->\n\n"

// Widest line of --help, and where its sentences begin.
#define WZ_PAGE_HELP_COLUMNS 92
#define WZ_PAGE_HELP_INDENT 8

struct row {
    const char *key;
    const char *preset;
    const char *help;
    struct wz_value_rule rule;
};

static const struct row rows[] = {
#define WZ_CONFIG_ROW(id, key_, type_, preset_, least_, most_, words_, help_)                      \
    {.key = (key_),                                                                                \
     .preset = (preset_),                                                                          \
     .help = (help_),                                                                              \
     .rule = {.type = WZ_VALUE_##type_, .least = (least_), .most = (most_), .words = (words_)}},
    WZ_CONFIG_TABLE(WZ_CONFIG_ROW)
#undef WZ_CONFIG_ROW
};

// Adds a sentence in lines of the help's width.
static void add_wrapped(struct wz_buf *buf, const char *text)
{
    size_t column = WZ_PAGE_HELP_COLUMNS;

    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (column + 1 + len > WZ_PAGE_HELP_COLUMNS) {
            wz_buf_addf(buf, "\n%*s", WZ_PAGE_HELP_INDENT - 1, "");
            column = WZ_PAGE_HELP_INDENT - 1;
        }
        wz_buf_addf(buf, " %.*s", (int)len, text);
        column += 1 + len;
        text += len + (text[len] == ' ');
    }
}

void wz_page_help(struct wz_buf *buf)
{
    char flag[WZ_NAME_MAX];

    for (int key = 0; key < WZ_CONFIG_KEY_COUNT; key++) {
        const struct row *row = &rows[key];
        WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

        wz_name_spell(WZ_NAME_FLAG, (enum wz_config_key)key, flag);
        wz_buf_addf(&text, "%s (", row->help);
        wz_value_add_allowed(&text, &row->rule);
        if (row->preset[0] != '\0')
            wz_buf_addf(&text, "; default %s", row->preset);
        wz_buf_add_str(&text, ")");
        wz_buf_addf(buf, "    %s VALUE", flag);
        add_wrapped(buf, wz_buf_str(&text));
        wz_buf_add_byte(buf, '\n');
    }
}

static void add_key(struct wz_buf *buf, enum wz_config_key key)
{
    char flag[WZ_NAME_MAX];
    char env[WZ_NAME_MAX];

    wz_name_spell(WZ_NAME_FLAG, key, flag);
    wz_name_spell(WZ_NAME_ENV, key, env);
    wz_buf_addf(buf, "## `%s`\n\n", rows[key].key);
    wz_buf_addf(buf, "What it sets: %s.\n\n", rows[key].help);
    wz_buf_add_str(buf, "Allowed: ");
    wz_value_add_allowed(buf, &rows[key].rule);
    wz_buf_addf(buf, ". Default: %s%s%s.\n", rows[key].preset[0] != '\0' ? "`" : "",
                rows[key].preset[0] != '\0' ? rows[key].preset : "empty",
                rows[key].preset[0] != '\0' ? "`" : "");
    wz_buf_addf(buf, "Flag `%s`, environment `%s`.\n\n", flag, env);
}

void wz_page_configuration(struct wz_buf *buf)
{
    wz_buf_add_str(
        buf,
        "# Configuration\n\n" WZ_PAGE_NOTE
        "wyze needs no configuration to start. Each key below can be given as a flag, as an "
        "environment\nvariable, or in a file. The first of these that has it counts: the flag, the "
        "environment, the file, the\ndefault. The file is `wyze.yaml` in the current folder if it "
        "is "
        "there, or the one that `--config` names.\n\n"
        "In the file, a dot in a key may be written as a map or as the dot it is. These two are "
        "the "
        "same:\n\n"
        "```yaml\nmqtt:\n  listen: 127.0.0.1:1883\n```\n\n"
        "```yaml\nmqtt.listen: 127.0.0.1:1883\n```\n\n"
        "A key that is not in this list, a key that is given twice in the file, and a value that "
        "is "
        "not allowed are refused\nat start, with the place (flag, variable, or file:line:column) "
        "and "
        "what is allowed.\n\n"
        "- A size is a number with `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `kB`, `MB`, "
        "`GB`, `TB`\n  (powers of 1000); without a unit it is in bytes.\n"
        "- A duration is a number with `ms`, `s`, `m`, `h` or `d`.\n"
        "- An address is a numeric host and a port, as in `127.0.0.1:1883` or `[::1]:1883`; "
        "`localhost` "
        "is\n  `127.0.0.1`; port 0 takes any that is free; `off` does not listen.\n"
        "- As long as wyze has no users, it listens on this machine's own addresses only and "
        "refuses "
        "all others.\n\n");
    for (int key = 0; key < WZ_CONFIG_KEY_COUNT; key++)
        add_key(buf, (enum wz_config_key)key);
    buf->len--; // the last entry's empty line
}

void wz_page_errors(struct wz_buf *buf)
{
    wz_buf_add_str(buf, "# Errors\n\n" WZ_PAGE_NOTE
                        "Each refusal has a code that never changes its meaning, and says what is "
                        "wrong, where, and how to mend it.\nThe first digit tells the part: 1 "
                        "configuration, 2 documents and mapping, 3 store, 4 streams, 5 scripts,\n6 "
                        "API.\n\n| code | what it means |\n|---|---|\n");
#define WZ_CODE_ROW(name, number, title) wz_buf_addf(buf, "| `WYZ-%d` | %s |\n", number, title);
    WZ_CODE_TABLE(WZ_CODE_ROW)
#undef WZ_CODE_ROW
}
