// SPDX-License-Identifier: Apache-2.0
// Owns the order of the sources and the names of the keys in each of them. Sources are read from
// the strongest to the weakest, and a key that has a value keeps it; but each value is checked,
// used or not, so that a mistake shows at once.
#include "config/config.h"

#include <unistd.h>

#include "base/codes.h"
#include "base/mem.h"
#include "config/file.h"
#include "config/name.h"

#define WZ_CONFIG_FILE_PRESET "wyze.yaml"

struct setting {
    struct wz_value value;
    char *where; // NULL: it has no value yet
};

struct wz_config {
    struct setting settings[WZ_CONFIG_KEY_COUNT];
};

static const struct wz_value_rule rules[] = {
#define WZ_CONFIG_RULE(id, key, type_, preset, least_, most_, words_, help)                        \
    {.type = WZ_VALUE_##type_, .least = (least_), .most = (most_), .words = (words_)},
    WZ_CONFIG_TABLE(WZ_CONFIG_RULE)
#undef WZ_CONFIG_RULE
};

static const char *const presets[] = {
#define WZ_CONFIG_PRESET(id, key, type, preset, least, most, words, help) preset,
    WZ_CONFIG_TABLE(WZ_CONFIG_PRESET)
#undef WZ_CONFIG_PRESET
};

static int refuse_exposed(const char *name, const char *text, struct wz_problem *ret_problem)
{
    wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_CONFIG_EXPOSED,
                   "%s asks to listen on %s, which other machines can reach, but this version has "
                   "no users and passwords: anybody could read and command everything.",
                   name, text);
    wz_problem_fix(ret_problem, "Listen on 127.0.0.1 or [::1], and let others in through an SSH "
                                "tunnel or a proxy that asks who they are.");
    return WZ_ERR_INVALID;
}

// Checks a value and keeps it when there is none yet. NAME is the key as the source spells it.
static int set(struct wz_config *config, enum wz_config_key key, const char *name, const char *text,
               const char *where, struct wz_problem *ret_problem)
{
    struct setting *setting = &config->settings[key];
    struct wz_value value = {0};
    int r = wz_value_parse(&rules[key], name, text, &value, ret_problem);

    if (r == WZ_OK && rules[key].type == WZ_VALUE_ADDRESS && !value.address.off &&
        !wz_address_is_loopback(&value.address)) {
        wz_value_release(&value);
        r = refuse_exposed(name, text, ret_problem);
    }
    if (r < 0) {
        wz_problem_where(ret_problem, "%s", where);
        return r;
    }
    if (setting->where != NULL) {
        wz_value_release(&value);
        return WZ_OK;
    }
    setting->value = value;
    setting->where = wz_strdup(where);
    return WZ_OK;
}

static int refuse_name(enum wz_name_form form, struct wz_slice name, const char *where,
                       struct wz_problem *ret_problem)
{
    static const char *const kinds[] = {"configuration key", "flag", "environment variable"};
    char closest[WZ_NAME_MAX];

    wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_CONFIG_KEY, "There is no %s \"%.*s\".",
                   kinds[form], name.len > WZ_NAME_MAX ? WZ_NAME_MAX : (int)name.len,
                   (const char *)name.ptr);
    wz_problem_where(ret_problem, "%s", where);
    if (wz_name_closest(form, name, closest))
        wz_problem_fix(ret_problem, "Did you mean %s?", closest);
    else
        wz_problem_fix(ret_problem, "docs/configuration.md and wyze run --help list them all.");
    return WZ_ERR_INVALID;
}

static int refuse_flag(const char *flag, const char *what, struct wz_problem *ret_problem)
{
    wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_CONFIG_KEY, "%s %s.", flag, what);
    wz_problem_where(ret_problem, "the command line");
    wz_problem_fix(ret_problem, "Write flags as --mqtt-listen VALUE or --mqtt-listen=VALUE.");
    return WZ_ERR_INVALID;
}

static void unset(struct setting *setting)
{
    wz_value_release(&setting->value);
    wz_free(setting->where);
    setting->where = NULL;
}

// Sets the flag at ARGS; RET_USED is how many of the LEFT arguments it took. Of a flag that is
// given twice the last one counts, so that a wrapper's flags can be overridden.
static int read_flag(struct wz_config *config, const char *const *args, size_t left,
                     size_t *ret_used, struct wz_problem *ret_problem)
{
    struct wz_slice name = wz_slice(args[0], strcspn(args[0], "="));
    enum wz_config_key key = wz_name_find(WZ_NAME_FLAG, name);
    bool inside = args[0][name.len] == '=';
    char flag[WZ_NAME_MAX];

    if (name.len < 3 || args[0][0] != '-' || args[0][1] != '-')
        return refuse_flag(args[0], "is not a flag", ret_problem);
    if (key == WZ_CONFIG_KEY_COUNT)
        return refuse_name(WZ_NAME_FLAG, name, "the command line", ret_problem);
    wz_name_spell(WZ_NAME_FLAG, key, flag);
    if (!inside && (left < 2 || strncmp(args[1], "--", 2) == 0))
        return refuse_flag(flag, "needs a value", ret_problem);
    *ret_used = inside ? 1 : 2;
    unset(&config->settings[key]);
    return set(config, key, flag, inside ? args[0] + name.len + 1 : args[1], flag, ret_problem);
}

static int read_flags(struct wz_config *config, const struct wz_config_sources *sources,
                      struct wz_problem *ret_problem)
{
    for (size_t i = 0, used = 0; i < sources->arg_count; i += used) {
        int r = read_flag(config, sources->args + i, sources->arg_count - i, &used, ret_problem);

        if (r < 0)
            return r;
    }
    return WZ_OK;
}

static bool listed(const char *const *names, struct wz_slice name)
{
    for (; names != NULL && *names != NULL; names++)
        if (wz_slice_eq(wz_slice_str(*names), name))
            return true;
    return false;
}

static int read_env(struct wz_config *config, const struct wz_config_sources *sources,
                    struct wz_problem *ret_problem)
{
    char where[WZ_NAME_MAX];

    for (const char *const *env = sources->env; env != NULL && *env != NULL; env++) {
        struct wz_slice name = wz_slice(*env, strcspn(*env, "="));
        enum wz_config_key key;
        int r;

        if (!wz_slice_starts(name, WZ_SLICE_LIT("WYZE_")) || listed(sources->other_env, name))
            continue;
        key = wz_name_find(WZ_NAME_ENV, name);
        if (key == WZ_CONFIG_KEY_COUNT)
            return refuse_name(WZ_NAME_ENV, name, "the environment", ret_problem);
        wz_name_spell(WZ_NAME_ENV, key, where);
        r = set(config, key, where, *env + name.len + ((*env)[name.len] == '='), where,
                ret_problem);
        if (r < 0)
            return r;
    }
    return WZ_OK;
}

struct file_read {
    struct wz_config *config;
    const char *path;
    bool seen[WZ_CONFIG_KEY_COUNT];
};

static int refuse_entry(const char *what, const char *key, const char *where,
                        struct wz_problem *ret_problem)
{
    wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_CONFIG_KEY, what, key);
    wz_problem_where(ret_problem, "%s", where);
    wz_problem_fix(ret_problem, "Take the line out, or give it another key.");
    return WZ_ERR_INVALID;
}

static int on_entry(void *arg, const struct wz_config_entry *entry, struct wz_problem *ret_problem)
{
    struct file_read *read = arg;
    enum wz_config_key key = wz_name_find(WZ_NAME_KEY, wz_slice_str(entry->key));
    char where[256];

    (void)snprintf(where, sizeof(where), "%s:%zu:%zu", read->path, entry->key_line,
                   entry->key_column);
    if (key == WZ_CONFIG_KEY_COUNT && entry->empty && wz_name_is_group(entry->key))
        return WZ_OK;
    if (key == WZ_CONFIG_KEY_COUNT)
        return refuse_name(WZ_NAME_KEY, wz_slice_str(entry->key), where, ret_problem);
    if (key == WZ_CONFIG_CONFIG)
        return refuse_entry("%s cannot stand in the configuration file itself.", entry->key, where,
                            ret_problem);
    if (read->seen[key])
        return refuse_entry("%s stands in the file twice.", entry->key, where, ret_problem);
    read->seen[key] = true;
    (void)snprintf(where, sizeof(where), "%s:%zu:%zu", read->path, entry->line, entry->column);
    return set(read->config, key, entry->key, entry->value, where, ret_problem);
}

static int read_file(struct wz_config *config, struct wz_problem *ret_problem)
{
    struct setting *setting = &config->settings[WZ_CONFIG_CONFIG];
    bool named = setting->where != NULL && setting->value.text[0] != '\0';
    struct file_read read = {.config = config};
    int r;

    read.path = named ? setting->value.text : WZ_CONFIG_FILE_PRESET;
    r = wz_config_file_read(read.path, on_entry, &read, ret_problem);
    if (r == WZ_ERR_NOT_FOUND && named) {
        wz_problem_set(ret_problem, r, WZ_CODE_CONFIG_FILE, "There is no file \"%s\".", read.path);
        wz_problem_where(ret_problem, "%s", setting->where);
        wz_problem_fix(ret_problem, "Name a file that is there, or leave the name out.");
    }
    if (r == WZ_ERR_NOT_FOUND)
        return named ? r : WZ_OK;
    if (r == WZ_OK && !named) {
        unset(setting);
        r = set(config, WZ_CONFIG_CONFIG, "config", read.path, "default", ret_problem);
    }
    return r;
}

static int read_presets(struct wz_config *config, struct wz_problem *ret_problem)
{
    char name[WZ_NAME_MAX];

    for (int key = 0; key < WZ_CONFIG_KEY_COUNT; key++) {
        int r;

        wz_name_spell(WZ_NAME_KEY, (enum wz_config_key)key, name);
        r = set(config, (enum wz_config_key)key, name, presets[key], "default", ret_problem);
        if (r < 0)
            return r;
    }
    return WZ_OK;
}

// The value of the environment variable NAME when it is an absolute path, else NULL.
static const char *env_path(const struct wz_config_sources *sources, const char *name)
{
    size_t len = strlen(name);

    for (const char *const *env = sources->env; env != NULL && *env != NULL; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=' && (*env)[len + 1] == '/')
            return *env + len + 1;
    return NULL;
}

// Replaces an empty "data" by the folder that its rule gives.
static int find_data(struct wz_config *config, const struct wz_config_sources *sources,
                     struct wz_problem *ret_problem)
{
    struct setting *setting = &config->settings[WZ_CONFIG_DATA];
    const char *xdg = env_path(sources, "XDG_DATA_HOME");
    const char *home = env_path(sources, "HOME");
    struct wz_buf path = {0};

    if (setting->value.text[0] != '\0')
        return WZ_OK;
    if (geteuid() == 0)
        wz_buf_add_str(&path, "/var/lib/wyze");
    else if (xdg != NULL)
        wz_buf_addf(&path, "%s/wyze", xdg);
    else if (home != NULL)
        wz_buf_addf(&path, "%s/.local/share/wyze", home);
    if (path.len == 0) {
        wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_CONFIG_DATA,
                       "No data folder is given, and neither HOME nor XDG_DATA_HOME is set.");
        wz_problem_where(ret_problem, "%s", setting->where);
        wz_problem_fix(ret_problem, "Give one: --data FOLDER.");
        return WZ_ERR_INVALID;
    }
    wz_free(setting->value.text);
    setting->value.text = wz_strdup(wz_buf_str(&path));
    wz_buf_release(&path);
    return WZ_OK;
}

static int load(struct wz_config *config, const struct wz_config_sources *sources,
                struct wz_problem *ret_problem)
{
    int r = read_flags(config, sources, ret_problem);

    if (r == WZ_OK)
        r = read_env(config, sources, ret_problem);
    if (r == WZ_OK)
        r = read_file(config, ret_problem);
    if (r == WZ_OK)
        r = read_presets(config, ret_problem);
    if (r == WZ_OK)
        r = find_data(config, sources, ret_problem);
    return r;
}

int wz_config_load(const struct wz_config_sources *sources, struct wz_config **ret_config,
                   struct wz_problem *ret_problem)
{
    struct wz_config *config = wz_zalloc(1, sizeof(*config));
    int r = load(config, sources, ret_problem);

    if (r < 0) {
        wz_config_free(config);
        return r;
    }
    *ret_config = config;
    return WZ_OK;
}

void wz_config_free(struct wz_config *config)
{
    if (config == NULL)
        return;
    for (int key = 0; key < WZ_CONFIG_KEY_COUNT; key++)
        unset(&config->settings[key]);
    wz_free(config);
}

const char *wz_config_str(const struct wz_config *config, enum wz_config_key key)
{
    WZ_ASSERT(config->settings[key].value.text != NULL);
    return config->settings[key].value.text;
}

int64_t wz_config_int(const struct wz_config *config, enum wz_config_key key)
{
    WZ_ASSERT(rules[key].type >= WZ_VALUE_SIZE);
    return config->settings[key].value.number;
}

const struct wz_address *wz_config_address(const struct wz_config *config, enum wz_config_key key)
{
    WZ_ASSERT(rules[key].type == WZ_VALUE_ADDRESS);
    return &config->settings[key].value.address;
}

const char *wz_config_where(const struct wz_config *config, enum wz_config_key key)
{
    return config->settings[key].where;
}

bool wz_config_is_flag(const char *arg)
{
    return wz_name_find(WZ_NAME_FLAG, wz_slice(arg, strcspn(arg, "="))) != WZ_CONFIG_KEY_COUNT;
}
