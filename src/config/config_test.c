// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/fs.h"
#include "base/mem.h"

static char folder[] = "/tmp/wyze-config-test-XXXXXX";

static void write_file(const char *name, const char *text)
{
    assert_int_equal(wz_fs_replace(folder, name, wz_slice_str(text)), WZ_OK);
}

static const char *const no_env[] = {"HOME=/home/somebody", NULL};

static int load(const char *const *args, const char *const *env, struct wz_config **ret_config,
                struct wz_problem *ret_problem)
{
    struct wz_config_sources sources = {.args = args, .env = env == NULL ? no_env : env};

    while (args != NULL && args[sources.arg_count] != NULL)
        sources.arg_count++;
    return wz_config_load(&sources, ret_config, ret_problem);
}

static void test_config_load_gives_the_defaults_of_the_table(void **state)
{
    struct wz_config *config = NULL;
    (void)state;

    assert_int_equal(load(NULL, NULL, &config, NULL), WZ_OK);
    assert_int_equal(wz_config_address(config, WZ_CONFIG_MQTT_LISTEN)->port, 1883);
    assert_string_equal(wz_config_address(config, WZ_CONFIG_HTTP_LISTEN)->host, "127.0.0.1");
    assert_int_equal(wz_config_int(config, WZ_CONFIG_STREAMS_SEGMENT_BYTES), 256 << 20);
    assert_int_equal(wz_config_int(config, WZ_CONFIG_MQTT_CONNECT_TIMEOUT), 10000);
    assert_int_equal(wz_config_int(config, WZ_CONFIG_LOG_LEVEL), 2);
    assert_string_equal(wz_config_str(config, WZ_CONFIG_DURABILITY), "fsync");
    assert_string_equal(wz_config_where(config, WZ_CONFIG_DURABILITY), "default");
    wz_config_free(config);
}

static void test_config_load_prefers_flag_then_environment_then_file(void **state)
{
    static const char *const args[] = {"--mqtt-max-queued", "1", "--mqtt-max-queued=2", NULL};
    static const char *const env[] = {"WYZE_MQTT_MAX_QUEUED=3", "WYZE_MQTT_MAX_INFLIGHT=4",
                                      "HOME=/h", NULL};
    struct wz_config *config = NULL;
    (void)state;

    write_file("wyze.yaml", "mqtt:\n  max_queued: 5\n  max_inflight: 6\n"
                            "mqtt.max_subscriptions: 7\n");
    assert_int_equal(load(args, env, &config, NULL), WZ_OK);
    assert_int_equal(wz_config_int(config, WZ_CONFIG_MQTT_MAX_QUEUED), 2);
    assert_int_equal(wz_config_int(config, WZ_CONFIG_MQTT_MAX_INFLIGHT), 4);
    assert_int_equal(wz_config_int(config, WZ_CONFIG_MQTT_MAX_SUBSCRIPTIONS), 7);
    assert_string_equal(wz_config_where(config, WZ_CONFIG_MQTT_MAX_QUEUED), "--mqtt-max-queued");
    assert_string_equal(wz_config_where(config, WZ_CONFIG_MQTT_MAX_INFLIGHT),
                        "WYZE_MQTT_MAX_INFLIGHT");
    assert_string_equal(wz_config_where(config, WZ_CONFIG_MQTT_MAX_SUBSCRIPTIONS),
                        "wyze.yaml:4:25");
    assert_string_equal(wz_config_str(config, WZ_CONFIG_CONFIG), "wyze.yaml");
    wz_config_free(config);
    assert_int_equal(unlink("wyze.yaml"), 0);
}

static void test_config_load_reads_the_file_that_is_named(void **state)
{
    static const char *const args[] = {"--config", "other.yaml", NULL};
    static const char *const missing[] = {"--config=none.yaml", NULL};
    struct wz_config *config = NULL;
    struct wz_problem problem = {0};
    (void)state;

    write_file("wyze.yaml", "not a map");
    write_file("other.yaml", "mqtt:\nlog:\n  level: debug\ndata: /somewhere\n");
    assert_int_equal(load(args, NULL, &config, NULL), WZ_OK);
    assert_string_equal(wz_config_str(config, WZ_CONFIG_LOG_LEVEL), "debug");
    assert_string_equal(wz_config_str(config, WZ_CONFIG_DATA), "/somewhere");
    wz_config_free(config);
    assert_int_equal(load(missing, NULL, &config, &problem), WZ_ERR_NOT_FOUND);
    assert_string_equal(problem.what, "There is no file \"none.yaml\".");
    assert_string_equal(problem.where, "--config");
    assert_int_equal(unlink("wyze.yaml"), 0);
}

struct refusal {
    const char *flag;
    const char *env;
    const char *file;
    int code;
    const char *where;
    const char *fix; // a part of it
};

static const struct refusal refusals[] = {
    {"--mqtt-lisen=off", NULL, NULL, WZ_CODE_CONFIG_KEY, "the command line", "--mqtt-listen?"},
    {"--nonsense-of-all", NULL, NULL, WZ_CODE_CONFIG_KEY, "the command line", "configuration.md"},
    {"--mqtt-listen", NULL, NULL, WZ_CODE_CONFIG_KEY, "the command line", "--mqtt-listen VALUE"},
    {"stray", NULL, NULL, WZ_CODE_CONFIG_KEY, "the command line", "--mqtt-listen VALUE"},
    {"--", NULL, NULL, WZ_CODE_CONFIG_KEY, "the command line", "--mqtt-listen VALUE"},
    {"--mqtt.listen=off", NULL, NULL, WZ_CODE_CONFIG_KEY, "the command line", "--mqtt-listen?"},
    {"--mqtt-max-packet=1B", NULL, NULL, WZ_CODE_CONFIG_VALUE, "--mqtt-max-packet", "1KiB to 2MiB"},
    {"--mqtt-max-packet=", NULL, NULL, WZ_CODE_CONFIG_VALUE, "--mqtt-max-packet", "1KiB to 2MiB"},
    {"--mqtt-listen=0.0.0.0:1883", NULL, NULL, WZ_CODE_CONFIG_EXPOSED, "--mqtt-listen", "[::1]"},
    {NULL, "WYZE_LOG_LVEL=info", NULL, WZ_CODE_CONFIG_KEY, "the environment", "WYZE_LOG_LEVEL?"},
    {NULL, "WYZE_LOG_LEVEL=loud", NULL, WZ_CODE_CONFIG_VALUE, "WYZE_LOG_LEVEL", "info or debug"},
    {NULL, "WYZE_HTTP_LISTEN=[::]:80", NULL, WZ_CODE_CONFIG_EXPOSED, "WYZE_HTTP_LISTEN", "SSH"},
    {NULL, NULL, "mqtt:\n  lisen: off\n", WZ_CODE_CONFIG_KEY, "wyze.yaml:2:3", "mqtt.listen?"},
    {NULL, NULL, "mqtt: off\n", WZ_CODE_CONFIG_KEY, "wyze.yaml:1:1", "configuration.md"},
    {NULL, NULL, "mqt:\n", WZ_CODE_CONFIG_KEY, "wyze.yaml:1:1", "configuration.md"},
    {NULL, NULL, "log.level: info\nlog:\n  level: info\n", WZ_CODE_CONFIG_KEY, "wyze.yaml:3:3",
     "another key"},
    {NULL, NULL, "config: x\n", WZ_CODE_CONFIG_KEY, "wyze.yaml:1:1", "another key"},
    {NULL, NULL, "streams:\n  segment_bytes: 1\n", WZ_CODE_CONFIG_VALUE, "wyze.yaml:2:18",
     "1MiB to 1GiB"},
    {"--log-level=info", NULL, "log.level: wrong but overridden\n", WZ_CODE_CONFIG_VALUE,
     "wyze.yaml:1:12", "debug"},
    {NULL, NULL, "[]\n", WZ_CODE_CONFIG_FILE, "wyze.yaml:1:1", "one value"},
};

static void test_config_load_refuses_what_is_wrong_in_any_source(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal *refusal = &refusals[i];
        const char *args[] = {refusal->flag, NULL};
        const char *env[] = {"HOME=/h", refusal->env, NULL};
        struct wz_config *config = NULL;
        struct wz_problem problem = {0};

        if (refusal->file != NULL)
            write_file("wyze.yaml", refusal->file);
        assert_int_equal(load(args, env, &config, &problem), WZ_ERR_INVALID);
        print_message("%s | %s | %s\n", problem.what, problem.where, problem.fix);
        assert_int_equal(problem.err, WZ_ERR_INVALID);
        assert_int_equal(problem.code, refusal->code);
        assert_string_equal(problem.where, refusal->where);
        assert_non_null(strstr(problem.fix, refusal->fix));
        assert_null(config);
        if (refusal->file != NULL)
            assert_int_equal(unlink("wyze.yaml"), 0);
    }
}

static void test_config_load_leaves_other_parts_variables_alone(void **state)
{
    static const char *const env[] = {"WYZE_TOKEN=x", "HOME=/h", NULL};
    static const char *const other[] = {"WYZE_TOKEN", NULL};
    struct wz_config_sources sources = {.env = env, .other_env = other};
    struct wz_config *config = NULL;
    (void)state;

    assert_int_equal(wz_config_load(&sources, &config, NULL), WZ_OK);
    wz_config_free(config);
}

// Loads as an ordinary user, in a child when this is root, and compares the data folder.
static void assert_data(const char *const *env, const char *expected)
{
    struct wz_config *config = NULL;
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        if (load(NULL, env, &config, NULL) != WZ_OK)
            _exit(expected == NULL ? 0 : 3);
        _exit(expected == NULL || strcmp(wz_config_str(config, WZ_CONFIG_DATA), expected) != 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_config_data_follows_the_user_when_it_is_not_given(void **state)
{
    static const char *const both[] = {"XDG_DATA_HOME=/xdg", "HOME=/home/u", NULL};
    static const char *const home[] = {"XDG_DATA_HOME=relative", "HOME=/home/u", NULL};
    static const char *const none[] = {"HOMER=/x", NULL};
    struct wz_config *config = NULL;
    (void)state;

    assert_data(both, "/xdg/wyze");
    assert_data(home, "/home/u/.local/share/wyze");
    assert_data(none, NULL);
    if (geteuid() != 0)
        return;
    assert_int_equal(load(NULL, none, &config, NULL), WZ_OK);
    assert_string_equal(wz_config_str(config, WZ_CONFIG_DATA), "/var/lib/wyze");
    wz_config_free(config);
}

static void test_config_is_flag_knows_its_own(void **state)
{
    (void)state;
    assert_true(wz_config_is_flag("--mqtt-listen"));
    assert_true(wz_config_is_flag("--mqtt-listen=off"));
    assert_false(wz_config_is_flag("--mqtt"));
    assert_false(wz_config_is_flag("mqtt-listen"));
}

static int enter_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || chmod(folder, 0755) != 0 || chdir(folder) != 0;
}

static int drop_folder(void **state)
{
    (void)state;
    wz_ignore(unlink("other.yaml")); // a test that failed may not have made it
    wz_ignore(unlink("wyze.yaml"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_load_gives_the_defaults_of_the_table),
        cmocka_unit_test(test_config_load_prefers_flag_then_environment_then_file),
        cmocka_unit_test(test_config_load_reads_the_file_that_is_named),
        cmocka_unit_test(test_config_load_refuses_what_is_wrong_in_any_source),
        cmocka_unit_test(test_config_load_leaves_other_parts_variables_alone),
        cmocka_unit_test(test_config_data_follows_the_user_when_it_is_not_given),
        cmocka_unit_test(test_config_is_flag_knows_its_own),
    };

    return cmocka_run_group_tests(tests, enter_folder, drop_folder);
}
