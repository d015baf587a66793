// SPDX-License-Identifier: Apache-2.0
// Owns `wyze script test`: pytest with the module wyze.testing in reach, and the worker that
// belongs to this program.
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codes.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/worker_path.h"

// Debian's Python, which is also the worker's.
#define WZ_PYTHON "/usr/bin/python3"

// Exit codes of pytest (its reference, "Exit codes").
#define PYTEST_OK 0
#define PYTEST_USAGE 4
#define PYTEST_NO_TESTS 5

// Runs WORDS and waits for its end; its exit code, or -1 when it did not run or was killed.
static int run(const char *const *words)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    int status = 0;
    pid_t pid;
    int r;

    // A terminal's Ctrl-C is pytest's to answer.
    (void)sigemptyset(&defaults);       // cannot fail
    (void)sigaddset(&defaults, SIGINT); // a signal there is
    if (posix_spawnattr_init(&attributes) != 0)
        return -1;
    (void)posix_spawnattr_setsigdefault(&attributes, &defaults);        // cannot fail
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF); // a flag there is
    (void)sigaction(SIGINT, &ignore, &before);                          // a signal there is
    r = posix_spawn(&pid, words[0], NULL, &attributes, (char *const *)(uintptr_t)words, environ);
    while (r == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    (void)sigaction(SIGINT, &before, NULL);     // as above
    (void)posix_spawnattr_destroy(&attributes); // cannot fail
    return r == 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// The folder in which the module is: installed, or in the build tree. False when it is not there.
static bool find_module(struct wz_buf *ret_folder)
{
    static const char *const places[] = {"../share/wyze/python", "worker"};
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    self[len > 0 ? len : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash != NULL)
        *slash = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf file = {0};

        ret_folder->len = 0;
        wz_buf_addf(ret_folder, "%s/%s", self, places[i]);
        wz_buf_addf(&file, "%s/wyze/testing.py", wz_buf_str(ret_folder));
        if (access(wz_buf_str(&file), R_OK) == 0)
            return true;
    }
    return false;
}

// Puts the module in front of what Python finds, and names the worker, unless somebody has.
static int set_environment(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf folder = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf worker = {0};
    const char *before = getenv("PYTHONPATH");

    if (!find_module(&folder))
        return wz_problem_set(&cli->problem, WZ_ERR_NOT_FOUND, WZ_CODE_SCRIPT_WORKER,
                              "The module wyze.testing is not beside this program.");
    if (before != NULL && before[0] != '\0')
        wz_buf_addf(&folder, ":%s", before);
    wz_worker_path_add(&worker);
    if (setenv("PYTHONPATH", wz_buf_str(&folder), 1) != 0 ||
        setenv("WZ_WORKER", wz_buf_str(&worker), 0) != 0)
        return wz_problem_set(&cli->problem, WZ_ERR_SYSTEM, WZ_CODE_SCRIPT_WORKER,
                              "The environment cannot be set.");
    return WZ_OK;
}

static int refuse_without_pytest(struct wz_cli *cli)
{
    (void)wz_problem_set(&cli->problem, WZ_ERR_NOT_FOUND, WZ_CODE_SCRIPT_WORKER,
                         "pytest is not there for " WZ_PYTHON ".");
    wz_problem_fix(&cli->problem, "Install Debian's package: sudo apt-get install python3-pytest");
    return WZ_EXIT_FAILED;
}

static int exit_of(int pytest)
{
    switch (pytest) {
    case PYTEST_OK:
        return WZ_EXIT_OK;
    case PYTEST_USAGE:
        return WZ_EXIT_USAGE;
    case PYTEST_NO_TESTS:
        return WZ_EXIT_NOT_FOUND;
    default:
        return WZ_EXIT_FAILED;
    }
}

int wz_cmd_script_test(struct wz_cli *cli)
{
    static const char *const probe[] = {WZ_PYTHON, "-c",
                                        "import importlib.util, sys; "
                                        "sys.exit(importlib.util.find_spec('pytest') is None)",
                                        NULL};
    const char *words[WZ_ARGS_WORDS_MAX + 6] = {WZ_PYTHON, "-m", "pytest", "-p", "wyze.testing"};
    size_t count = 5;
    int r = set_environment(cli);

    if (r < 0)
        return wz_cli_exit(r);
    if (run(probe) != 0)
        return refuse_without_pytest(cli);
    for (size_t i = 0; i < cli->args.word_count; i++)
        words[count++] = cli->args.words[i];
    return exit_of(run(words));
}
