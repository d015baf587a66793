// SPDX-License-Identifier: Apache-2.0
// Owns the way of a message through the router tier:
//   devices -> demux -> stamp -> raw-stream -> exchange raw
//                  \-> inbox, when nothing maps it
//   ingress ----------> stamp -> raw-stream -> exchange raw
//   egress -----------> stamp -> processed-stream -> exchange processed
//                                               \-> commands -> devices
// What a topic resolves to is kept in the exchange's cache (struct route), so it is worked out
// once.
#include "router/router.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "router/command_reader.h"
#include "router/preprocess.h"

// The exchanges we take messages from.
enum source {
    SOURCE_DEVICES,
    SOURCE_INGRESS,
    SOURCE_EGRESS,
    SOURCE_COUNT,
};

// Counted in a turn, added to the metrics at its end.
struct counts {
    int64_t mapped;
    int64_t unmapped;
    int64_t untyped;
    int64_t raw;
    int64_t processed;
};

struct wz_router {
    struct wz_router_options options;
    struct wz_loop_part part;
    struct wz_mapping *mapping;
    struct wz_preprocess pp;
    struct wz_binding *bindings[SOURCE_COUNT];
    struct wz_buf value; // a record's body in one piece
    struct wz_buf laid;  // a route's bytes while it is made
    struct counts counts;
    int64_t log_us;
};

// What a topic has been resolved to: one piece of memory, which is fetched ahead as such.
struct route {
    bool records;            // its messages become records
    bool silent;             // nobody listens to them on exchange raw,
    uint64_t version;        // with the bindings of this version
    bool commands;           // egress: it ends in the word `output`
    bool ignored;            // devices: unmapped, and not to be kept
    enum wz_outcome outcome; // devices: why it is no reading
    enum wz_body_type type;  // devices: of its bodies
    struct wz_slice topic;   // logical
    struct wz_slice text;    // the topic as the stamps have it
    struct wz_slice from;    // the record header
    struct wz_slice source;  // what the header says
    uint8_t bytes[];         // what the slices lie in
};

static void forget(void *arg, void *slot)
{
    (void)arg; // a route belongs to nobody else
    wz_free(slot);
}

// A topic whose messages become no records.
static struct route *route_without_records(enum wz_outcome outcome)
{
    struct route *route = wz_zalloc(1, sizeof(*route));

    route->outcome = outcome;
    return route;
}

// A logical topic with all that its stamps need.
static struct route *route_new(struct wz_router *router, struct wz_slice topic,
                               struct wz_slice from)
{
    struct wz_buf *bytes = &router->laid;
    struct route *route;
    size_t text_pos;
    size_t from_pos;

    bytes->len = 0;
    wz_buf_add_slice(bytes, topic);
    text_pos = bytes->len;
    wz_preprocess_add_topic_text(bytes, topic);
    from_pos = bytes->len;
    wz_preprocess_add_from(bytes, from);
    route = wz_alloc(sizeof(*route) + bytes->len);
    memcpy(route->bytes, bytes->ptr, bytes->len);
    *route = (struct route){
        .records = true,
        .topic = wz_slice(route->bytes, text_pos),
        .text = wz_slice(route->bytes + text_pos, from_pos - text_pos),
        .from = wz_slice(route->bytes + from_pos, bytes->len - from_pos),
        .source = wz_slice(route->bytes + bytes->len - from.len, from.len), // its last bytes
    };
    return route;
}

static struct route *route_of_device(struct wz_router *router, struct wz_slice physical)
{
    struct wz_translation translation;
    enum wz_outcome outcome = wz_mapping_in(router->mapping, physical, &translation);
    struct route *route;

    if (outcome != WZ_OUTCOME_MAPPED) {
        route = route_without_records(outcome);
        route->ignored =
            router->options.inbox != NULL && wz_inbox_ignores(router->options.inbox, physical);
        return route;
    }
    route = route_new(router, wz_slice(translation.topic, translation.topic_len), physical);
    route->type = translation.type;
    return route;
}

static struct route *route_of_egress(struct wz_router *router, struct wz_slice topic)
{
    struct route *route =
        route_new(router, topic, wz_slice_str(wz_bus_exchange_name(WZ_BUS_EGRESS)));

    route->commands = wz_command_topic_is(topic);
    return route;
}

// Joins a record's pieces: those who listen want its body in one.
static struct wz_slice join_value(struct wz_router *router, const struct wz_record_parts *parts)
{
    router->value.len = 0;
    for (int i = 0; i < parts->value_count; i++)
        wz_buf_add_slice(&router->value, parts->value[i]);
    return wz_buf_slice(&router->value);
}

// Puts the record on the exchange that mirrors its stream.
static void mirror(struct wz_router *router, const struct route *route,
                   const struct wz_message *msg, enum wz_bus_exchange exchange,
                   const struct wz_record_parts *parts, struct wz_slice value, int64_t offset)
{
    const struct wz_log *stream =
        exchange == WZ_BUS_RAW ? router->options.raw : router->options.processed;
    struct wz_message record = {
        .topic = route->topic,
        .body = value,
        .client = msg->client,
        .from = route->source,
        .script = msg->script,
        .parent = msg->parent,
        .record = parts,
        .offset = offset,
        .append_ms = wz_log_last_time(stream),
        .hops = msg->hops,
    };
    struct wz_ticket ticket;

    // Nobody on a mirror may refuse, and the topic has been a record's.
    wz_ignore(wz_bus_publish(router->options.bus, exchange, &record, &ticket));
}

// Makes a record of a message. RET_PARTS is valid until the next one.
static int record(struct wz_router *router, const struct route *route, const struct wz_message *msg,
                  struct wz_log *stream, struct wz_record_parts *ret_parts,
                  struct wz_ticket *ret_ticket)
{
    struct wz_unstamped source = {
        .topic = route->topic,
        .topic_text = route->text,
        .from = route->from,
        .client = msg->client,
        .body = msg->body,
        .type = route->type,
        .script = msg->script,
        .parent = msg->parent,
        .commit = msg->commit,
        .unmapped = msg->unmapped,
        .timestamp_ms = msg->timestamp_ms,
        .packet_id = msg->packet_id,
        .hops = msg->hops,
    };
    int64_t offset;
    int r;

    wz_preprocess_stamp(&router->pp, &source, router->options.loop->now_ms, ret_parts);
    r = wz_log_append(stream, ret_parts, &offset);
    if (r < 0)
        return r;
    *ret_ticket = (struct wz_ticket){.stream = stream, .offset = offset};
    return WZ_OK;
}

// Shows a record on exchange raw, unless nobody listens to its topic there.
static void mirror_raw(struct wz_router *router, struct route *route, const struct wz_message *msg,
                       const struct wz_record_parts *parts, int64_t offset)
{
    struct wz_bus *bus = router->options.bus;
    uint64_t version = wz_bus_version(bus, WZ_BUS_RAW);

    if (!wz_bus_wanted(bus, WZ_BUS_RAW) || (route->silent && route->version == version))
        return;
    mirror(router, route, msg, WZ_BUS_RAW, parts, join_value(router, parts), offset);
    if (route->version == version)
        return;
    route->version = version;
    route->silent = wz_bus_receivers(bus, WZ_BUS_RAW, route->topic) == 0;
}

static int record_raw(struct wz_router *router, struct route *route, const struct wz_message *msg,
                      struct wz_ticket *ret_ticket)
{
    struct wz_record_parts parts;
    int r = record(router, route, msg, router->options.raw, &parts, ret_ticket);

    if (r < 0)
        return r;
    router->counts.raw++;
    router->counts.untyped += router->pp.untyped;
    mirror_raw(router, route, msg, &parts, ret_ticket->offset);
    return WZ_OK;
}

static void keep_unmapped(struct wz_router *router, const struct route *route,
                          const struct wz_message *msg, struct wz_ticket *ret_ticket)
{
    enum wz_outcome outcome = route->outcome;

    if (outcome == WZ_OUTCOME_COMMAND || outcome == WZ_OUTCOME_IGNORED)
        return; // on its way to a device, or nothing that is to be kept: the broker's alone
    if (msg->retain && msg->body.len == 0)
        return; // it clears a retained value (3.3.1.3)
    router->counts.unmapped++;
    if (router->options.inbox != NULL && outcome != WZ_OUTCOME_HIDDEN) {
        if (route->ignored)
            wz_inbox_ignore(router->options.inbox);
        else
            wz_inbox_take(router->options.inbox, msg, outcome, ret_ticket);
    }
    if (wz_log_allow(&router->log_us))
        WZ_LOG(WZ_LOG_INFO, "demux.unmapped", WZ_F_SLICE("topic", msg->topic),
               WZ_F_STR("why", wz_outcome_word(outcome)));
}

static int on_devices(void *arg, const struct wz_message *msg, void **slot,
                      struct wz_ticket *ret_ticket)
{
    struct wz_router *router = arg;
    struct route *route = *slot;

    if (route == NULL)
        *slot = route = route_of_device(router, msg->topic);
    if (!route->records) {
        keep_unmapped(router, route, msg, ret_ticket);
        return WZ_OK;
    }
    if (msg->retain && msg->body.len == 0)
        return WZ_OK; // it clears a retained value (3.3.1.3) and is no reading
    if (msg->recorded)
        return WZ_OK;
    router->counts.mapped++;
    return record_raw(router, route, msg, ret_ticket);
}

// A message that was kept unmapped: it has been a message of its exchange before, so it becomes a
// record and nothing else.
static int on_reentry(void *arg, const struct wz_message *msg, int64_t *ret_offset)
{
    struct wz_router *router = arg;
    struct wz_ticket ticket = {0};
    struct route *route;
    int r = WZ_OK;

    if (!wz_bus_takes(router->options.bus))
        return WZ_ERR_BUSY; // as for what comes in: the mirror would not take it either
    route = route_of_device(router, msg->topic);
    if (route->records) {
        r = record_raw(router, route, msg, &ticket);
        *ret_offset = r == WZ_OK ? ticket.offset : -1;
    }
    wz_free(route);
    return r;
}

static int on_ingress(void *arg, const struct wz_message *msg, void **slot,
                      struct wz_ticket *ret_ticket)
{
    struct wz_router *router = arg;
    struct route *route = *slot;

    if (route == NULL)
        *slot = route =
            route_new(router, msg->topic, wz_slice_str(wz_bus_exchange_name(WZ_BUS_INGRESS)));
    return record_raw(router, route, msg, ret_ticket);
}

static int on_egress(void *arg, const struct wz_message *msg, void **slot,
                     struct wz_ticket *ret_ticket)
{
    struct wz_router *router = arg;
    struct wz_record_parts parts;
    struct route *route = *slot;
    struct wz_slice value;
    int64_t append_ms;
    int r;

    if (route == NULL)
        *slot = route = route_of_egress(router, msg->topic);
    r = record(router, route, msg, router->options.processed, &parts, ret_ticket);
    if (r < 0)
        return r;
    router->counts.processed++;
    if (!route->commands && !wz_bus_wanted(router->options.bus, WZ_BUS_PROCESSED))
        return WZ_OK;
    value = join_value(router, &parts);
    append_ms = wz_log_last_time(router->options.processed);
    if (route->commands)
        wz_commands_add(router->options.commands, &(struct wz_command){
                                                      .offset = ret_ticket->offset,
                                                      .append_ms = append_ms,
                                                      .topic = route->topic,
                                                      .value = value,
                                                      .form = router->pp.form,
                                                      .journaled = msg->commit.len > 0,
                                                  });
    mirror(router, route, msg, WZ_BUS_PROCESSED, &parts, value, ret_ticket->offset);
    return WZ_OK;
}

static void on_wake(void *arg)
{
    struct wz_router *router = arg;

    wz_log_set_time(router->options.raw, router->options.loop->now_ms);
    wz_log_set_time(router->options.processed, router->options.loop->now_ms);
}

static void on_flush(void *arg)
{
    struct wz_router *router = arg;
    struct counts *counts = &router->counts;

    wz_log_flush(router->options.raw);
    wz_log_flush(router->options.processed);
    if (counts->mapped > 0)
        wz_metric_add(WZ_METRIC_DEMUX_MAPPED, counts->mapped);
    if (counts->unmapped > 0)
        wz_metric_add(WZ_METRIC_DEMUX_UNMAPPED, counts->unmapped);
    if (counts->untyped > 0)
        wz_metric_add(WZ_METRIC_DEMUX_UNTYPED, counts->untyped);
    if (counts->raw > 0)
        wz_metric_add(WZ_METRIC_RECORDS_RAW, counts->raw);
    if (counts->processed > 0)
        wz_metric_add(WZ_METRIC_RECORDS_PROCESSED, counts->processed);
    *counts = (struct counts){0};
}

static int bind_all(struct wz_router *router)
{
    static const struct {
        enum wz_bus_exchange exchange;
        wz_bus_consume_fn consume;
    } sources[SOURCE_COUNT] = {
        [SOURCE_DEVICES] = {WZ_BUS_DEVICES, on_devices},
        [SOURCE_INGRESS] = {WZ_BUS_INGRESS, on_ingress},
        [SOURCE_EGRESS] = {WZ_BUS_EGRESS, on_egress},
    };

    for (int i = 0; i < SOURCE_COUNT; i++) {
        int r = wz_bus_bind(router->options.bus, sources[i].exchange, WZ_SLICE_LIT("#"),
                            sources[i].consume, forget, router, &router->bindings[i]);

        if (r < 0)
            return r;
    }
    return WZ_OK;
}

int wz_router_open(const struct wz_router_options *options, struct wz_router **ret_router)
{
    struct wz_router *router = wz_zalloc(1, sizeof(*router));
    int r;

    router->options = *options;
    router->mapping = wz_mapping_empty();
    wz_preprocess_init(&router->pp);
    router->part = (struct wz_loop_part){.wake = on_wake, .flush = on_flush, .arg = router};
    wz_loop_join(options->loop, &router->part);
    on_wake(router);
    if (options->inbox != NULL)
        wz_inbox_set_append(options->inbox, on_reentry, router);
    r = bind_all(router);
    if (r < 0) {
        wz_router_close(router);
        return r;
    }
    *ret_router = router;
    return WZ_OK;
}

struct wz_mapping *wz_router_set_mapping(struct wz_router *router, struct wz_mapping *mapping)
{
    struct wz_mapping *before = router->mapping;

    router->mapping = mapping;
    wz_bus_forget(router->options.bus);
    wz_commands_set_mapping(router->options.commands, mapping);
    if (router->options.inbox != NULL)
        wz_inbox_set_mapping(router->options.inbox, mapping);
    return before;
}

void wz_router_set_ignores(struct wz_router *router, struct wz_trie *ignores)
{
    if (router->options.inbox == NULL) {
        wz_trie_free(ignores);
        return;
    }
    wz_inbox_set_ignores(router->options.inbox, ignores);
    wz_bus_forget(router->options.bus);
}

void wz_router_close(struct wz_router *router)
{
    if (router == NULL)
        return;
    for (int i = 0; i < SOURCE_COUNT; i++) {
        if (router->bindings[i] != NULL)
            wz_bus_unbind(router->options.bus, router->bindings[i]);
    }
    wz_loop_leave(&router->part);
    wz_commands_set_mapping(router->options.commands, NULL);
    if (router->options.inbox != NULL)
        wz_inbox_set_append(router->options.inbox, NULL, NULL);
    wz_mapping_unref(router->mapping);
    wz_preprocess_release(&router->pp);
    wz_buf_release(&router->value);
    wz_buf_release(&router->laid);
    wz_free(router);
}
