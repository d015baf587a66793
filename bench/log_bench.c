// SPDX-License-Identifier: Apache-2.0
// How fast the embedded log appends, is read from end to end, and finds one quiet topic among many.
//   log_bench [--json] [--dir DIR] [--records N] [--topics N] [--os] [--keep]
// Prints a line a number; with --json, one object a line as bench/run wants it.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "loop/mailbox.h"
#include "stream/reader.h"

#define QUIET_RECORDS 200
#define LOOKBACK_RECORDS 100
#define LOOKBACK_ROUNDS 21
#define BODY_LEN 250
#define KEY_CAP 48

struct bench {
    char dir[256];
    int64_t records;
    int64_t topics;
    char (*keys)[KEY_CAP]; // of the topics
    bool keep;
    bool json;
    struct wz_mailbox mailbox;
    struct wz_log_options opt;
    struct wz_log *log;
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
    static const char body[BODY_LEN] = "\"_timestamp\":1770000000123,\"value\":\"255\"";
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
    wz_free(b.keys);
    if (!b.keep) {
        need(wz_fs_walk(b.dir, remove_name, &b), "remove");
        (void)rmdir(b.dir); // stays if somebody else put something there
    }
    return 0;
}
