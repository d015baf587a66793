// SPDX-License-Identifier: Apache-2.0
// NATS's text protocol. Replies are made of PONG: a hello and a subscribe carry a PING behind
// them, because the server answers neither by itself.

#include "nats.h"

#include <stdbool.h>
#include <string.h>

#include "bytes.h"
#include "fail.h"
#include "protocol.h"

#define INBOX "_INBOX."
#define ACK_SUBJECT "$JS.ACK."
#define MAX_ACK_WAIT_NS 600000000000u

// A line as it lies in the buffer, without its end.
struct line {
    const char *text;
    size_t len;
};

static void nats_ping(struct wz_bytes *out) { wz_bytes_put(out, "PING\r\n", 6); }

static void nats_hello(struct wz_bytes *out, const struct wz_hello *hello)
{
    wz_bytes_print(out,
                   "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":false,"
                   "\"name\":\"%s\",\"lang\":\"c\",\"version\":\"1\",\"protocol\":0}\r\n",
                   hello->client);
    nats_ping(out);
}

static void nats_subscribe(struct wz_bytes *out, const char *filter, unsigned qos, uint16_t id)
{
    (void)qos; // Core NATS delivers at most once.
    wz_bytes_print(out, "SUB %s %u\r\n", filter, (unsigned)id);
    nats_ping(out);
}

static void nats_publish(struct wz_bytes *out, const struct wz_publish *publish)
{
    if (publish->qos == 0)
        wz_bytes_print(out, "PUB %s %zu\r\n", publish->topic, publish->len);
    else
        wz_bytes_print(out, "PUB %s " INBOX "%u.%u %zu\r\n", publish->topic, publish->conn,
                       publish->id, publish->len);
    wz_bytes_put(out, publish->body, publish->len);
    wz_bytes_put(out, "\r\n", 2);
}

static void nats_answer(struct wz_bytes *out, const struct wz_event *event)
{
    if (event->kind == WZ_EVENT_PING) {
        wz_bytes_put(out, "PONG\r\n", 6);
    } else if (event->kind == WZ_EVENT_MESSAGE && event->reply != NULL) {
        wz_bytes_put(out, "PUB ", 4);
        wz_bytes_put(out, event->reply, event->reply_len);
        wz_bytes_print(out, " 4\r\n+ACK\r\n");
    }
}

void wz_nats_put_inbox(struct wz_bytes *out, unsigned conn)
{
    wz_bytes_print(out, INBOX "%u.*", conn);
}

void wz_nats_put_deliver(struct wz_bytes *out, unsigned conn)
{
    wz_bytes_print(out, "deliver.%u", conn);
}

// Takes the bytes of the request.
static void put_request(struct wz_bytes *out, const char *subject, struct wz_bytes *request,
                        unsigned conn)
{
    nats_publish(out, &(struct wz_publish){.topic = subject,
                                           .body = request->data,
                                           .len = request->len,
                                           .qos = 1,
                                           .id = 1,
                                           .conn = conn});
    wz_bytes_release(request);
}

void wz_nats_put_consumer(struct wz_bytes *out, uint64_t window, unsigned conn)
{
    struct wz_bytes request = {0};
    struct wz_bytes subject = {0};

    wz_bytes_print(&request,
                   "{\"stream_name\":\"BENCH\",\"config\":{\"durable_name\":\"bench%u\","
                   "\"deliver_policy\":\"all\",\"ack_policy\":\"explicit\","
                   "\"replay_policy\":\"instant\",\"max_ack_pending\":%llu,\"ack_wait\":%llu,"
                   "\"deliver_subject\":\"",
                   conn, (unsigned long long)window, (unsigned long long)MAX_ACK_WAIT_NS);
    wz_nats_put_deliver(&request, conn);
    wz_bytes_print(&request, "\"}}");
    wz_bytes_print(&subject, "$JS.API.CONSUMER.DURABLE.CREATE.BENCH.bench%u", conn);
    wz_bytes_put_u8(&subject, 0);
    put_request(out, (const char *)subject.data, &request, conn);
    wz_bytes_release(&subject);
}

void wz_nats_put_stream(struct wz_bytes *out, const char *subjects, unsigned conn)
{
    struct wz_bytes request = {0};

    wz_bytes_print(&request,
                   "{\"name\":\"BENCH\",\"subjects\":[\"%s\"],\"retention\":\"limits\","
                   "\"storage\":\"file\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,"
                   "\"discard\":\"old\",\"num_replicas\":1}",
                   subjects);
    put_request(out, "$JS.API.STREAM.CREATE.BENCH", &request, conn);
}

static bool starts_with(struct line line, const char *word)
{
    size_t len = strlen(word);

    return line.len >= len && memcmp(line.text, word, len) == 0;
}

static bool find_line(const uint8_t *data, size_t len, struct line *ret_line)
{
    const uint8_t *end = memchr(data, '\n', len);

    if (end == NULL)
        return false;
    if (end == data || end[-1] != '\r')
        wz_fail("the server sent a line that does not end in CR LF");
    ret_line->text = (const char *)data;
    ret_line->len = (size_t)(end - data) - 1;
    return true;
}

// The number at the end of the line: the length of a message's body.
static size_t last_number(struct line line)
{
    size_t value = 0;
    size_t unit = 1;

    for (size_t pos = line.len; pos > 0 && line.text[pos - 1] != ' '; pos--) {
        if (line.text[pos - 1] < '0' || line.text[pos - 1] > '9' || unit > 100000000)
            wz_fail("the server sent a MSG line without a length: %.*s", (int)line.len, line.text);
        value += unit * (size_t)(line.text[pos - 1] - '0');
        unit *= 10;
    }
    return value;
}

// The number of the message in an inbox subject: what stands after the subject's last dot.
static uint32_t inbox_id(struct line line)
{
    uint32_t value = 0;

    for (size_t pos = strlen("MSG " INBOX); pos < line.len && line.text[pos] != ' '; pos++) {
        if (line.text[pos] == '.')
            value = 0;
        else
            value = value * 10 + (uint32_t)(line.text[pos] - '0');
    }
    return value;
}

static bool holds_error(const uint8_t *body, size_t len)
{
    return memmem(body, len, "\"error\"", 7) != NULL;
}

// Finds the subject for the ack of a consumer's message: the last word but one.
static void find_reply(struct line line, struct wz_event *event)
{
    const char *end = memrchr(line.text, ' ', line.len);
    const char *before = end != NULL ? memrchr(line.text, ' ', (size_t)(end - line.text)) : NULL;
    struct line reply;

    if (before == NULL)
        return;
    reply = (struct line){.text = before + 1, .len = (size_t)(end - before) - 1};
    if (!starts_with(reply, ACK_SUBJECT))
        return;
    event->reply = reply.text;
    event->reply_len = reply.len;
    event->qos = 1;
}

// Reads a MSG line and its body; false when the body is not whole yet.
static bool read_message(struct line line, const uint8_t *data, size_t len, struct wz_event *event)
{
    size_t body_len = last_number(line);

    if (len < body_len + 2)
        return false;
    *event = (struct wz_event){.kind = WZ_EVENT_MESSAGE, .body = data, .len = body_len};
    find_reply(line, event);
    if (starts_with(line, "MSG " INBOX)) {
        event->id = inbox_id(line);
        event->kind = holds_error(data, body_len) ? WZ_EVENT_REFUSED : WZ_EVENT_ACK;
    }
    return true;
}

// Reads a line that is no message; false when it means nothing to the load.
static bool read_control(struct line line, struct wz_event *event)
{
    *event = (struct wz_event){.body = (const uint8_t *)line.text, .len = line.len};
    if (starts_with(line, "PONG"))
        event->kind = WZ_EVENT_REPLY;
    else if (starts_with(line, "PING"))
        event->kind = WZ_EVENT_PING;
    else if (starts_with(line, "-ERR"))
        event->kind = WZ_EVENT_REFUSED;
    else if (starts_with(line, "INFO") || starts_with(line, "+OK"))
        return false;
    else
        wz_fail("the server sent an unknown line: %.*s", (int)line.len, line.text);
    return true;
}

static size_t nats_decode(const uint8_t *data, size_t len, struct wz_event *events, size_t cap,
                          size_t *ret_used)
{
    struct line line;
    size_t count = 0;
    size_t pos = 0;

    while (count < cap && find_line(data + pos, len - pos, &line)) {
        size_t next = (size_t)((const uint8_t *)line.text - data) + line.len + 2;

        if (!starts_with(line, "MSG ")) {
            count += read_control(line, &events[count]) ? 1 : 0;
        } else {
            if (!read_message(line, data + next, len - next, &events[count]))
                break;
            next += events[count++].len + 2;
        }
        pos = next;
    }
    *ret_used = pos;
    return count;
}

const struct wz_protocol wz_nats = {
    .name = "nats",
    .hello = nats_hello,
    .subscribe = nats_subscribe,
    .publish = nats_publish,
    .ping = nats_ping,
    .answer = nats_answer,
    .decode = nats_decode,
};
