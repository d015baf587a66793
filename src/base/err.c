// SPDX-License-Identifier: Apache-2.0
// Owns the table of error words and the way from errno to our codes.
#include "base/err.h"

#include <errno.h>

const char *wz_err_word(int err)
{
    switch (err) {
#define WZ_ERR_WORD(name, value, word, text)                                                       \
    case name:                                                                                     \
        return word;
        WZ_ERR_TABLE(WZ_ERR_WORD)
#undef WZ_ERR_WORD
    default:
        return "unknown";
    }
}

const char *wz_err_text(int err)
{
    switch (err) {
#define WZ_ERR_TEXT(name, value, word, text)                                                       \
    case name:                                                                                     \
        return text;
        WZ_ERR_TABLE(WZ_ERR_TEXT)
#undef WZ_ERR_TEXT
    default:
        return "an error without a name";
    }
}

int wz_err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return WZ_OK;
    case ENOSPC:
    case EDQUOT:
        return WZ_ERR_NOSPACE;
    case EIO:
        return WZ_ERR_IO;
    case ENOENT:
        return WZ_ERR_NOT_FOUND;
    case EEXIST:
        return WZ_ERR_EXISTS;
    case EAGAIN:
    case EBUSY:
        return WZ_ERR_BUSY;
    case EACCES:
    case EPERM:
        return WZ_ERR_AUTH;
    case EFBIG:
    case EOVERFLOW:
        return WZ_ERR_TOO_LARGE;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return WZ_ERR_LIMIT;
    case ECONNREFUSED:
        return WZ_ERR_UNREACHABLE;
    case ETIMEDOUT:
        return WZ_ERR_TIMEOUT;
    case EINVAL:
        return WZ_ERR_INVALID;
    default:
        return WZ_ERR_SYSTEM;
    }
}
