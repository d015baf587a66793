// SPDX-License-Identifier: Apache-2.0
// The command line: one table of commands, each a client of the API.
#pragma once

#include "cli/args.h"
#include "cli/client.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "config/config.h"

struct wz_cli;

// What a command does; returns an exit code. A problem that it has filled in is printed.
typedef int (*wz_command_fn)(struct wz_cli *cli);

// A line of the table. Words in NAME are separated by one space ("map set").
struct wz_command {
    const char *name;
    const char *words;   // what follows it, as the help shows it
    const char *summary; // one line
    const char *example; // one or more whole lines
    size_t least_words;
    size_t most_words;
    const struct wz_option *options;
    size_t option_count;
    unsigned local; // what of the data folder does without a server: WZ_LOCAL_*
    wz_command_fn run;
};

// The table; `run` is in it with a NULL function, because it is the program's main's.
extern const struct wz_command wz_commands[];
extern const size_t wz_command_count;

// A command that is being run.
struct wz_cli {
    const struct wz_command *command;
    struct wz_args args;
    struct wz_config *config;
    const char *url; // or NULL
    enum wz_output_form form;
    struct wz_problem problem;
    struct wz_client *client; // once wz_cli_connect was called
};

// Environment variables that commands read beside those of the configuration, NULL at the end.
extern const char *const wz_cli_env[];

// Runs the command that ARGV names; returns the exit code.
int wz_cli_main(int argc, char **argv);

// Connects to the API, once for a command; TIMEOUT_S 0 is the default.
WZ_MUST int wz_cli_connect(struct wz_cli *cli, int timeout_s);

// Asks the API, connecting first if need be. FORMAT makes the target; names in it must be encoded
// already. On failure the cli's problem is filled.
WZ_MUST int wz_cli_ask(struct wz_cli *cli, const char *method, struct wz_slice body,
                       struct wz_reply *ret_reply, const char *target);

// The exit code for an error.
int wz_cli_exit(int err);

// Reads a file, or standard input for "-", of at most MAX bytes. On failure the cli's problem is
// filled.
WZ_MUST int wz_cli_load(struct wz_cli *cli, const char *path, size_t max, struct wz_buf *ret_buf);

// Writes BYTES to the file PATH, which is replaced as a whole, or to standard output for NULL;
// returns an exit code.
int wz_cli_save(struct wz_cli *cli, const char *path, struct wz_slice bytes);

// Tells a person how many documents a request has changed, as its answer says.
void wz_cli_tell_changed(struct wz_cli *cli, const struct wz_reply *reply);

// Prints rows or an object in the form asked for; returns an exit code.
int wz_cli_print_rows(struct wz_cli *cli, const json_t *rows, const struct wz_column *columns,
                      size_t column_count);
int wz_cli_print_object(struct wz_cli *cli, const json_t *object);
