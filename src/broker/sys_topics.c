// SPDX-License-Identifier: Apache-2.0
// Owns the values as text, in the order of the tables below, the averages behind some of them, and
// the timer. An average is mosquitto's: of a counter's rate a minute, where what is older by the
// average's span weighs 1/e.
#include "broker/sys_topics.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "wire/mqtt.h"

#define ROOT "$SYS/broker/"
#define TOPIC_MAX 48
#define TEXT_MAX 32

static const struct {
    const char *name;
    enum wz_sys_number number;
} numbers[] = {
    {"clients/total", WZ_SYS_CLIENTS_TOTAL},
    {"clients/maximum", WZ_SYS_CLIENTS_MAXIMUM},
    {"clients/inactive", WZ_SYS_CLIENTS_DISCONNECTED},
    {"clients/disconnected", WZ_SYS_CLIENTS_DISCONNECTED},
    {"clients/active", WZ_SYS_CLIENTS_CONNECTED},
    {"clients/connected", WZ_SYS_CLIENTS_CONNECTED},
    {"clients/expired", WZ_SYS_CLIENTS_EXPIRED},
    {"messages/stored", WZ_SYS_STORED},
    {"messages/received", WZ_SYS_PACKETS_RECEIVED},
    {"messages/sent", WZ_SYS_PACKETS_SENT},
    {"store/messages/count", WZ_SYS_STORED},
    {"subscriptions/count", WZ_SYS_SUBSCRIPTIONS},
    {"retained messages/count", WZ_SYS_RETAINED},
    {"publish/messages/dropped", WZ_SYS_PUBLISH_DROPPED},
    {"publish/messages/received", WZ_SYS_PUBLISH_RECEIVED},
    {"publish/messages/sent", WZ_SYS_PUBLISH_SENT},
    {"publish/bytes/received", WZ_SYS_PAYLOAD_RECEIVED},
    {"publish/bytes/sent", WZ_SYS_PAYLOAD_SENT},
    {"bytes/received", WZ_SYS_BYTES_RECEIVED},
    {"bytes/sent", WZ_SYS_BYTES_SENT},
};

static const struct {
    const char *name;
    enum wz_sys_number number;
} loads[] = {
    {"load/messages/received", WZ_SYS_PACKETS_RECEIVED},
    {"load/messages/sent", WZ_SYS_PACKETS_SENT},
    {"load/publish/dropped", WZ_SYS_PUBLISH_DROPPED},
    {"load/publish/received", WZ_SYS_PUBLISH_RECEIVED},
    {"load/publish/sent", WZ_SYS_PUBLISH_SENT},
    {"load/bytes/received", WZ_SYS_BYTES_RECEIVED},
    {"load/bytes/sent", WZ_SYS_BYTES_SENT},
    {"load/sockets", WZ_SYS_SOCKETS},
    {"load/connections", WZ_SYS_CONNECTS},
};

static const struct {
    const char *name;
    double span_s;
} spans[] = {{"1min", 60}, {"5min", 300}, {"15min", 900}};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

// Where in the values what stands.
enum {
    VERSION,
    UPTIME,
    FIRST_NUMBER,
    FIRST_LOAD = FIRST_NUMBER + COUNT(numbers),
    VALUE_COUNT = FIRST_LOAD + COUNT(loads) * COUNT(spans),
};

struct value {
    char topic[TOPIC_MAX];
    char text[TEXT_MAX];
    uint8_t topic_len;
    uint8_t len;
    bool changed; // since it was published
};

struct wz_sys_topics {
    struct wz_sys_topics_options options;
    uv_timer_t timer;
    int64_t started_ms; // on the loop's own clock
    int64_t made_ms;
    int64_t numbers[WZ_SYS_NUMBER_COUNT];
    double loads[COUNT(loads)][COUNT(spans)];
    struct value values[VALUE_COUNT];
};

bool wz_sys_topics_own(struct wz_slice topic)
{
    struct wz_slice root = WZ_SLICE_LIT("$SYS");

    return wz_slice_starts(topic, root) && (topic.len == root.len || topic.ptr[root.len] == '/');
}

// The lengths of all topics and texts are known to fit: an int64_t is 20 characters at the most.
__attribute__((format(printf, 2, 3))) static void set_text(struct value *value, const char *format,
                                                           ...)
{
    char text[TEXT_MAX];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    WZ_ASSERT(len > 0 && len < TEXT_MAX);
    if (len == value->len && memcmp(text, value->text, (size_t)len) == 0)
        return;
    memcpy(value->text, text, (size_t)len);
    value->len = (uint8_t)len;
    value->changed = true;
}

static void set_topic(struct value *value, const char *name, const char *slash, const char *last)
{
    int len = snprintf(value->topic, sizeof(value->topic), ROOT "%s%s%s", name, slash, last);

    WZ_ASSERT(len > 0 && len < TOPIC_MAX);
    value->topic_len = (uint8_t)len;
}

static void set_topics(struct wz_sys_topics *sys)
{
    struct value *value = sys->values + FIRST_LOAD;

    set_topic(&sys->values[VERSION], "version", "", "");
    set_topic(&sys->values[UPTIME], "uptime", "", "");
    for (size_t i = 0; i < COUNT(numbers); i++)
        set_topic(&sys->values[FIRST_NUMBER + i], numbers[i].name, "", "");
    for (size_t i = 0; i < COUNT(loads); i++) {
        for (size_t k = 0; k < COUNT(spans); k++)
            set_topic(value++, loads[i].name, "/", spans[k].name);
    }
}

// Moves the averages on, from the numbers BEFORE to those of ELAPSED_S later.
static void add_up(struct wz_sys_topics *sys, const int64_t *before, double elapsed_s)
{
    for (size_t i = 0; i < COUNT(loads); i++) {
        int64_t count = sys->numbers[loads[i].number] - before[loads[i].number];
        double rate = (double)count * 60 / elapsed_s;

        for (size_t k = 0; k < COUNT(spans); k++) {
            double *load = &sys->loads[i][k];

            *load = rate + exp(-elapsed_s / spans[k].span_s) * (*load - rate);
        }
    }
}

static void set_texts(struct wz_sys_topics *sys)
{
    struct value *value = sys->values + FIRST_LOAD;

    set_text(&sys->values[VERSION], "wyze version %s", WZ_VERSION);
    set_text(&sys->values[UPTIME], "%lld seconds",
             (long long)((sys->made_ms - sys->started_ms) / 1000));
    for (size_t i = 0; i < COUNT(numbers); i++)
        set_text(&sys->values[FIRST_NUMBER + i], "%lld",
                 (long long)sys->numbers[numbers[i].number]);
    for (size_t i = 0; i < COUNT(loads); i++) {
        for (size_t k = 0; k < COUNT(spans); k++)
            set_text(value++, "%.2f", sys->loads[i][k]);
    }
}

static struct wz_message message_of(const struct value *value)
{
    return (struct wz_message){
        .topic = wz_slice(value->topic, value->topic_len),
        .body = wz_slice(value->text, value->len),
        .offset = -1,
    };
}

void wz_sys_topics_publish(struct wz_sys_topics *sys, int64_t now_ms)
{
    int64_t before[WZ_SYS_NUMBER_COUNT];
    struct wz_ticket ticket;

    memcpy(before, sys->numbers, sizeof(before));
    sys->options.read(sys->options.arg, sys->numbers);
    if (now_ms > sys->made_ms)
        add_up(sys, before, (double)(now_ms - sys->made_ms) / 1000);
    sys->made_ms = now_ms;
    set_texts(sys);
    sys->values[UPTIME].changed = true;
    for (size_t i = 0; i < VALUE_COUNT; i++) {
        struct wz_message msg = message_of(&sys->values[i]);

        if (!sys->values[i].changed)
            continue;
        sys->values[i].changed = false;
        // The topics are well-formed, and who may refuse binds to none that begins with '$'.
        wz_ignore(wz_exchange_publish(sys->options.exchange, &msg, wz_mqtt_topic_valid, &ticket));
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct wz_sys_topics *sys = timer->data;

    wz_sys_topics_publish(sys, (int64_t)uv_now(&sys->options.loop->uv));
}

struct wz_sys_topics *wz_sys_topics_new(const struct wz_sys_topics_options *options)
{
    struct wz_sys_topics *sys = wz_zalloc(1, sizeof(*sys));
    uint64_t interval_ms = (uint64_t)options->interval_ms;

    sys->options = *options;
    sys->started_ms = (int64_t)uv_now(&options->loop->uv);
    sys->made_ms = sys->started_ms;
    options->read(options->arg, sys->numbers);
    set_topics(sys);
    set_texts(sys);
    for (size_t i = 0; i < VALUE_COUNT; i++)
        sys->values[i].changed = false;                   // whoever subscribes gets them then
    (void)uv_timer_init(&options->loop->uv, &sys->timer); // these two cannot fail
    sys->timer.data = sys;
    (void)uv_timer_start(&sys->timer, on_timer, interval_ms, interval_ms);
    return sys;
}

void wz_sys_topics_stop(struct wz_sys_topics *sys)
{
    if (sys != NULL)
        uv_close((uv_handle_t *)&sys->timer, NULL);
}

void wz_sys_topics_free(struct wz_sys_topics *sys) { wz_free(sys); }

int wz_sys_topics_next(const struct wz_sys_topics *sys, struct wz_slice filter, size_t *at,
                       size_t *budget, struct wz_message *ret_msg)
{
    if (filter.ptr[0] != '$')
        *at = VALUE_COUNT; // a wildcard in front matches none of them (4.7.2)
    while (*at < VALUE_COUNT) {
        struct wz_message msg = message_of(&sys->values[*at]);

        if (*budget == 0)
            return WZ_AGAIN;
        --*budget;
        ++*at;
        if (wz_pattern_match(&wz_topic_mqtt, filter, msg.topic)) {
            msg.retain = true;
            *ret_msg = msg;
            return WZ_OK;
        }
    }
    return WZ_END;
}
