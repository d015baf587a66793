// SPDX-License-Identifier: Apache-2.0
// Owns the running of diff. All that goes in and out of it are files in memory, so nobody waits for
// a full pipe.
#include "cli/code_diff.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

// The most that is taken of its output: two texts of the longest script, and some.
#define WZ_DIFF_MAX ((size_t)4 * 1024 * 1024)

// Exit codes of diff, as POSIX has them.
#define DIFF_SAME 0
#define DIFF_DIFFERENT 1

// A file in memory that a child inherits; -1 when there is none to be had.
static int make_file(const char *text)
{
    int fd = memfd_create("wyze-diff", 0);
    size_t len = strlen(text);

    if (fd < 0)
        return -1;
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, text + done, len - done);

        if (n <= 0) {
            (void)close(fd); // it is given up
            return -1;
        }
        done += (size_t)n;
    }
    return fd;
}

// Runs diff over two files, its output into OUT; its exit code, or -1 when it did not run.
static int run_diff(const struct wz_code_text *before, const struct wz_code_text *after,
                    const int fds[2], int out)
{
    char paths[2][32];
    const char *const words[] = {"diff",       "-u",     "--label", before->label, "--label",
                                 after->label, paths[0], paths[1],  NULL};
    posix_spawn_file_actions_t actions;
    int status = -1;
    pid_t pid;
    int r;

    for (int i = 0; i < 2; i++)
        (void)snprintf(paths[i], sizeof(paths[i]), "/dev/fd/%d", fds[i]);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawnp(&pid, "diff", &actions, NULL, (char *const *)(uintptr_t)words, environ);
    (void)posix_spawn_file_actions_destroy(&actions); // cannot fail
    if (r != 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static void add_file(struct wz_buf *buf, int fd)
{
    size_t start = buf->len;
    ssize_t n = 1;

    while (n > 0 && buf->len - start < WZ_DIFF_MAX) {
        wz_buf_reserve(buf, 65536);
        n = pread(fd, buf->ptr + buf->len, 65536, (off_t)(buf->len - start));
        buf->len += n > 0 ? (size_t)n : 0;
    }
}

static void add_lines(struct wz_buf *buf, char mark, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");

        wz_buf_add_byte(buf, (uint8_t)mark);
        wz_buf_add(buf, text, len);
        wz_buf_add_byte(buf, '\n');
        text += len + (text[len] == '\n');
    }
}

void wz_code_diff_add(struct wz_buf *buf, const struct wz_code_text *before,
                      const struct wz_code_text *after)
{
    int fds[3] = {make_file(before->text), make_file(after->text), make_file("")};
    int code = -1;

    if (fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0)
        code = run_diff(before, after, fds, fds[2]);
    if (code == DIFF_DIFFERENT) {
        add_file(buf, fds[2]);
    } else if (code != DIFF_SAME && strcmp(before->text, after->text) != 0) {
        wz_buf_addf(buf, "--- %s\n+++ %s\n", before->label, after->label);
        add_lines(buf, '-', before->text);
        add_lines(buf, '+', after->text);
    }
    for (int i = 0; i < 3; i++)
        wz_fs_close(fds[i]);
}
