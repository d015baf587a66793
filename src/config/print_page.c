// SPDX-License-Identifier: Apache-2.0
// Prints one of the pages of docs/ that come from tables: print_page configuration > FILE. A tool
// of the build, not part of the program.
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/page.h"

int main(int argc, char **argv)
{
    WZ_AUTO(wz_buf_release) struct wz_buf page = {0};

    if (argc == 2 && strcmp(argv[1], "configuration") == 0)
        wz_page_configuration(&page);
    else if (argc == 2 && strcmp(argv[1], "errors") == 0)
        wz_page_errors(&page);
    else
        return 2;
    return fwrite(page.ptr, 1, page.len, stdout) == page.len ? 0 : 1;
}
