// SPDX-License-Identifier: Apache-2.0
// Owns the table of commands, their common flags and their help.
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/local.h"
#include "gateway/near.h"

#define OPTIONS(table) table, sizeof(table) / sizeof((table)[0])

// Flags of all commands.
static const struct wz_option common[] = {
    {"--data", "DIR", "the data folder (WYZE_DATA)"},
    {"--config", "FILE", "the configuration file (WYZE_CONFIG)"},
    {"--url", "URL", "the API's address; without it the socket in the data folder (WYZE_URL)"},
    {"--output", "FORM", "table or json; without it a table on a terminal, else JSON lines"},
    {"--json", NULL, "the same as --output json"},
    {"--help", NULL, "this page"},
    {"-h", NULL, "this page"},
};

#define COMMON_COUNT (sizeof(common) / sizeof(common[0]))

static const struct wz_option pub_options[] = {
    {"--exchange", "X", "ingress, egress or amq.topic; without it as the topic looks"},
};

static const struct wz_option sub_options[] = {
    {"--from", "WHEN", "begin there: -1h, @OFFSET, a time, first; without it now"},
    {"--to", "WHEN", "end there, instead of waiting for more"},
    {"--stream", "NAME", "raw (as long as not said otherwise) or processed"},
    {"--count", "N", "end after N messages"},
};

static const struct wz_option map_set_options[] = {
    {"--set", "NAME=VALUE", "another member: type=number, send=value; may be given several times"},
    {"--unset", "NAME", "take a member away; may be given several times"},
};

static const struct wz_option device_set_options[] = {
    {"--template", "NAME", "the template that it follows"},
    {"--set", "NAME=VALUE", "a member of its own: send=value, channels.M=dim; several times"},
    {"--unset", "NAME", "take a member of its own away; may be given several times"},
};

static const struct wz_option document_options[] = {
    {"--revision", "N", "only if it is in that revision; 0: only if it is not there"},
};

static const struct wz_option inbox_ls_options[] = {
    {"--limit", "N", "so many topics; without it 100"},
};

static const struct wz_option inbox_accept_options[] = {
    {"--route", "ROUTE", "not the one that is suggested"},
    {"--template", "NAME", "not the one that is suggested; \"\": none"},
    {"--device", "ID", "not the one that is suggested"},
    {"--all-like", NULL, "all devices like this one, as they are suggested"},
    {"--no-reenter", NULL, "leave what is kept of them where it is"},
};

static const struct wz_option inbox_ignore_options[] = {
    {"--rm", NULL, "do not ignore it any more"},
};

static const struct wz_option script_get_options[] = {
    {"--code", NULL, "the code alone"},
};

static const struct wz_option script_deploy_options[] = {
    {"--name", "NAME", "the script's name; without it the file's, without .py"},
    {"--on", "STREAM:PATTERN", "what it listens to (raw:bedroom.#); may be given several times"},
    {"--from", "WHEN", "a new one begins there: -1h, @OFFSET, a time, first; without it now"},
    {"--stopped", NULL, "save it, but do not run it"},
};

static const struct wz_option script_logs_options[] = {
    {"--follow", NULL, "go on with what comes"},
    {"-f", NULL, "the same as --follow"},
    {"--from", "WHEN", "begin there: -1h, a time; without it with the oldest"},
    {"--count", "N", "end after N lines"},
};

static const struct wz_option script_run_options[] = {
    {"--from", "WHEN", "begin there: -1d, @OFFSET, a time, first; without it -1h"},
    {"--to", "WHEN", "end there; without it with what is there now"},
    {"--stream", "NAME", "raw or processed; without it what the file says"},
    {"--on", "PATTERN", "what it listens to, not what the file says; may be given several times"},
    {"--script-config", "FILE", "the script's config, a JSON object"},
    {"--lanes", NULL, "keep the state by lane, as a script with several workers does"},
    {"--compare", "NAME", "show what differs from what the script of that name emitted"},
};

#define IF_STILL                                                                                   \
    {                                                                                              \
        "--if-still", "FILE", "only if it is still as that export says: nobody was faster"         \
    }

static const struct wz_option import_options[] = {
    {"--merge", NULL, "keep the documents that the file does not name"},
    IF_STILL,
};

static const struct wz_option map_import_options[] = {IF_STILL};

static const struct wz_option script_log_options[] = {
    {"--diff", NULL, "with what changed in the code"},
};

static const struct wz_option log_trim_options[] = {
    {"--before", "WHEN", "segments with records from before only: -30d, a time"},
    {"--keep", "SIZE", "the oldest segments, until no more is left than this: 1GiB"},
    {"--offset", "N", "segments with records below it only"},
    {"--dry-run", NULL, "say what would go, and remove nothing"},
};

static const struct wz_option quarantine_drop_options[] = {
    {"--all", NULL, "all messages"},
};

static const struct wz_option passthrough_set_options[] = {
    {"--order", "N", "rules are tried from the smallest to the largest; without it 100"},
    {"--rename", "TOPIC", "the new name: {topic}, {1} for what the first wildcard matched"},
    {"--rate", "N", "at most so many a second of each topic (0.1: one in ten seconds)"},
    {"--change", "MEMBER", "only when this member of the body has changed (value)"},
    {"--deadband", "N", "by more than this: 0.5, or 10%"},
    {"--atleast", "TIME", "pass after this time, changed or not (10m)"},
    {"--description", "TEXT", "what it is for"},
    {"--inactive", NULL, "save it, but do not let anything pass"},
};

// clang-format off
const struct wz_command wz_commands[] = {
    {"run", "[flags]", "start the server", "wyze run --data ./wyze-data", 0, 0, NULL, 0, 0, NULL},
    {"ready", "", "exit with 0 when a server is up and takes messages", "wyze ready && echo yes",
     0, 0, NULL, 0, 0, wz_cmd_ready},
    {"status", "", "how the server is", "wyze status --json", 0, 0, NULL, 0, 0, wz_cmd_status},
    {"pub", "TOPIC BODY", "publish a message; BODY - is standard input",
     "wyze pub mesh/b5ea3f/42/M/status 255\n"
     "  wyze pub bedroom.light.brightness.output '{\"value\": 0}'",
     2, 2, OPTIONS(pub_options), 0, wz_cmd_pub},
    {"sub", "PATTERN", "show messages as they come, or that came",
     "wyze sub 'bedroom.#' --from -1h\n"
     "  wyze sub '#' --stream processed --from first --to end",
     1, 1, OPTIONS(sub_options), WZ_LOCAL_LOGS, wz_cmd_sub},
    {"export", "[FILE]", "write the whole configuration: mapping, templates, scripts, settings",
     "wyze export > wyze.json", 0, 1, NULL, 0, WZ_LOCAL_STORE, wz_cmd_export},
    {"import", "FILE", "replace the whole configuration by a file's; FILE - is standard input",
     "wyze import wyze.json\n"
     "  wyze import --merge more.json\n"
     "  wyze import edited.json --if-still exported.json",
     1, 1, OPTIONS(import_options), WZ_LOCAL_STORE, wz_cmd_import},
    {"map export", "[FILE]", "write the mapping as text", "wyze map export > mapping.conf",
     0, 1, NULL, 0, WZ_LOCAL_STORE, wz_cmd_map_export},
    {"map import", "FILE", "replace the mapping by a text's; FILE - is standard input",
     "wyze map import mapping.conf\n"
     "  wyze map import edited.conf --if-still exported.conf",
     1, 1, OPTIONS(map_import_options), WZ_LOCAL_STORE, wz_cmd_map_import},
    {"map ls", "", "list the mapping's entries", "wyze map ls", 0, 0, NULL, 0, WZ_LOCAL_STORE,
     wz_cmd_map_ls},
    {"map set", "device|subtopic|type NAME VALUE", "set an entry",
     "wyze map set device mesh/b5ea3f/42 bedroom.light\n"
     "  wyze map set subtopic M brightness --set type=number\n"
     "  wyze map set type input status",
     3, 3, OPTIONS(map_set_options), WZ_LOCAL_STORE, wz_cmd_map_set},
    {"map test", "TOPIC [BODY]", "show step by step what becomes of a message, and what is missing",
     "wyze map test mesh/b5ea3f/42/M/status 255\n"
     "  wyze map test bedroom.light.brightness.output '{\"value\": 0}'",
     1, 2, NULL, 0, WZ_LOCAL_STORE, wz_cmd_map_test},
    {"map rm", "device|subtopic|type NAME", "remove an entry", "wyze map rm subtopic M",
     2, 2, NULL, 0, WZ_LOCAL_STORE, wz_cmd_map_rm},
    {"map inbox ls", "", "list the topics that no rule maps, with what is suggested",
     "wyze map inbox ls --limit 20", 0, 0, OPTIONS(inbox_ls_options), 0, wz_cmd_inbox_ls},
    {"map inbox show", "TOPIC", "show one of them", "wyze map inbox show tele/plug/SENSOR", 1, 1,
     NULL, 0, 0, wz_cmd_inbox_show},
    {"map inbox accept", "TOPIC", "save the device that is suggested; what is kept enters",
     "wyze map inbox accept tele/plug/SENSOR --route kitchen.plug\n"
     "  wyze map inbox accept tele/plug/SENSOR --all-like",
     1, 1, OPTIONS(inbox_accept_options), 0, wz_cmd_inbox_accept},
    {"map inbox ignore", "[FILTER]", "keep nothing of topics, or list the filters",
     "wyze map inbox ignore 'homeassistant/#'", 0, 1, OPTIONS(inbox_ignore_options),
     WZ_LOCAL_STORE, wz_cmd_inbox_ignore},
    {"map inbox forget", "TOPIC...", "drop what is kept of topics",
     "wyze map inbox forget tele/plug/SENSOR", 1, WZ_ARGS_WORDS_MAX, NULL, 0, 0,
     wz_cmd_inbox_forget},
    {"map inbox reenter", "[DEVICE...]", "let what is kept of devices, or of all, enter raw-stream",
     "wyze map inbox reenter plug", 0, WZ_ARGS_WORDS_MAX, NULL, 0, 0, wz_cmd_inbox_reenter},
    {"device ls", "", "list the devices", "wyze device ls", 0, 0, NULL, 0, WZ_LOCAL_STORE,
     wz_cmd_device_ls},
    {"device get", "ID", "show a device", "wyze device get mesh/b5ea3f/42", 1, 1, NULL, 0,
     WZ_LOCAL_STORE, wz_cmd_device_get},
    {"device set", "ID [ROUTE]", "name a device, or change it; what is not said stays",
     "wyze device set mesh/b5ea3f/42 bedroom.light\n"
     "  wyze device set plug kitchen.plug --template tasmota\n"
     "  wyze device set plug --set type=json --set channels.SENSOR=meter",
     1, 2, OPTIONS(device_set_options), WZ_LOCAL_STORE, wz_cmd_device_set},
    {"device rm", "ID", "forget a device", "wyze device rm mesh/b5ea3f/42", 1, 1, NULL, 0,
     WZ_LOCAL_STORE, wz_cmd_device_rm},
    {"template ls", "", "list the templates, ready and own ones", "wyze template ls", 0, 0, NULL, 0,
     WZ_LOCAL_STORE, wz_cmd_template_ls},
    {"template get", "NAME", "show a template", "wyze template get tasmota --json", 1, 1, NULL, 0,
     WZ_LOCAL_STORE, wz_cmd_template_get},
    {"template set", "NAME FILE|JSON", "save a template; FILE - is standard input",
     "wyze template set lamp '{\"input\": \"state\", \"channels\": {\"M\": \"level\"}}'\n"
     "  wyze template get tasmota --json > mine.json; wyze template set tasmota mine.json",
     2, 2, NULL, 0, WZ_LOCAL_STORE, wz_cmd_template_set},
    {"template rm", "NAME", "remove a template; a ready one of its name is in force again",
     "wyze template rm lamp", 1, 1, NULL, 0, WZ_LOCAL_STORE, wz_cmd_template_rm},
    {"passthrough ls", "", "list the rules by which messages pass from raw to processed",
     "wyze passthrough ls", 0, 0, NULL, 0, WZ_LOCAL_STORE, wz_cmd_passthrough_ls},
    {"passthrough get", "NAME", "show a rule", "wyze passthrough get kitchen", 1, 1, NULL, 0,
     WZ_LOCAL_STORE, wz_cmd_passthrough_get},
    {"passthrough set", "NAME PATTERN", "let messages pass from raw to processed",
     "wyze passthrough set kitchen 'kitchen.#'\n"
     "  wyze passthrough set temps '*.temperature' --rename 'temps.{1}' --rate 1\n"
     "  wyze passthrough set meter 'meter.#' --change value --deadband 0.5 --atleast 10m",
     2, 2, OPTIONS(passthrough_set_options), WZ_LOCAL_STORE, wz_cmd_passthrough_set},
    {"passthrough rm", "NAME", "remove a rule", "wyze passthrough rm kitchen", 1, 1, NULL, 0,
     WZ_LOCAL_STORE, wz_cmd_passthrough_rm},
    {"document ls", "COLLECTION", "list the documents of any kind, with their revisions",
     "wyze document ls subtopics", 1, 1, NULL, 0, WZ_LOCAL_STORE, wz_cmd_document_ls},
    {"document get", "COLLECTION NAME", "show a document and its revision",
     "wyze document get types input", 2, 2, NULL, 0, WZ_LOCAL_STORE, wz_cmd_document_get},
    {"document set", "COLLECTION NAME FILE|JSON", "save a document; FILE - is standard input",
     "wyze document set devices mesh/b5ea3f/42 '{\"route\": \"bedroom.light\"}' --revision 3", 3, 3,
     OPTIONS(document_options), WZ_LOCAL_STORE, wz_cmd_document_set},
    {"document rm", "COLLECTION NAME", "remove a document",
     "wyze document rm ignores 'homeassistant/#'", 2, 2, OPTIONS(document_options), WZ_LOCAL_STORE,
     wz_cmd_document_rm},
    {"script ls", "", "list the scripts and how they run", "wyze script ls", 0, 0, NULL, 0,
     WZ_LOCAL_STORE, wz_cmd_script_ls},
    {"script get", "NAME", "show a script", "wyze script get alarm --code", 1, 1,
     OPTIONS(script_get_options), WZ_LOCAL_STORE, wz_cmd_script_get},
    {"script deploy", "FILE", "save a script and run it; waits for the verdict",
     "wyze script deploy alarm.py --on raw:bedroom.#\n"
     "\nThe file may say what it listens to itself, in lines like\n"
     "  # wyze: on raw:bedroom.#",
     1, 1, OPTIONS(script_deploy_options), 0, wz_cmd_script_deploy},
    {"script check", "FILE", "say whether a script is valid, without saving it",
     "wyze script check alarm.py", 1, 1, NULL, 0, 0, wz_cmd_script_check},
    {"script run", "FILE", "run a script over recorded messages, without any effect",
     "wyze script run alarm.py --from -1h\n"
     "  wyze script run alarm.py --from @1000 --to @2000 --compare alarm",
     1, 1, OPTIONS(script_run_options), WZ_LOCAL_LOGS, wz_cmd_script_run},
    {"script test", "DIR|FILE [-- PYTEST-ARGUMENTS]", "run tests of scripts by pytest",
     "wyze script test tests\n"
     "  wyze script test tests/test_alarm.py -- -k bright -x",
     1, WZ_ARGS_WORDS_MAX, NULL, 0, 0, wz_cmd_script_test},
    {"script quarantine ls", "NAME", "list the messages that a script failed on",
     "wyze script quarantine ls alarm", 1, 1, NULL, 0, 0, wz_cmd_quarantine_ls},
    {"script quarantine show", "NAME NUMBER", "show one, with the traceback and the state it saw",
     "wyze script quarantine show alarm 3", 2, 2, NULL, 0, 0, wz_cmd_quarantine_show},
    {"script quarantine retry", "NAME [NUMBER]", "give one, or all in order, to the script again",
     "wyze script quarantine retry alarm", 1, 2, NULL, 0, 0, wz_cmd_quarantine_retry},
    {"script quarantine drop", "NAME [NUMBER]", "forget one, or all with --all",
     "wyze script quarantine drop alarm 3", 1, 2, OPTIONS(quarantine_drop_options), 0,
     wz_cmd_quarantine_drop},
    {"script logs", "NAME", "show what a script printed and logged, and its exceptions",
     "wyze script logs alarm --from -10m -f", 1, 1, OPTIONS(script_logs_options),
     WZ_LOCAL_STORE | WZ_LOCAL_LOGS, wz_cmd_script_logs},
    {"script state", "NAME", "list what a script has in its state", "wyze script state alarm",
     1, 1, NULL, 0, 0, wz_cmd_script_state},
    {"script restart", "[NAME]", "start a script's workers anew, or those of all scripts",
     "wyze script restart alarm", 0, 1, NULL, 0, 0, wz_cmd_script_restart},
    {"script log", "NAME", "list the versions of a script that are kept, newest first",
     "wyze script log alarm --diff", 1, 1, OPTIONS(script_log_options), WZ_LOCAL_STORE,
     wz_cmd_script_log},
    {"script rollback", "NAME [REVISION]", "run the version before, or the one of REVISION, again",
     "wyze script rollback alarm", 1, 2, NULL, 0, 0, wz_cmd_script_rollback},
    {"script start", "NAME", "run a script that was stopped, parked or has ended itself", "wyze script start alarm", 1, 1, NULL, 0,
     WZ_LOCAL_STORE, wz_cmd_script_start},
    {"script stop", "NAME", "stop a script, but keep it", "wyze script stop alarm", 1, 1, NULL, 0,
     WZ_LOCAL_STORE, wz_cmd_script_stop},
    {"script rm", "NAME", "remove a script", "wyze script rm alarm", 1, 1, NULL, 0,
     WZ_LOCAL_STORE, wz_cmd_script_rm},
    {"log info", "", "what is on the streams", "wyze log info", 0, 0, NULL, 0,
     WZ_LOCAL_LOGS, wz_cmd_log_info},
    {"log verify", "[NAME|DIR]", "read a stream, or a folder of one, and check every byte",
     "wyze log verify\n  wyze log verify journal\n  wyze log verify /backup/raw-stream", 0, 1,
     NULL, 0,
     WZ_LOCAL_LOGS, wz_cmd_log_verify},
    {"log trim", "STREAM", "remove the oldest segments of a stream",
     "wyze log trim raw --before -30d --dry-run\n  wyze log trim processed --keep 1GiB", 1, 1,
     OPTIONS(log_trim_options), WZ_LOCAL_LOGS, wz_cmd_log_trim},
    {"version", "", "the version of this program, and of the server if one runs", "wyze version",
     0, 0, NULL, 0, 0, wz_cmd_version},
    {"help", "[COMMAND]", "this page, or that of a command", "wyze help map set", 0, 2, NULL, 0, 0,
     NULL},
};
// clang-format on

const size_t wz_command_count = sizeof(wz_commands) / sizeof(wz_commands[0]);

const char *const wz_cli_env[] = {"WYZE_URL", NULL};

int wz_cli_exit(int err)
{
    switch (err) {
    case WZ_OK:
        return WZ_EXIT_OK;
    case WZ_ERR_INVALID:
    case WZ_ERR_TOO_LARGE:
        return WZ_EXIT_INPUT;
    case WZ_ERR_NOT_FOUND:
        return WZ_EXIT_NOT_FOUND;
    case WZ_ERR_CONFLICT:
    case WZ_ERR_EXISTS:
        return WZ_EXIT_CONFLICT;
    case WZ_ERR_AUTH:
        return WZ_EXIT_AUTH;
    case WZ_ERR_UNREACHABLE:
        return WZ_EXIT_UNREACHABLE;
    case WZ_ERR_TIMEOUT:
        return WZ_EXIT_TIMEOUT;
    default:
        return WZ_EXIT_FAILED;
    }
}

int wz_cli_connect(struct wz_cli *cli, int timeout_s)
{
    struct wz_client_options options = {.url = cli->url,
                                        .data = wz_config_str(cli->config, WZ_CONFIG_DATA),
                                        .needs = cli->command->local,
                                        .timeout_s = timeout_s};

    if (cli->client != NULL)
        return WZ_OK;
    return wz_client_open(&options, &cli->client, &cli->problem);
}

int wz_cli_ask(struct wz_cli *cli, const char *method, struct wz_slice body,
               struct wz_reply *ret_reply, const char *target)
{
    struct wz_ask ask = {.method = method, .target = target, .body = body};
    int r = wz_cli_connect(cli, 0);

    if (r < 0)
        return r;
    return wz_client_ask(cli->client, &ask, ret_reply, &cli->problem);
}

int wz_cli_load(struct wz_cli *cli, const char *path, size_t max, struct wz_buf *ret_buf)
{
    int r = WZ_OK;

    if (strcmp(path, "-") != 0) {
        r = wz_fs_load(path, max, ret_buf);
    } else {
        ssize_t n = 1;

        while (n > 0 && ret_buf->len <= max) {
            wz_buf_reserve(ret_buf, 65536);
            n = read(STDIN_FILENO, ret_buf->ptr + ret_buf->len, 65536);
            ret_buf->len += n > 0 ? (size_t)n : 0;
        }
        r = n < 0 ? WZ_ERR_IO : ret_buf->len > max ? WZ_ERR_TOO_LARGE : WZ_OK;
    }
    if (r < 0) {
        (void)wz_problem_set(&cli->problem, r, 0, "The input cannot be read: %s.", wz_err_text(r));
        wz_problem_where(&cli->problem, "%s", path);
    }
    return r;
}

int wz_cli_save(struct wz_cli *cli, const char *path, struct wz_slice bytes)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    char *dir;
    int r;

    if (path == NULL)
        return wz_output_write(bytes);
    dir = slash != NULL ? wz_strndup(path, (size_t)(slash - path) + 1) : wz_strdup(".");
    r = wz_fs_replace(dir, slash != NULL ? slash + 1 : path, bytes);
    wz_free(dir);
    if (r < 0)
        (void)wz_problem_set(&cli->problem, r, 0, "The file %.128s cannot be written: %s.", path,
                             wz_err_text(r));
    return wz_cli_exit(r);
}

void wz_cli_tell_changed(struct wz_cli *cli, const struct wz_reply *reply)
{
    json_t *answer = wz_client_json(reply, &cli->problem);

    (void)fprintf(stderr, "%lld documents changed\n",
                  (long long)json_integer_value(
                      json_object_get(answer, "changed"))); // nobody is left to be told
    json_decref(answer);
}

int wz_cli_print_rows(struct wz_cli *cli, const json_t *rows, const struct wz_column *columns,
                      size_t column_count)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    wz_output_add_rows(&text, cli->form, rows, columns, column_count);
    return wz_output_write(wz_buf_slice(&text));
}

int wz_cli_print_object(struct wz_cli *cli, const json_t *object)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    wz_output_add_object(&text, cli->form, object);
    return wz_output_write(wz_buf_slice(&text));
}

static void add_options(struct wz_buf *buf, const struct wz_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char head[64];

        (void)snprintf(head, sizeof(head), "%s %s", options[i].name,
                       options[i].value != NULL ? options[i].value : "");
        wz_buf_addf(buf, "  %-24s %s\n", head, options[i].help);
    }
}

static int print_command_help(const struct wz_command *command)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    wz_buf_addf(&buf, "wyze %s: %s\n\n  wyze %s %s\n\n", command->name, command->summary,
                command->name, command->words);
    if (command->option_count > 0) {
        add_options(&buf, command->options, command->option_count);
        wz_buf_add_byte(&buf, '\n');
    }
    wz_buf_add_str(&buf, "For all commands:\n");
    add_options(&buf, common, COMMON_COUNT - 1);
    wz_buf_addf(&buf, "\nExample:\n  %s\n", command->example);
    return wz_output_write(wz_buf_slice(&buf));
}

static int print_help(void)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    wz_buf_add_str(&buf, "wyze COMMAND ...\n\n");
    for (size_t i = 0; i < wz_command_count; i++) {
        const struct wz_command *command = &wz_commands[i];
        char head[64];

        (void)snprintf(head, sizeof(head), "%s %s", command->name, command->words);
        wz_buf_addf(&buf, "  %-40s %s\n", head, command->summary);
    }
    wz_buf_add_str(&buf, "\nwyze COMMAND --help says more, with an example.\n"
                         "First steps: wyze run, then wyze sub '#' in another terminal.\n");
    return wz_output_write(wz_buf_slice(&buf));
}

// How many of the first words of ARGV are COMMAND's name; 0 when it is not that command.
static int match(const struct wz_command *command, int argc, char **argv)
{
    const char *rest = command->name;

    for (int i = 0; i < argc; i++) {
        size_t len = strcspn(rest, " ");

        if (strlen(argv[i]) != len || memcmp(argv[i], rest, len) != 0)
            return 0;
        if (rest[len] == '\0')
            return i + 1;
        rest += len + 1;
    }
    return 0;
}

static const struct wz_command *find_command(int argc, char **argv, int *ret_words)
{
    for (size_t i = 0; i < wz_command_count; i++) {
        *ret_words = match(&wz_commands[i], argc, argv);
        if (*ret_words > 0)
            return &wz_commands[i];
    }
    return NULL;
}

// Whether all commands that begin with the word have a second one ("map").
static bool is_group(const char *word)
{
    for (size_t i = 0; i < wz_command_count; i++) {
        size_t len = strlen(word);

        if (strncmp(wz_commands[i].name, word, len) == 0 && wz_commands[i].name[len] == ' ')
            return true;
    }
    return false;
}

static int print_group_help(const char *word)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    for (size_t i = 0; i < wz_command_count; i++) {
        size_t len = strlen(word);

        if (strncmp(wz_commands[i].name, word, len) == 0 && wz_commands[i].name[len] == ' ')
            wz_buf_addf(&buf, "  wyze %s %s\n      %s\n", wz_commands[i].name, wz_commands[i].words,
                        wz_commands[i].summary);
    }
    return wz_output_write(wz_buf_slice(&buf));
}

static int refuse_command(int argc, char **argv)
{
    WZ_AUTO(wz_buf_release) struct wz_buf given = {0};
    struct wz_problem problem;
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;

    wz_buf_add_str(&given, argv[0]);
    if (is_group(argv[0]) && argc > 1)
        wz_buf_addf(&given, " %s", argv[1]);
    for (size_t i = 0; i < wz_command_count; i++) {
        size_t distance = wz_near_distance(wz_buf_slice(&given), wz_slice_str(wz_commands[i].name));

        if (distance < best_distance) {
            best = wz_commands[i].name;
            best_distance = distance;
        }
    }
    (void)wz_problem_set(&problem, WZ_ERR_INVALID, 0, "There is no command \"%.64s\".",
                         wz_buf_str(&given));
    if (best_distance <= 3)
        wz_problem_fix(&problem, "Did you mean \"wyze %s\"? \"wyze help\" lists them all.", best);
    else
        wz_problem_fix(&problem, "\"wyze help\" lists them all.");
    wz_output_problem(&problem);
    return WZ_EXIT_USAGE;
}

// Loads the configuration with what of the common flags belongs to it.
static int load_config(struct wz_cli *cli)
{
    static const char *const names[] = {"--data", "--config"};
    const char *args[4];
    struct wz_config_sources sources = {
        .args = args, .env = (const char *const *)environ, .other_env = wz_cli_env};

    for (size_t i = 0; i < 2; i++) {
        const char *value = wz_args_value(&cli->args, names[i]);

        if (value == NULL)
            continue;
        args[sources.arg_count++] = names[i];
        args[sources.arg_count++] = value;
    }
    return wz_config_load(&sources, &cli->config, &cli->problem);
}

static int prepare(struct wz_cli *cli)
{
    const char *output = wz_args_value(&cli->args, "--output");
    int r;

    if (wz_args_value(&cli->args, "--json") != NULL)
        output = "json";
    r = wz_output_choose(output, &cli->form, &cli->problem);
    if (r < 0)
        return r;
    cli->url = wz_args_value(&cli->args, "--url");
    if (cli->url == NULL)
        cli->url = getenv("WYZE_URL");
    if (cli->url != NULL && cli->url[0] == '\0')
        cli->url = NULL;
    return load_config(cli);
}

static int refuse_words(const struct wz_command *command)
{
    struct wz_problem problem;

    (void)wz_problem_set(&problem, WZ_ERR_INVALID, 0, "\"wyze %s\" is called otherwise.",
                         command->name);
    wz_problem_fix(&problem, "wyze %s %s", command->name, command->words);
    wz_output_problem(&problem);
    return WZ_EXIT_USAGE;
}

static int run(const struct wz_command *command, int argc, char **argv)
{
    struct wz_option options[WZ_ARGS_OPTIONS_MAX];
    size_t count = COMMON_COUNT;
    struct wz_cli cli = {.command = command};
    int code;

    memcpy(options, common, sizeof(common));
    for (size_t i = 0; i < command->option_count; i++)
        options[count++] = command->options[i];
    if (wz_args_read(argc, argv, options, count, &cli.args, &cli.problem) < 0) {
        wz_output_problem(&cli.problem);
        return WZ_EXIT_USAGE;
    }
    if (wz_args_value(&cli.args, "--help") != NULL || wz_args_value(&cli.args, "-h") != NULL)
        return print_command_help(command);
    if (cli.args.word_count < command->least_words || cli.args.word_count > command->most_words)
        return refuse_words(command);
    code = wz_cli_exit(prepare(&cli));
    if (code == WZ_EXIT_OK)
        code = command->run(&cli);
    if (code != WZ_EXIT_OK && (cli.problem.err != WZ_OK || cli.problem.what[0] != '\0'))
        wz_output_problem(&cli.problem);
    wz_client_close(cli.client);
    wz_config_free(cli.config);
    return code;
}

// Whether the words up to "--help" or the end, which RET_WORDS gets, are those that several
// commands begin with ("script quarantine").
static bool read_group(int argc, char **argv, struct wz_buf *ret_words)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--help") != 0; i++)
        wz_buf_addf(ret_words, "%s%s", i > 0 ? " " : "", argv[i]);
    return ret_words->len > 0 && is_group(wz_buf_str(ret_words));
}

static int help(int argc, char **argv)
{
    WZ_AUTO(wz_buf_release) struct wz_buf group = {0};
    const struct wz_command *command;
    int words;

    if (argc == 0 || strcmp(argv[0], "--help") == 0)
        return print_help();
    command = find_command(argc, argv, &words);
    if (command != NULL)
        return print_command_help(command);
    if (read_group(argc, argv, &group))
        return print_group_help(wz_buf_str(&group));
    return is_group(argv[0]) ? print_group_help(argv[0]) : refuse_command(argc, argv);
}

// How many of the first arguments are flags of all commands, with their values.
static int count_common(int argc, char **argv)
{
    int count = 0;

    while (count < argc && argv[count][0] == '-' && argv[count][1] == '-') {
        const char *equals = strchr(argv[count], '=');
        size_t len = equals != NULL ? (size_t)(equals - argv[count]) : strlen(argv[count]);
        size_t i = 0;

        while (i < COMMON_COUNT &&
               (strlen(common[i].name) != len || memcmp(common[i].name, argv[count], len) != 0))
            i++;
        if (i == COMMON_COUNT || strcmp(common[i].name, "--help") == 0)
            break;
        count += common[i].value != NULL && equals == NULL ? 2 : 1;
    }
    return count < argc ? count : 0;
}

// Brings flags that stand before the command behind it.
static void move_common(int argc, char **argv)
{
    int count = count_common(argc - 1, argv + 1);

    for (int i = 0; i < count; i++) {
        char *first = argv[1];

        memmove(argv + 1, argv + 2, (size_t)(argc - 2) * sizeof(*argv));
        argv[argc - 1] = first;
    }
}

int wz_cli_main(int argc, char **argv)
{
    WZ_AUTO(wz_buf_release) struct wz_buf group = {0};
    const struct wz_command *command;
    int words;

    if (argc > 1)
        move_common(argc, argv);
    if (argc < 2) {
        (void)print_help(); // it was not asked for
        return WZ_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return help(argc - 2, argv + 2);
    if (strcmp(argv[1], "--version") == 0)
        argv[1] += 2;
    command = find_command(argc - 1, argv + 1, &words);
    if (command != NULL && command->run != NULL)
        return run(command, argc - 1 - words, argv + 1 + words);
    if (read_group(argc - 1, argv + 1, &group)) {
        (void)print_group_help(wz_buf_str(&group)); // as above
        return strcmp(argv[argc - 1], "--help") != 0 ? WZ_EXIT_USAGE : WZ_EXIT_OK;
    }
    return refuse_command(argc - 1, argv + 1);
}
