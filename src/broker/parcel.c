// SPDX-License-Identifier: Apache-2.0
// Owns kept messages: struct and bytes in one allocation.
#include "broker/parcel.h"

#include "base/err.h"
#include "base/mem.h"

static struct wz_slice keep(struct wz_parcel *parcel, struct wz_slice s)
{
    uint8_t *place = parcel->bytes + parcel->len;

    if (s.len > 0)
        memcpy(place, s.ptr, s.len);
    parcel->len += (uint32_t)s.len;
    return wz_slice(place, s.len);
}

struct wz_parcel *wz_parcel_new(const struct wz_message *msg)
{
    size_t len = msg->topic.len + msg->body.len + msg->client.len + msg->from.len +
                 msg->script.len + msg->parent.len;
    struct wz_parcel *parcel = wz_alloc(sizeof(*parcel) + len);

    parcel->message = *msg;
    parcel->refs = 1;
    parcel->queues = 0;
    parcel->len = 0;
    parcel->message.topic = keep(parcel, msg->topic);
    parcel->message.body = keep(parcel, msg->body);
    parcel->message.client = keep(parcel, msg->client);
    parcel->message.from = keep(parcel, msg->from);
    parcel->message.script = keep(parcel, msg->script);
    parcel->message.parent = keep(parcel, msg->parent);
    return parcel;
}

struct wz_parcel *wz_parcel_ref(struct wz_parcel *parcel)
{
    parcel->refs++;
    return parcel;
}

void wz_parcel_unref(struct wz_parcel *parcel)
{
    if (parcel == NULL)
        return;
    WZ_ASSERT(parcel->refs > 0);
    parcel->refs--;
    if (parcel->refs == 0)
        wz_free(parcel);
}

void wz_parcel_hold(struct wz_parcel *parcel, struct wz_budget *budget)
{
    if (parcel->queues++ == 0)
        wz_budget_count(budget, 0, sizeof(*parcel) + parcel->len);
}

void wz_parcel_let_go(struct wz_parcel *parcel, struct wz_budget *budget)
{
    WZ_ASSERT(parcel->queues > 0);
    if (--parcel->queues == 0)
        wz_budget_count(budget, sizeof(*parcel) + parcel->len, 0);
}

struct wz_parcel *wz_delivery_keep(struct wz_delivery *delivery)
{
    if (delivery->parcel == NULL)
        delivery->parcel = wz_parcel_new(delivery->message);
    return wz_parcel_ref(delivery->parcel);
}
