// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"

static void test_metrics_count_up_and_gauges_fall(void **state)
{
    int64_t before = wz_metric_get(WZ_METRIC_MQTT_CONNECTIONS);

    (void)state;
    wz_metric_add(WZ_METRIC_MQTT_CONNECTIONS, 5);
    wz_metric_add(WZ_METRIC_MQTT_CONNECTIONS, -2);
    assert_int_equal(wz_metric_get(WZ_METRIC_MQTT_CONNECTIONS), before + 3);
}

static void *add_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++)
        wz_metric_add(WZ_METRIC_HTTP_REQUESTS, 1);
    return NULL;
}

static void test_metrics_lose_nothing_between_threads(void **state)
{
    int64_t before = wz_metric_get(WZ_METRIC_HTTP_REQUESTS);
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(wz_metric_get(WZ_METRIC_HTTP_REQUESTS), before + 40000);
}

// Prometheus text format: two comments and one sample a metric.
static void test_metrics_print_in_the_text_format(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    regex_t form;
    char *save = NULL;
    int lines = 0;

    (void)state;
    assert_int_equal(regcomp(&form,
                             "^(# HELP wyze_[a-z_]+ [^ ].*|# TYPE wyze_[a-z_]+ (counter|gauge)|"
                             "wyze_[a-z_]+ -?[0-9]+)$",
                             REG_EXTENDED | REG_NOSUB),
                     0);
    wz_metric_add(WZ_METRIC_RECORDS_RAW, 7);
    wz_metrics_print(&text);
    assert_non_null(strstr(wz_buf_str(&text), "# TYPE wyze_stream_raw_records_total counter\n"
                                              "wyze_stream_raw_records_total 7\n"));
    for (char *line = strtok_r((char *)text.ptr, "\n", &save); line != NULL; lines++) {
        if (regexec(&form, line, 0, NULL, 0) != 0)
            fail_msg("%s", line);
        line = strtok_r(NULL, "\n", &save);
    }
    assert_int_equal(lines, 3 * WZ_METRIC_COUNT);
    regfree(&form);
}

static void test_metrics_have_names_of_their_own(void **state)
{
    static const char *const names[] = {
#define NAME(id, name, type, help) name,
        WZ_METRICS_TABLE(NAME)
#undef NAME
    };

    (void)state;
    for (int i = 0; i < WZ_METRIC_COUNT; i++) {
        for (int j = 0; j < i; j++)
            assert_string_not_equal(names[i], names[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_count_up_and_gauges_fall),
        cmocka_unit_test(test_metrics_lose_nothing_between_threads),
        cmocka_unit_test(test_metrics_print_in_the_text_format),
        cmocka_unit_test(test_metrics_have_names_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
