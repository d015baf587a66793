// SPDX-License-Identifier: Apache-2.0
// Opens, reports, waits for the end of stdin, closes.

#include "idle.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "conn.h"
#include "fail.h"
#include "histogram.h"
#include "options.h"
#include "report.h"
#include "ring.h"

#define READ_BYTES 4096u

static void raise_descriptor_limit(uint64_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        wz_fail_errno("getrlimit");
    if (limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted;
    if (limit.rlim_max < wanted)
        limit.rlim_max = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        wz_fail_errno("raise the limit of open files");
}

static void wait_for_end_of_input(void)
{
    char ignored[256];
    ssize_t got;

    do
        got = read(STDIN_FILENO, ignored, sizeof(ignored));
    while (got > 0 || (got < 0 && errno == EINTR));
}

static void open_idle(struct wz_conn *conn, const struct wz_protocol *protocol,
                      const struct wz_options *options, uint64_t number)
{
    wz_conn_open(conn, protocol,
                 &(struct wz_conn_options){
                     .port = options->port, .number = (unsigned)number, .rx_cap = READ_BYTES});
}

static void open_session(struct wz_conn *conn, const struct wz_protocol *protocol,
                         const struct wz_options *options, uint64_t number)
{
    struct wz_bytes name = {0};
    struct wz_bytes topic = {0};

    wz_bytes_print(&name, "%s-session-%llu", options->client, (unsigned long long)number);
    wz_bytes_put_u8(&name, 0);
    wz_conn_open(conn, protocol,
                 &(struct wz_conn_options){.port = options->port,
                                           .number = (unsigned)number,
                                           .rx_cap = READ_BYTES,
                                           .persistent = (const char *)name.data});
    wz_ring_topic(options->topic, number, 0, &topic);
    if (!conn->found)
        wz_conn_subscribe(conn, (const char *)topic.data, (unsigned)options->qos, 1);
    wz_bytes_release(&name);
    wz_bytes_release(&topic);
}

typedef void (*open_fn)(struct wz_conn *conn, const struct wz_protocol *protocol,
                        const struct wz_options *options, uint64_t number);

static void hold(const char *mode, const struct wz_protocol *protocol,
                 const struct wz_options *options, open_fn open_one)
{
    struct wz_conn *conns = calloc(options->connections, sizeof(*conns));
    struct wz_histogram *latencies = calloc(1, sizeof(*latencies));

    if (conns == NULL || latencies == NULL)
        wz_fail("out of memory");
    raise_descriptor_limit(options->connections + 64);
    for (uint64_t i = 0; i < options->connections; i++) {
        uint64_t start_ns = wz_clock_now_ns();

        open_one(&conns[i], protocol, options, i);
        wz_histogram_add(latencies, wz_clock_now_ns() - start_ns);
    }
    wz_report_begin(mode);
    wz_report_count("connections", options->connections);
    wz_report_latencies("connect_us", latencies);
    wz_report_end();
    wait_for_end_of_input();
    for (uint64_t i = 0; i < options->connections; i++)
        wz_conn_close(&conns[i]);
    free(conns);
    free(latencies);
}

void wz_idle_run(const char *mode, const struct wz_protocol *protocol,
                 const struct wz_options *options)
{
    hold(mode, protocol, options, open_idle);
}

void wz_idle_run_sessions(const char *mode, const struct wz_protocol *protocol,
                          const struct wz_options *options)
{
    hold(mode, protocol, options, open_session);
}
