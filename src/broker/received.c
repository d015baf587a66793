// SPDX-License-Identifier: Apache-2.0
// Owns the table of a client's QoS 2 messages.
#include "broker/received.h"

#include "base/mem.h"

#define PAGE 256

void wz_received_release(struct wz_received *received)
{
    for (int i = 0; received->pages != NULL && i < PAGE; i++)
        wz_free(received->pages[i]);
    wz_free(received->pages);
    *received = (struct wz_received){0};
}

void wz_received_trim(struct wz_received *received)
{
    if (received->count == 0)
        wz_received_release(received);
}

struct wz_received_message *wz_received_get(const struct wz_received *received, uint16_t packet_id)
{
    struct wz_received_message *page;

    if (received->pages == NULL)
        return NULL;
    page = received->pages[packet_id / PAGE];
    return page != NULL && page[packet_id % PAGE].there ? &page[packet_id % PAGE] : NULL;
}

struct wz_received_message *wz_received_add(struct wz_received *received, uint16_t packet_id)
{
    struct wz_received_message **page;
    struct wz_received_message *message;

    if (received->pages == NULL)
        received->pages = wz_zalloc(PAGE, sizeof(*page));
    page = &received->pages[packet_id / PAGE];
    if (*page == NULL)
        *page = wz_zalloc(PAGE, sizeof(**page));
    message = &(*page)[packet_id % PAGE];
    if (!message->there) {
        *message =
            (struct wz_received_message){.place = WZ_JOURNAL_NOWHERE, .offset = -1, .there = true};
        received->count++;
    }
    return message;
}

bool wz_received_remove(struct wz_received *received, uint16_t packet_id)
{
    struct wz_received_message *message = wz_received_get(received, packet_id);

    if (message == NULL)
        return false;
    message->there = false;
    received->count--;
    return true;
}
