// SPDX-License-Identifier: Apache-2.0
// Owns the shape of "limits" and "grants", and the words that a worker understands
// (docs/formats/worker.md).
#include "engine/grants.h"

#include <string.h>

#include "base/buf.h"
#include "base/codes.h"
#include "base/fs.h"
#include "base/mem.h"
#include "config/value.h"

#define MIB (INT64_C(1) << 20)

static const struct wz_value_rule memory_rule = {
    .type = WZ_VALUE_SIZE, .least = 64 * MIB, .most = MIB * MIB};

// A member: its name, what it must be, and how that is said.
struct member {
    const char *name;
    bool (*fits)(const json_t *value);
    const char *form;
};

static bool read_memory(const json_t *value, int64_t *ret_bytes)
{
    struct wz_value size = {0};
    char digits[24];
    int r;

    (void)snprintf(digits, sizeof(digits), "%lld", (long long)json_integer_value(value));
    r = wz_value_parse(&memory_rule, "memory",
                       json_is_string(value) ? json_string_value(value) : digits, &size, NULL);
    if (r < 0)
        return false;
    *ret_bytes = size.number;
    wz_value_release(&size);
    return true;
}

static bool is_memory(const json_t *value)
{
    int64_t bytes;

    return (json_is_string(value) || json_is_integer(value)) && read_memory(value, &bytes);
}

static bool is_boolean(const json_t *value) { return json_is_boolean(value); }

static bool is_port(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 1 &&
           json_integer_value(value) <= UINT16_MAX;
}

static bool is_list_of(const json_t *value, bool (*fits)(const json_t *value))
{
    size_t count = json_array_size(value);

    if (!json_is_array(value) || count == 0 || count > WZ_GRANTS_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!fits(json_array_get(value, i)))
            return false;
    return true;
}

static bool is_network(const json_t *value)
{
    return json_is_boolean(value) || is_list_of(value, is_port);
}

// An absolute path of plain parts. The root, and where processes, devices and the kernel's settings
// look like files, are not for scripts: these would open all the rest.
static bool is_folder(const json_t *value)
{
    const char *path = json_string_value(value);

    if (!path || path[0] != '/' || strlen(path) != json_string_length(value) ||
        json_string_length(value) > WZ_GRANTS_PATH_MAX)
        return false;
    for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
        size_t len = strcspn(slash + 1, "/");

        if (len == 0 || (len == 1 && slash[1] == '.') || (len == 2 && !memcmp(slash + 1, "..", 2)))
            return false;
    }
    return !wz_fs_is_system(path);
}

static bool is_folders(const json_t *value) { return is_list_of(value, is_folder); }

#define FOLDERS                                                                                    \
    "a list of 1 to 32 absolute paths of folders, without '.', '..', a double or last '/', and "   \
    "not /, /proc, /sys or /dev"

static const struct member limit_members[] = {
    {"memory", is_memory, "a size from \"64MiB\" to \"1TiB\""},
    {NULL, NULL, NULL},
};

static const struct member grant_members[] = {
    {"network", is_network, "true, false, or a list of 1 to 32 TCP ports"},
    {"read", is_folders, FOLDERS},
    {"write", is_folders, FOLDERS},
    {"threads", is_boolean, "true or false"},
    {NULL, NULL, NULL},
};

static int check(json_t *object, const char *name, const struct member *members,
                 struct wz_problem *problem)
{
    const struct member *member;
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        for (member = members; member->name && strcmp(member->name, key) != 0;)
            member++;
        if (!member->name) {
            (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                                 "there is no member \"%s\" of \"%s\"", key, name);
            wz_problem_fix(problem, "take it out, or look at its spelling");
            return WZ_ERR_INVALID;
        }
        if (!member->fits(value)) {
            (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                                 "\"%s\" of \"%s\" is not one that can be had", key, name);
            wz_problem_fix(problem, "give %s", member->form);
            return WZ_ERR_INVALID;
        }
    }
    return WZ_OK;
}

int wz_grants_check(json_t *limits, json_t *grants, struct wz_problem *ret_problem)
{
    int r = check(limits, "limits", limit_members, ret_problem);

    return r < 0 ? r : check(grants, "grants", grant_members, ret_problem);
}

void wz_grants_add(struct wz_grants *grants, const char *word)
{
    grants->words = wz_realloc(grants->words, (grants->count + 2) * sizeof(*grants->words));
    grants->words[grants->count++] = wz_strdup(word);
    grants->words[grants->count] = NULL;
}

static void add_number(struct wz_grants *grants, const char *name, int64_t number)
{
    WZ_AUTO(wz_buf_release) struct wz_buf word = {0};

    wz_buf_addf(&word, "%s=%lld", name, (long long)number);
    wz_grants_add(grants, wz_buf_str(&word));
}

static void add_folders(struct wz_grants *grants, const char *name, const json_t *folders)
{
    for (size_t i = 0; i < json_array_size(folders); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf word = {0};

        wz_buf_addf(&word, "%s=%s", name, json_string_value(json_array_get(folders, i)));
        wz_grants_add(grants, wz_buf_str(&word));
    }
}

void wz_grants_init(struct wz_grants *ret_grants, const json_t *limits, const json_t *grants)
{
    const json_t *memory = json_object_get(limits, "memory");
    const json_t *network = json_object_get(grants, "network");
    int64_t bytes;

    *ret_grants = (struct wz_grants){0};
    if (memory && read_memory(memory, &bytes))
        add_number(ret_grants, "memory", bytes);
    if (json_is_true(network))
        wz_grants_add(ret_grants, "network");
    for (size_t i = 0; i < json_array_size(network); i++)
        add_number(ret_grants, "port", json_integer_value(json_array_get(network, i)));
    add_folders(ret_grants, "read", json_object_get(grants, "read"));
    add_folders(ret_grants, "write", json_object_get(grants, "write"));
    if (json_is_true(json_object_get(grants, "threads")))
        wz_grants_add(ret_grants, "threads");
}

void wz_grants_release(struct wz_grants *grants)
{
    for (size_t i = 0; i < grants->count; i++)
        wz_free(grants->words[i]);
    wz_free(grants->words);
    *grants = (struct wz_grants){0};
}
