// SPDX-License-Identifier: Apache-2.0
// The program's front: `run` starts a node, every other command is the command line's.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "config/page.h"
#include "node/node.h"

// Exit codes as in docs/cli.md.
#define EXIT_FAILED 1
#define EXIT_BAD_INPUT 3

static int complain(const struct wz_problem *problem)
{
    fprintf(stderr, "wyze: %s (WYZ-%d)\n", problem->what, problem->code);
    if (problem->where[0] != '\0')
        fprintf(stderr, "  where: %s\n", problem->where);
    if (problem->fix[0] != '\0')
        fprintf(stderr, "  mend:  %s\n", problem->fix);
    return problem->err == WZ_ERR_INVALID ? EXIT_BAD_INPUT : EXIT_FAILED;
}

static int print_help(void)
{
    WZ_AUTO(wz_buf_release) struct wz_buf page = {0};

    wz_buf_add_str(&page, "wyze run: runs all tiers in this process until it is told to stop\n\n"
                          "  wyze run --data ./wyze-data\n\n");
    wz_page_help(&page);
    return fwrite(page.ptr, 1, page.len, stdout) == page.len ? 0 : EXIT_FAILED;
}

static int run(int argc, char **argv)
{
    struct wz_config_sources sources = {
        .args = (const char *const *)argv,
        .arg_count = (size_t)argc,
        .env = (const char *const *)environ,
        .other_env = wz_cli_env,
    };
    struct wz_problem problem = {0};
    struct wz_config *config;
    int r;

    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0))
        return print_help();
    r = wz_config_load(&sources, &config, &problem);
    if (r < 0)
        return complain(&problem);
    r = wz_node_run(config, &problem);
    wz_config_free(config);
    return r < 0 ? complain(&problem) : 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "run") == 0)
        return run(argc - 2, argv + 2);
    return wz_cli_main(argc, argv);
}
