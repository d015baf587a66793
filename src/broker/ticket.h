// SPDX-License-Identifier: Apache-2.0
// What an ack has to wait for.
#pragma once

#include "stream/log.h"

// A message is safe once the durable end of each log has passed the offset in it: its record on
// STREAM, its keys in the journal. A log is NULL when there is nothing in it to wait for.
struct wz_ticket {
    struct wz_log *stream;
    int64_t offset;
    struct wz_log *journal;
    int64_t journal_offset;
};

// Whether what the ticket stands for is durable. Loop thread.
static inline bool wz_ticket_safe(const struct wz_ticket *ticket)
{
    return (ticket->stream == NULL || wz_log_durable_end(ticket->stream) > ticket->offset) &&
           (ticket->journal == NULL ||
            wz_log_durable_end(ticket->journal) > ticket->journal_offset);
}

// Says that somebody waits for the ticket. Loop thread.
static inline void wz_ticket_want(const struct wz_ticket *ticket)
{
    if (ticket->stream != NULL)
        wz_log_want(ticket->stream);
    if (ticket->journal != NULL)
        wz_log_want(ticket->journal);
}
