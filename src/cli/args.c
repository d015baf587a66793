// SPDX-License-Identifier: Apache-2.0
// Owns the reading of arguments.
#include "cli/args.h"

#include <string.h>

#include "gateway/near.h"

// Whether ARG is an option and not a word. "-5" and "-" are words: bodies and standard input.
static bool is_option(const char *arg)
{
    return arg[0] == '-' && ((arg[1] >= 'a' && arg[1] <= 'z') || arg[1] == '-');
}

static size_t find(const struct wz_args *args, const char *name, size_t len)
{
    size_t i = 0;

    while (i < args->option_count &&
           (strlen(args->options[i].name) != len || memcmp(args->options[i].name, name, len) != 0))
        i++;
    return i;
}

static int refuse_unknown(const struct wz_args *args, const char *arg,
                          struct wz_problem *ret_problem)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;

    for (size_t i = 0; i < args->option_count; i++) {
        size_t distance = wz_near_distance(wz_slice_str(arg), wz_slice_str(args->options[i].name));

        if (distance < best_distance && distance <= 3) {
            best = args->options[i].name;
            best_distance = distance;
        }
    }
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, 0, "There is no option %.64s here.", arg);
    if (best != NULL)
        wz_problem_fix(ret_problem, "Did you mean %s?", best);
    return WZ_ERR_INVALID;
}

static int keep_value(struct wz_args *args, size_t option, const char *value,
                      struct wz_problem *ret_problem)
{
    if (args->all_count == WZ_ARGS_WORDS_MAX)
        return wz_problem_set(ret_problem, WZ_ERR_INVALID, 0, "There are too many options.");
    args->values[option] = value;
    args->all[args->all_count] = value;
    args->all_of[args->all_count++] = option;
    return WZ_OK;
}

// Takes the option at argv[*i], and its value.
static int read_option(struct wz_args *args, int argc, char **argv, int *i,
                       struct wz_problem *ret_problem)
{
    const char *arg = argv[*i];
    const char *equals = strchr(arg, '=');
    size_t len = equals != NULL ? (size_t)(equals - arg) : strlen(arg);
    size_t option = find(args, arg, len);

    if (option == args->option_count)
        return refuse_unknown(args, arg, ret_problem);
    if (args->options[option].value == NULL) {
        if (equals != NULL)
            return wz_problem_set(ret_problem, WZ_ERR_INVALID, 0, "The option %s takes no value.",
                                  args->options[option].name);
        return keep_value(args, option, "", ret_problem);
    }
    if (equals == NULL && *i + 1 >= argc) {
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, 0, "The option %s needs a value.", arg);
        wz_problem_fix(ret_problem, "Give it as %s %s.", arg, args->options[option].value);
        return WZ_ERR_INVALID;
    }
    return keep_value(args, option, equals != NULL ? equals + 1 : argv[++*i], ret_problem);
}

int wz_args_read(int argc, char **argv, const struct wz_option *options, size_t option_count,
                 struct wz_args *ret_args, struct wz_problem *ret_problem)
{
    bool ended = false;

    WZ_ASSERT(option_count <= WZ_ARGS_OPTIONS_MAX);
    *ret_args = (struct wz_args){.options = options, .option_count = option_count};
    for (int i = 0; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
        } else if (!ended && is_option(argv[i])) {
            int r = read_option(ret_args, argc, argv, &i, ret_problem);

            if (r < 0)
                return r;
        } else if (ret_args->word_count == WZ_ARGS_WORDS_MAX) {
            return wz_problem_set(ret_problem, WZ_ERR_INVALID, 0, "There are too many arguments.");
        } else {
            ret_args->words[ret_args->word_count++] = argv[i];
        }
    }
    return WZ_OK;
}

const char *wz_args_value(const struct wz_args *args, const char *name)
{
    size_t option = find(args, name, strlen(name));

    return option < args->option_count ? args->values[option] : NULL;
}

const char *wz_args_each(const struct wz_args *args, const char *name, size_t index)
{
    size_t option = find(args, name, strlen(name));

    for (size_t i = 0; i < args->all_count; i++) {
        if (args->all_of[i] == option && index-- == 0)
            return args->all[i];
    }
    return NULL;
}
