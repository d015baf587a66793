// SPDX-License-Identifier: Apache-2.0
// Owns the making of a script's messages.
#include "engine/egress.h"

#include "base/log.h"
#include "base/metrics.h"

void wz_cause_init(struct wz_cause *ret_cause, const struct wz_frame_record *record)
{
    // The stamps come first in every record (docs/formats/record.md).
    const struct wz_slice front = WZ_SLICE_LIT("{\"_id\":\"");

    *ret_cause = (struct wz_cause){.hops = record->hops};
    if (record->body.len < front.len + WZ_UUID_TEXT_LEN || !wz_slice_starts(record->body, front))
        return;
    memcpy(ret_cause->id, record->body.ptr + front.len, WZ_UUID_TEXT_LEN);
    if (wz_uuid_valid(wz_slice(ret_cause->id, WZ_UUID_TEXT_LEN)))
        ret_cause->id_len = WZ_UUID_TEXT_LEN;
}

static void refuse(struct wz_egress *egress, const struct wz_output *output, const char *why)
{
    egress->refused_count++;
    wz_metric_add(WZ_METRIC_SCRIPT_ERRORS, 1);
    if (wz_log_allow(&egress->warned_us))
        WZ_LOG(WZ_LOG_WARN, "script.output-refused", WZ_F_SLICE("script", egress->script),
               WZ_F_SLICE("topic", output->topic), WZ_F_SLICE("cause", output->parent),
               WZ_F_STR("why", why), WZ_F_INT("refused", egress->refused_count));
}

// Publishes an output; RET_SENT is set when it is.
static int send(struct wz_egress *egress, const struct wz_output *output, bool *ret_sent)
{
    struct wz_ticket ticket;
    struct wz_message msg = {
        .topic = output->topic,
        .body = output->body,
        .script = egress->script,
        .parent = output->parent,
        .commit = output->commit,
        .offset = -1,
        .qos = output->persistent ? 1 : 0,
        .hops = output->hops,
    };
    int r;

    if (output->hops > WZ_HOPS_MAX) {
        refuse(egress, output, "it would be the 17th output of an output in a row");
        return WZ_OK;
    }
    r = wz_bus_publish(egress->bus, WZ_BUS_EGRESS, &msg, &ticket);
    if (r == WZ_ERR_BUSY)
        return r;
    if (r < 0) {
        refuse(egress, output, wz_err_text(r));
        return WZ_OK;
    }
    *ret_sent = true;
    return WZ_OK;
}

int wz_egress_publish(struct wz_egress *egress, const struct wz_output *output)
{
    bool sent = false;
    int r = send(egress, output, &sent);

    if (!sent)
        return r;
    egress->out_count++;
    wz_metric_add(WZ_METRIC_SCRIPT_OUTPUTS, 1);
    return WZ_OK;
}

int wz_egress_say(struct wz_egress *egress, const struct wz_output *line)
{
    bool sent = false;

    return send(egress, line, &sent);
}
