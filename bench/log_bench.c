// SPDX-License-Identifier: Apache-2.0
// How fast the embedded log appends, is read from end to end, and finds one quiet topic among many.
//   log_bench [--json] [--dir DIR] [--records N] [--topics N] [--os] [--keep] [--packed]
// Prints a line a number; with --json, one object a line as bench/run wants it. With --packed it
// then has all but the last segment compressed, and measures reading these before and after, in
// time of the CPU.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/rand.h"
#include "loop/mailbox.h"
#include "stream/reader.h"

#define QUIET_RECORDS 200
#define LOOKBACK_RECORDS 100
#define LOOKBACK_ROUNDS 21
#define READ_ROUNDS 5
#define BODY_LEN 250
#define BODIES 4096 // different ones, in turn
#define KEY_CAP 48

// What is measured of the segments that are not written to any more; the times are the reading
// thread's own, medians.
struct sealed {
    double read_ns; // a record
    double lookback_us;
    double first_lookback_us;
    int64_t size_bytes;
};

struct bench {
    char dir[256];
    int64_t records;
    int64_t topics;
    char (*keys)[KEY_CAP]; // of the topics
    char (*bodies)[BODY_LEN + 1];
    bool keep;
    bool packed;
    bool json;
    struct wz_mailbox mailbox;
    struct wz_log_options opt;
    struct wz_log *log;
    double pack_cpu_us; // of the process, a MiB
    double pack_per_s;  // bytes
    double append_per_s;
    double append_ns;     // of the appending thread
    double append_cpu_ns; // of the whole process
    double read_per_s;
    double lookback_us; // median, index files in memory
    double first_lookback_us;
    double wildcard_us;
    double open_us; // after an orderly stop
    int64_t size_bytes;
};

static double cpu_us(int who)
{
    struct rusage use;

    (void)getrusage(who, &use); // cannot fail for these arguments
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static void need(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "log_bench: %s: %s\n", what, wz_err_text(r));
    exit(1);
}

// What the calling thread has run so far.
static double thread_us(void)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at); // cannot fail for this clock
    return (double)at.tv_sec * 1e6 + (double)at.tv_nsec / 1e3;
}

static void open_log(struct bench *b)
{
    struct wz_log_recovery recovery;
    struct wz_problem problem;
    int r = wz_log_open(b->dir, &b->opt, &b->log, &recovery, &problem);

    if (r < 0)
        fprintf(stderr, "log_bench: %s\n", problem.what);
    need(r, "open");
}

static void append_one(struct bench *b, int64_t n)
{
    const char *body = b->bodies[n % BODIES];
    bool quiet = n % (b->records / QUIET_RECORDS) == 7;
    int64_t offset;
    struct wz_record_parts parts = {.value = {wz_slice(body, 100), wz_slice(body + 100, 150)},
                                    .value_count = 2};

    parts.key = quiet ? WZ_SLICE_LIT("house.cellar.quiet.sensor")
                      : wz_slice_str(b->keys[n * 7919 % b->topics]);
    while (wz_log_append(b->log, &parts, &offset) == WZ_ERR_BUSY) {
        wz_log_flush(b->log);
        (void)wz_mailbox_wait(&b->mailbox); // never closed
        (void)wz_mailbox_run(&b->mailbox);
    }
}

// The cost of an append by itself, as the loop pays it: into memory, the key ready.
static double append_cost(struct bench *b)
{
    static const char body[BODY_LEN] = "x";
    struct wz_record_parts parts = {.key = WZ_SLICE_LIT("house.room0042.sensor2.value"),
                                    .value = {wz_slice(body, 100), wz_slice(body + 100, 150)},
                                    .value_count = 2};
    double best = 1e9;

    for (int round = 0; round < 20; round++) {
        int64_t start = wz_clock_mono_us();
        int64_t offset;
        double ns;

        for (int i = 0; i < 20000; i++)
            need(wz_log_append(b->log, &parts, &offset), "append");
        ns = (double)(wz_clock_mono_us() - start) / 20;
        best = ns < best ? ns : best;
        while (wz_log_backlog(b->log) > 0) {
            wz_log_flush(b->log);
            (void)wz_mailbox_wait(&b->mailbox); // never closed
            (void)wz_mailbox_run(&b->mailbox);
        }
    }
    return best;
}

static void make_keys(struct bench *b)
{
    b->keys = wz_zalloc((size_t)b->topics, KEY_CAP);
    for (int64_t i = 0; i < b->topics; i++)
        (void)snprintf(b->keys[i], KEY_CAP, "house.room%06d.sensor%d.value", (int)i, (int)(i % 10));
}

// Stamped JSON bodies, each with an identifier, a time and a reading of its own.
static void make_bodies(struct bench *b)
{
    b->bodies = wz_zalloc(BODIES, sizeof(b->bodies[0]));
    for (int i = 0; i < BODIES; i++) {
        uint8_t r[16];
        int len;

        wz_rand_bytes(r, sizeof(r));
        len = snprintf(b->bodies[i], BODY_LEN + 1,
                       "{\"_id\":\"019c1c38-%02x%02x-7%x%02x-98%02x-%02x%02x%02x%02x%02x%02x\","
                       "\"_timestamp\":%lld,\"_topic\":\"house.room%06d.sensor%d.value\","
                       "\"value\":%d.%02d,\"unit\":\"C\",\"battery\":%d,\"rssi\":-%d,\"ok\":true",
                       r[0], r[1], r[2] & 15, r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10],
                       1770000000000ll + i * 37ll, i, i % 10, 15 + r[11] % 12, r[12] % 100,
                       40 + r[13] % 60, 40 + r[14] % 50);
        (void)snprintf(b->bodies[i] + len, (size_t)(BODY_LEN + 1 - len), ",\"note\":\"%.*s\"}",
                       BODY_LEN - len - 11,
                       "the sensor in the corner behind the shelf, second floor");
    }
}

static void bench_append(struct bench *b)
{
    double cpu = cpu_us(RUSAGE_SELF);
    int64_t start = wz_clock_mono_us();

    for (int64_t n = 0; n < b->records; n++) {
        if (n % 256 == 0) {
            wz_log_set_time(b->log, 1770000000000 + n / 100);
            wz_log_flush(b->log);
            (void)wz_mailbox_run(&b->mailbox);
        }
        append_one(b, n);
    }
    while (wz_log_backlog(b->log) > 0) {
        wz_log_flush(b->log);
        (void)wz_mailbox_wait(&b->mailbox); // never closed
        (void)wz_mailbox_run(&b->mailbox);
    }
    b->append_per_s = (double)b->records * 1e6 / (double)(wz_clock_mono_us() - start);
    b->append_cpu_ns = (cpu_us(RUSAGE_SELF) - cpu) * 1e3 / (double)b->records;
}

static int64_t read_some(struct bench *b, const struct wz_reader_options *opt, int64_t most)
{
    struct wz_reader *reader;
    struct wz_record record;
    int64_t count = 0;

    need(wz_reader_open(b->log, opt, &reader), "reader");
    while (count < most && wz_reader_next(reader, &record) == WZ_OK)
        count++;
    wz_reader_close(reader);
    return count;
}

static void bench_read(struct bench *b)
{
    for (int round = 0; round < 2; round++) { // the first one warms the page cache
        int64_t start = wz_clock_mono_us();
        int64_t count = read_some(b, &(struct wz_reader_options){0}, INT64_MAX);
        double per_s = (double)count * 1e6 / (double)(wz_clock_mono_us() - start);

        b->read_per_s = per_s > b->read_per_s ? per_s : b->read_per_s;
    }
}

// Has what is sealed compressed, as fast as that goes beside nothing else.
static void bench_pack(struct bench *b)
{
    int64_t before = wz_metric_get(WZ_METRIC_STREAM_PACKED);
    double cpu = cpu_us(RUSAGE_SELF);
    int64_t start = wz_clock_mono_us();
    struct wz_log_info info;
    int64_t bytes;
    int left;

    need(wz_log_close(b->log), "close");
    b->opt.compress = true;
    open_log(b);
    wz_log_info(b->log, &info);
    bytes = info.size_bytes;
    left = info.segment_count - 1;
    while (wz_metric_get(WZ_METRIC_STREAM_PACKED) - before < left)
        (void)usleep(10000); // it is not told
    b->pack_per_s = (double)bytes * 1e6 / (double)(wz_clock_mono_us() - start);
    b->pack_cpu_us = (cpu_us(RUSAGE_SELF) - cpu) * 1048576.0 / (double)bytes;
}

static int by_size(const void *a, const void *b)
{
    const double *left = a;
    const double *right = b;

    return *left < *right ? -1 : *left > *right;
}

static double bench_lookback(struct bench *b, const char *pattern, double *ret_first_us)
{
    struct wz_reader_options opt = {
        .direction = WZ_BACKWARD, .position = INT64_MAX, .pattern = wz_slice_str(pattern)};
    double us[LOOKBACK_ROUNDS];

    for (int i = 0; i < LOOKBACK_ROUNDS; i++) {
        int64_t start = wz_clock_mono_us();

        if (read_some(b, &opt, LOOKBACK_RECORDS) != LOOKBACK_RECORDS)
            fprintf(stderr, "log_bench: too few records of %s\n", pattern);
        us[i] = (double)(wz_clock_mono_us() - start);
    }
    if (ret_first_us != NULL)
        *ret_first_us = us[0];
    qsort(us, LOOKBACK_ROUNDS, sizeof(us[0]), by_size);
    return us[LOOKBACK_ROUNDS / 2];
}

// Reads what is sealed, in both directions.
static void bench_sealed(struct bench *b, struct sealed *ret_sealed)
{
    struct wz_log_limits all = {.below_offset = INT64_MAX, .needed_offset = INT64_MAX};
    struct wz_reader_options back = {.direction = WZ_BACKWARD,
                                     .pattern = WZ_SLICE_LIT("house.cellar.quiet.sensor")};
    double us[LOOKBACK_ROUNDS];
    struct wz_log_removed sealed;

    wz_log_plan(b->log, &all, &sealed, &back.position);
    for (int i = 0; i < LOOKBACK_ROUNDS; i++) {
        double start = thread_us();

        if (read_some(b, &back, LOOKBACK_RECORDS) != LOOKBACK_RECORDS)
            fprintf(stderr, "log_bench: too few records in what is sealed\n");
        us[i] = thread_us() - start;
    }
    ret_sealed->first_lookback_us = us[0];
    qsort(us, LOOKBACK_ROUNDS, sizeof(us[0]), by_size);
    ret_sealed->lookback_us = us[LOOKBACK_ROUNDS / 2];
    for (int i = 0; i < READ_ROUNDS; i++) {
        double start = thread_us();
        int64_t count = read_some(b, &(struct wz_reader_options){0}, sealed.records);

        us[i] = (thread_us() - start) * 1e3 / (double)count;
    }
    qsort(us, READ_ROUNDS, sizeof(us[0]), by_size);
    ret_sealed->read_ns = us[READ_ROUNDS / 2];
    ret_sealed->size_bytes = sealed.bytes;
}

// One number. TARGET is "" where there is none; MET says whether it was.
static void print_one(const struct bench *b, const char *name, double value, const char *unit,
                      const char *target, bool met)
{
    if (!b->json) {
        printf("%-42s %12.0f %-12s %s\n", name, value, unit, target);
        return;
    }
    printf("{\"name\":\"%s\",\"value\":%.0f,\"unit\":\"%s\"", name, value, unit);
    if (target[0] != 0)
        printf(",\"target\":\"%s\",\"met\":%s", target, met ? "true" : "false");
    printf("}\n");
}

// HOW the segments were stored: "as written", "compressed".
static void print_sealed(const struct bench *b, const struct sealed *sealed, const char *how)
{
    char text[4][80];

    (void)snprintf(text[0], sizeof(text[0]), "log: sequential read, %s, CPU", how);
    (void)snprintf(text[1], sizeof(text[1]), "log: lookback of 100, %s, CPU", how);
    (void)snprintf(text[2], sizeof(text[2]), "log: the same, first time, %s, CPU", how);
    (void)snprintf(text[3], sizeof(text[3]), "log: size of these, %s", how);
    print_one(b, text[0], sealed->read_ns, "ns/record", "500", sealed->read_ns < 500);
    print_one(b, text[1], sealed->lookback_us, "us", "under 5 ms", sealed->lookback_us < 5000);
    print_one(b, text[2], sealed->first_lookback_us, "us", "", false);
    print_one(b, text[3], (double)sealed->size_bytes, "bytes", "", false);
}

// The part of --packed.
static void run_packed(struct bench *b)
{
    struct sealed sealed[2] = {{0}};

    open_log(b);
    bench_sealed(b, &sealed[0]);
    bench_pack(b);
    bench_sealed(b, &sealed[1]);
    need(wz_log_close(b->log), "close");
    print_sealed(b, &sealed[0], "as written");
    print_sealed(b, &sealed[1], "compressed");
    print_one(b, "log: compressing, CPU of the process", b->pack_cpu_us, "us/MiB", "", false);
    print_one(b, "log: compressing, rate", b->pack_per_s, "bytes/s", "", false);
}

static void print(const struct bench *b)
{
    print_one(b, "log: append, synced", b->append_per_s, "records/s", "", false);
    print_one(b, "log: append, CPU of the process", b->append_cpu_ns, "ns/record", "", false);
    print_one(b, "log: append, the loop's share", b->append_ns, "ns/record", "60",
              b->append_ns < 60);
    print_one(b, "log: sequential read", b->read_per_s, "records/s", "over 2 M/s",
              b->read_per_s > 2e6);
    print_one(b, "log: lookback of 100, one quiet topic", b->lookback_us, "us", "under 5 ms",
              b->lookback_us < 5000);
    print_one(b, "log: the same, indexes not in memory", b->first_lookback_us, "us", "", false);
    print_one(b, "log: the same by a wildcard", b->wildcard_us, "us", "", false);
    print_one(b, "log: open after a stop", b->open_us, "us", "", false);
    print_one(b, "log: size", (double)b->size_bytes, "bytes", "", false);
}

static void options(struct bench *b, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            b->json = true;
        else if (strcmp(argv[i], "--keep") == 0)
            b->keep = true;
        else if (strcmp(argv[i], "--packed") == 0)
            b->packed = true;
        else if (strcmp(argv[i], "--os") == 0)
            b->opt.durability = WZ_DURABILITY_OS;
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
            (void)snprintf(b->dir, sizeof(b->dir), "%s", argv[++i]);
        else if (strcmp(argv[i], "--records") == 0 && i + 1 < argc)
            b->records = strtoll(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--topics") == 0 && i + 1 < argc)
            b->topics = strtoll(argv[++i], NULL, 10);
        else
            need(WZ_ERR_INVALID, argv[i]);
    }
    if (b->records < 1000 || b->topics < 1)
        need(WZ_ERR_INVALID, "--records or --topics");
}

static int remove_name(const char *name, void *arg)
{
    const struct bench *b = arg;
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", b->dir, name); // both are short
    return wz_fs_remove(path);
}

int main(int argc, char **argv)
{
    struct bench b = {.records = 10000000, .topics = 10000, .dir = "/tmp/wyze-log-bench"};
    struct wz_log_info info;
    int64_t start;

    options(&b, argc, argv);
    wz_mailbox_init(&b.mailbox, 16, NULL, NULL);
    b.opt.loop_mail = &b.mailbox;
    make_keys(&b);
    make_bodies(&b);
    open_log(&b);
    bench_append(&b);
    bench_read(&b);
    b.lookback_us = bench_lookback(&b, "house.cellar.quiet.sensor", &b.first_lookback_us);
    b.wildcard_us = bench_lookback(&b, "house.cellar.#", NULL);
    b.append_ns = append_cost(&b);
    wz_log_info(b.log, &info);
    b.size_bytes = info.size_bytes;
    need(wz_log_close(b.log), "close");
    start = wz_clock_mono_us();
    open_log(&b);
    b.open_us = (double)(wz_clock_mono_us() - start);
    need(wz_log_close(b.log), "close");
    print(&b);
    if (b.packed)
        run_packed(&b);
    wz_free(b.keys);
    wz_free(b.bodies);
    if (!b.keep) {
        need(wz_fs_walk(b.dir, remove_name, &b), "remove");
        (void)rmdir(b.dir); // stays if somebody else put something there
    }
    return 0;
}
