// SPDX-License-Identifier: Apache-2.0
// What an ack has to wait for.
#pragma once

#include "stream/log.h"

// A message is safe once the durable end of STREAM has passed OFFSET. STREAM is NULL when there is
// nothing to wait for.
struct wz_ticket {
    struct wz_log *stream;
    int64_t offset;
};

// Whether what the ticket stands for is durable. Loop thread.
static inline bool wz_ticket_safe(const struct wz_ticket *ticket)
{
    return ticket->stream == NULL || wz_log_durable_end(ticket->stream) > ticket->offset;
}
