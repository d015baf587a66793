// SPDX-License-Identifier: Apache-2.0
// For tests: commands over a data folder of their own, without a server, and what they print.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"

struct terminal {
    char folder[64];
    char output[65536]; // of the last command
};

static inline void terminal_open(struct terminal *terminal)
{
    *terminal = (struct terminal){.folder = "/tmp/wyze-cli-XXXXXX"};
    assert_non_null(mkdtemp(terminal->folder));
    assert_int_equal(setenv("WYZE_DATA", terminal->folder, 1), 0);
}

static inline void terminal_close(struct terminal *terminal)
{
    char command[128];

    (void)snprintf(command, sizeof(command), "rm -rf %s", terminal->folder);
    assert_int_equal(system(command), 0);
}

// Runs a command given as words up to NULL, standard output into terminal->output; returns its exit
// code.
static inline int terminal_run(struct terminal *terminal, const char *const *words)
{
    const char *argv[16] = {"wyze"};
    FILE *file = tmpfile();
    int argc = 1;
    int kept;
    int code;
    size_t len;

    assert_non_null(file);
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = words[argc - 1];
    (void)fflush(stdout);
    kept = dup(STDOUT_FILENO);
    assert_true(kept >= 0 && dup2(fileno(file), STDOUT_FILENO) >= 0);
    code = wz_cli_main(argc, (char **)(uintptr_t)argv);
    assert_true(dup2(kept, STDOUT_FILENO) >= 0);
    (void)close(kept);
    rewind(file);
    len = fread(terminal->output, 1, sizeof(terminal->output) - 1, file);
    terminal->output[len] = '\0';
    (void)fclose(file);
    return code;
}

#define TERMINAL(terminal, ...) terminal_run((terminal), (const char *const[]){__VA_ARGS__, NULL})
