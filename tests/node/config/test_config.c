#include "node/config/config.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define EXAMPLE "docs/allocd.conf.example"

/* One call, and all that came of it. */
struct call {
    enum config_verdict verdict;
    struct config config;
    char *out;
    char *err;
};

static char directory[] = "/tmp/test_config.XXXXXX";
static char file[sizeof(directory) + sizeof("/allocd.conf")];

static int make_directory(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(file, sizeof(file), "%s/allocd.conf", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(directory);
}

static void write_file(const char *content, size_t len)
{
    FILE *stream = fopen(file, "w");
    assert_non_null(stream);
    assert_int_equal(fwrite(content, 1, len, stream), len);
    assert_int_equal(fclose(stream), 0);
}

/* Requires: `arguments` ends with NULL. call_release must follow. */
static struct call call_with(char **arguments)
{
    struct call call = {.out = NULL};
    size_t size;
    int argc = 0;
    while (arguments[argc])
        argc++;
    FILE *out = open_memstream(&call.out, &size);
    FILE *err = open_memstream(&call.err, &size);
    assert_true(out && err);
    memset(&call.config, 0x5a, sizeof(call.config));
    call.verdict = config_from_arguments(argc, arguments, &call.config, out, err);
    fclose(out);
    fclose(err);
    return call;
}

#define CALL(...) call_with((char *[]){"allocd", __VA_ARGS__, NULL})
#define CALL_ALONE() call_with((char *[]){"allocd", NULL})

static void call_release(struct call *call)
{
    free(call->out);
    free(call->err);
}

/* Ends a call that was to be a run, and gives its configuration. */
static struct config run(struct call call)
{
    if (call.verdict != CONFIG_RUN || call.out[0] || call.err[0])
        fail_msg("verdict %d, out \"%s\", err \"%s\"", call.verdict, call.out, call.err);
    call_release(&call);
    return call.config;
}

static struct config run_file(const char *content)
{
    write_file(content, strlen(content));
    return run(CALL("--config", file));
}

/* Ends a call that was to be refused, with one line that ends so. */
static void refused(struct call call, const char *name, const char *end)
{
    size_t len = strlen(call.err);
    size_t end_len = strlen(end);
    bool is_line = len > 0 && strchr(call.err, '\n') == call.err + len - 1 &&
                   strncmp(call.err, "allocd: ", 8) == 0;
    bool ends_so =
        is_line && len - 1 >= end_len && strncmp(call.err + len - 1 - end_len, end, end_len) == 0;
    if (call.verdict != CONFIG_WRONG || call.out[0] || !ends_so)
        fail_msg("%s: verdict %d, out \"%s\", err \"%s\"", name, call.verdict, call.out, call.err);
    call_release(&call);
}

/* Ends a call that was to print and exit 0, and gives what it printed; free it. */
static char *printed(struct call call)
{
    if (call.verdict != CONFIG_DONE || call.err[0])
        fail_msg("verdict %d, err \"%s\"", call.verdict, call.err);
    free(call.err);
    return call.out;
}

/* ---- values and where they come from -------------------------------------------------- */

static void test_has_the_defaults_of_the_contract(void **state)
{
    (void)state;
    struct config config = run(CALL_ALONE());
    assert_string_equal(config.directory, "./allocd-data");
    assert_string_equal(config.commands, "tcp://127.0.0.1:5555");
    assert_string_equal(config.events, "tcp://127.0.0.1:5556");
    assert_int_equal(config.upstream.count, 0);
    assert_false(config.insecure_bind);
    assert_int_equal(config.log_level, LOG_INFO);
    assert_int_equal(config.map_size_gib, 1024);
    assert_int_equal(config.ids_kept, 1000000);
    assert_int_equal(config.max_memory_mib, 96);
    assert_int_equal(config.max_unread_mib, 8);
    assert_int_equal(config.handshake_ms, 3000);
    assert_int_equal(config.heartbeat_ms, 5000);
    assert_int_equal(config.heartbeat_timeout_ms, 15000);
    assert_int_equal(config.backlog, 256);
}

static void test_takes_flags(void **state)
{
    (void)state;
    struct config config =
        run(CALL("--data=/srv/a b", "--commands", "tcp://*:0", "--events", "ipc://events",
                 "--upstream", "tcp://10.1.1.1:5556", "--insecure-bind", "--log-level", "debug",
                 "--upstream=ipc://other"));
    assert_string_equal(config.directory, "/srv/a b");
    assert_string_equal(config.commands, "tcp://*:0");
    assert_string_equal(config.events, "ipc://events");
    assert_int_equal(config.upstream.count, 2);
    assert_string_equal(config.upstream.items[0], "tcp://10.1.1.1:5556");
    assert_string_equal(config.upstream.items[1], "ipc://other");
    assert_true(config.insecure_bind);
    assert_int_equal(config.log_level, LOG_DEBUG);
}

static void test_takes_a_file(void **state)
{
    (void)state;
    struct config config = run_file("# A comment\n"
                                    "\n"
                                    "server   # another one\r\n"
                                    "    commands = tcp://localhost:7001 # a third\r\n"
                                    "    events = 'ipc://#1'\n"
                                    "    upstream = \"ipc://a\"\n"
                                    "    insecure_bind = true\n"
                                    "    upstream = tcp://h-1.example.org:9\n"
                                    "    # indented\n"
                                    "store\n"
                                    "    directory = \"/srv/it's here \"\n"
                                    "    map_size_gib = 65536\n"
                                    "    ids_kept = 2000000\n"
                                    "clients\n"
                                    "    max_memory_mib = 16\n"
                                    "    max_unread_mib = 1\n"
                                    "    handshake_ms = 100\n"
                                    "    heartbeat_ms = 200\n"
                                    "    heartbeat_timeout_ms = 300\n"
                                    "    backlog = 1\n"
                                    "log\n"
                                    "    level = error");
    assert_string_equal(config.commands, "tcp://127.0.0.1:7001");
    assert_string_equal(config.events, "ipc://#1");
    assert_int_equal(config.upstream.count, 2);
    assert_string_equal(config.upstream.items[0], "ipc://a");
    assert_string_equal(config.upstream.items[1], "tcp://h-1.example.org:9");
    assert_true(config.insecure_bind);
    assert_string_equal(config.directory, "/srv/it's here ");
    assert_int_equal(config.map_size_gib, 65536);
    assert_int_equal(config.ids_kept, 2000000);
    assert_int_equal(config.max_unread_mib, 1);
    assert_int_equal(config.handshake_ms, 100);
    assert_int_equal(config.heartbeat_ms, 200);
    assert_int_equal(config.heartbeat_timeout_ms, 300);
    assert_int_equal(config.backlog, 1);
    assert_int_equal(config.max_memory_mib, 16);
    assert_int_equal(config.log_level, LOG_ERROR);
}

static void test_flags_win_over_the_file_and_it_over_defaults(void **state)
{
    (void)state;
    static const char content[] = "server\n"
                                  "    commands = tcp://127.0.0.1:7001\n"
                                  "    upstream = ipc://a\n"
                                  "    upstream = ipc://b\n"
                                  "log\n"
                                  "    level = warn\n";
    write_file(content, strlen(content));
    struct config config =
        run(CALL("--log-level", "debug", "--upstream", "ipc://b", "--config", file));
    assert_int_equal(config.log_level, LOG_DEBUG);
    assert_int_equal(config.upstream.count, 1);
    assert_string_equal(config.upstream.items[0], "ipc://b");
    assert_string_equal(config.commands, "tcp://127.0.0.1:7001");
    assert_string_equal(config.events, "tcp://127.0.0.1:5556");
}

static void test_takes_an_empty_file_and_empty_sections(void **state)
{
    (void)state;
    assert_int_equal(run_file("").backlog, 256);
    assert_int_equal(run_file("server\nclients\n").backlog, 256);
}

static void test_the_last_of_equal_flags_counts(void **state)
{
    (void)state;
    assert_string_equal(run(CALL("--data", "a", "--data", "b")).directory, "b");
}

static void test_lets_a_flag_allow_what_the_file_exposes(void **state)
{
    (void)state;
    static const char content[] = "server\n    commands = tcp://*:7001\n";
    write_file(content, strlen(content));
    assert_string_equal(run(CALL("--config", file, "--insecure-bind")).commands, "tcp://*:7001");
    refused(CALL("--config", file), "file alone",
            "allocd.conf:2: server/commands: \"tcp://*:7001\": neither loopback nor ipc, which "
            "only --insecure-bind allows");
}

/* zconfig may read, but nothing of czmq may start: it would take the signals. */
static void test_leaves_signals_alone(void **state)
{
    (void)state;
    struct sigaction before;
    struct sigaction after;
    for (int i = 0; i < 2; i++) {
        int signal = i == 0 ? SIGINT : SIGTERM;
        sigaction(signal, NULL, &before);
        run_file("server\n");
        sigaction(signal, NULL, &after);
        assert_true(before.sa_handler == after.sa_handler);
    }
}

/* ---- what is wrong with a command line ------------------------------------------------ */

#define EXPOSED ": neither loopback nor ipc, which only --insecure-bind allows"

static void test_refuses_bad_arguments(void **state)
{
    static char *const rows[][6] = {
        /* the end of the message, then the arguments */
        {"unknown or ambiguous option --nope; see --help", "--nope"},
        {"unknown or ambiguous option --co; see --help", "--co"},
        {"unknown option -d; see --help", "-d", "x"},
        {"unknown option -d; see --help", "-data", "x"},
        {"unknown option -?; see --help", "-\x01"},
        {"--help=1: this option takes no value; see --help", "--help=1"},
        {"--data needs a value; see --help", "--data"},
        {"unexpected argument extra; see --help", "extra"},
        {"unexpected argument extra; see --help", "extra", "--help"},
        {"unexpected argument --help; see --help", "--", "--help"},
        {"unexpected argument ; see --help", ""},
        {"unexpected argument a?b; see --help", "a\nb"},
        {"unknown or ambiguous option --nope; see --help", "--version", "--nope"},
        {"--data \"\": must be 1 to 1023 bytes without control characters and double quotes",
         "--data", ""},
        {"--data \"a?\": must be 1 to 1023 bytes without control characters and double quotes",
         "--data", "a\n"},
        {"--data \"a\"\": must be 1 to 1023 bytes without control characters and double quotes",
         "--data", "a\""},
        {"--log-level \"loud\": must be error, warn, info or debug", "--log-level", "loud"},
        {"--log-level \"\": must be error, warn, info or debug", "--check-config", "--log-level",
         ""},
        {"--commands \"udp://127.0.0.1:1\": must start with tcp:// or ipc://", "--commands",
         "udp://127.0.0.1:1"},
        {"--events \"tcp://127.0.0.1:70000\": the port must be 0 to 65535 or *", "--events",
         "tcp://127.0.0.1:70000"},
        {"--upstream \"tcp://127.0.0.1:*\": ports * and 0 are for binding alone", "--upstream",
         "tcp://127.0.0.1:*"},
        {"--upstream \"ipc://a\": it was named before", "--upstream", "ipc://a", "--upstream",
         "ipc://a"},
        {"--commands \"tcp://*:5555\"" EXPOSED, "--commands", "tcp://*:5555"},
        {"--events \"tcp://10.0.0.1:1\"" EXPOSED, "--events", "tcp://10.0.0.1:1"},
        {"--upstream \"tcp://h:1\"" EXPOSED, "--upstream", "ipc://a", "--upstream", "tcp://h:1"},
        {"commands and events have the same endpoint tcp://127.0.0.1:5556", "--commands",
         "tcp://localhost:5556"},
        {"commands and events have the same endpoint ipc://a", "--commands", "ipc://a", "--events",
         "ipc://a"},
        {"/nonexistent: cannot open it: No such file or directory", "--config", "/nonexistent"},
        {"/: cannot read it: Is a directory", "--config", "/"},
        {"allocd: : cannot open it: No such file or directory", "--config", ""},
        /* the order of flags does not matter */
        {"--log-level \"x\": must be error, warn, info or debug", "--check-config", "--log-level",
         "x"},
        {"--log-level \"x\": must be error, warn, info or debug", "--log-level", "x",
         "--print-config"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *arguments[7] = {"allocd"};
        memcpy(arguments + 1, rows[i] + 1, sizeof(rows[i]) - sizeof(rows[i][0]));
        refused(call_with(arguments), rows[i][0], rows[i][0]);
    }
}

static void test_refuses_more_upstreams_than_it_can_hold(void **state)
{
    (void)state;
    char items[CONFIG_UPSTREAM_MAX + 1][32];
    char *arguments[CONFIG_UPSTREAM_MAX + 3] = {"allocd"};
    for (size_t i = 0; i <= CONFIG_UPSTREAM_MAX; i++) {
        snprintf(items[i], sizeof(items[i]), "--upstream=ipc://%zu", i);
        arguments[i + 1] = items[i];
    }
    refused(call_with(arguments), "17 upstreams", ": there can be 16 of them at most");
    arguments[CONFIG_UPSTREAM_MAX + 1] = NULL;
    assert_int_equal(run(call_with(arguments)).upstream.count, CONFIG_UPSTREAM_MAX);
}

/* ---- what is wrong with a file -------------------------------------------------------- */

static const struct {
    const char *content;
    const char *end; /* of the message, after the name of the file */
} bad_files[] = {
    /* keys */
    {"server\n    comands = x\n",
     ":2: server/comands: unknown key; the nearest known one is server/commands"},
    {"\n# x\nsever\n    commands = x\n", ":3: sever: unknown key; the nearest known one is server"},
    {"commands = x\n", ":1: commands: unknown key; the nearest known one is server/commands"},
    {"server\n\n    directory = x\n",
     ":3: server/directory: unknown key; the nearest known one is store/directory"},
    {"log\n    levle = x\n", ":2: log/levle: unknown key; the nearest known one is log/level"},
    {"Log\n", ":1: Log: unknown key; the nearest known one is log"},
    {"store\n    map_size_gb = 3\n",
     ":2: store/map_size_gb: unknown key; the nearest known one is store/map_size_gib"},
    {"log\n    level = info\n# x\n    level = info\n", ":4: log/level: this key stands twice"},
    {"log\nserver\nlog\n", ":3: log: this section stands twice"},
    {"log = info\n", ":1: log: this is a section and has no value"},
    {"log = info\n    level = info\n", ":1: log: this is a section and has no value"},
    {"log\n    level\n", ":2: log/level: this needs a value"},
    {"log\n    level = \"\"\n", ":2: log/level: this needs a value"},
    {"log\n    level\n        x = 1\n", ":2: log/level: this needs a value"},
    {"log\n    level = info\n        x = 1\n", ":2: log/level: this needs a value"},
    {"log/level = info\n", ": line 1: write the name of a section on a line of its own, not "
                           "before a /"},
    /* values */
    {"log\n    level = loud\n", ":2: log/level: \"loud\": must be error, warn, info or debug"},
    {"log\n    level = INFO\n", ":2: log/level: \"INFO\": must be error, warn, info or debug"},
    {"server\n    insecure_bind = yes\n",
     ":2: server/insecure_bind: \"yes\": must be true or false"},
    {"server\n    events = inproc://x\n",
     ":2: server/events: \"inproc://x\": must start with tcp:// or ipc://"},
    {"server\n    upstream = ipc://a\n    upstream = ipc://*\n",
     ":3: server/upstream: \"ipc://*\": ipc://* is for binding alone"},
    {"clients\n    backlog = 0\n",
     ":2: clients/backlog: \"0\": must be a whole number from 1 to 65535"},
    {"clients\n    backlog = 65536\n",
     ":2: clients/backlog: \"65536\": must be a whole number from 1 to 65535"},
    {"clients\n    backlog = -1\n",
     ":2: clients/backlog: \"-1\": must be a whole number from 1 to 65535"},
    {"clients\n    backlog = 1 2\n",
     ":2: clients/backlog: \"1 2\": must be a whole number from 1 to 65535"},
    {"clients\n    backlog = 0x10\n",
     ":2: clients/backlog: \"0x10\": must be a whole number from 1 to 65535"},
    {"clients\n    backlog = 18446744073709551617\n",
     ":2: clients/backlog: \"18446744073709551617\": must be a whole number from 1 to 65535"},
    {"store\n    ids_kept = 999999\n",
     ":2: store/ids_kept: \"999999\": must be a whole number from 1000000 to 7000000"},
    {"store\n    directory = \"a\tb\"\n",
     ":2: store/directory: \"a?b\": must be 1 to 1023 bytes without control characters and "
     "double quotes"},
    /* between settings */
    {"server\n    events = tcp://0.0.0.0:1\n", ":2: server/events: \"tcp://0.0.0.0:1\"" EXPOSED},
    {"server\n    upstream = tcp://h:1\n", ":2: server/upstream: \"tcp://h:1\"" EXPOSED},
    {"server\n    events = tcp://127.0.0.1:5555\n",
     "commands and events have the same endpoint tcp://127.0.0.1:5555"},
    /* what zconfig refuses without a reason, or takes in silence */
    {"log\n  level = info\n", ": line 2: indent by 4 spaces below a section"},
    {"    level = info\n", ": line 1: indent by 4 spaces below a section"},
    {"log\n        level = info\n", ": line 2: indent by 4 spaces below a section"},
    {"log\n\tlevel = info\n", ": line 2: indent with spaces, not with tabs"},
    {"= info\n", ": line 1: a line must start with a name"},
    {"[log]\n", ": line 1: a line must start with a name"},
    {"\xef\xbb\xbflog\n", ": line 1: a line must start with a name"},
    {"/log\n", ": line 1: a line must start with a name"},
    {"log: x\n", ": line 1: after a name there must be a = or nothing"},
    {"log\n    level info\n", ": line 2: after a name there must be a = or nothing"},
    {"log\n    level =\n", ": line 2: there is no value after the ="},
    {"log\n    level = # info\n", ": line 2: there is no value after the ="},
    {"log\n    level = \"info\n", ": line 2: the closing quote is missing"},
    {"log\n    level = \"info' #\n", ": line 2: the closing quote is missing"},
    {"log\n    level = \"info\" x\n", ": line 2: there is something after the closing quote"},
    {"store\n    directory = /a#b\n", ": line 2: a value that holds a # must stand in quotes"},
};

static void test_refuses_bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad_files); i++) {
        char end[512];
        bool has_file = bad_files[i].end[0] == ':';
        snprintf(end, sizeof(end), "%s%s", has_file ? file : "", bad_files[i].end);
        write_file(bad_files[i].content, strlen(bad_files[i].content));
        refused(CALL("--config", file, "--check-config"), bad_files[i].content, end);
    }
}

static void test_refuses_files_that_are_none(void **state)
{
    (void)state;
    static char big[64 * 1024 + 1];
    write_file("log\0\n", 5);
    refused(CALL("--config", file), "NUL", ": cannot read it: it holds a NUL byte");
    memset(big, '\n', sizeof(big));
    write_file(big, sizeof(big));
    refused(CALL("--config", file), "big", ": cannot read it: it has more than 64 KiB");
    write_file(big, sizeof(big) - 1);
    run(CALL("--config", file));
    /* one value of 64 KiB: the message is cut, not the program */
    memset(big, 'x', sizeof(big));
    memcpy(big, "log\n    level = ", 16);
    write_file(big, sizeof(big) - 1);
    refused(CALL("--config", file), "long value", "xxx\": must be error, warn, info or debug");
}

/* ---- answers -------------------------------------------------------------------------- */

static void test_answers_help_and_version(void **state)
{
    static const char *const flags[] = {"--config FILE",
                                        "--data DIR",
                                        "--commands ENDPOINT",
                                        "--events ENDPOINT",
                                        "--upstream ENDPOINT",
                                        "--insecure-bind",
                                        "--check-config",
                                        "--log-level error|warn|info|debug",
                                        "--print-config",
                                        "--version",
                                        "--help"};
    (void)state;
    char *help = printed(CALL("--help", "--config", "/nonexistent"));
    for (size_t i = 0; i < COUNT(flags); i++)
        if (!strstr(help, flags[i]))
            fail_msg("--help does not tell %s", flags[i]);
    free(help);
    char *version = printed(CALL("--version"));
    assert_string_equal(version, "allocd " ALLOCD_VERSION "\n");
    free(version);
    char *check = printed(CALL("--data", "x", "--check-config"));
    assert_string_equal(check, "configuration is valid\n");
    free(check);
}

static void test_tells_when_an_answer_cannot_be_written(void **state)
{
    (void)state;
    struct config config;
    FILE *full = fopen("/dev/full", "w");
    FILE *err = fopen("/dev/null", "w");
    assert_true(full && err);
    char *arguments[] = {"allocd", "--print-config", NULL};
    assert_int_equal(config_from_arguments(2, arguments, &config, full, err), CONFIG_WRONG);
    fclose(full);
    fclose(err);
}

static void test_prints_what_it_can_load(void **state)
{
    (void)state;
    char *first = printed(CALL("--print-config", "--data", " it's # = 'a' ", "--upstream",
                               "ipc:// #x", "--upstream", "tcp://[2001:db8::1]:9", "--log-level",
                               "warn", "--commands", "tcp://localhost:*", "--insecure-bind"));
    write_file(first, strlen(first));
    char *second = printed(CALL("--config", file, "--print-config"));
    assert_string_equal(first, second);
    struct config config = run(CALL("--config", file));
    assert_string_equal(config.directory, " it's # = 'a' ");
    assert_string_equal(config.commands, "tcp://127.0.0.1:*");
    assert_int_equal(config.upstream.count, 2);
    assert_string_equal(config.upstream.items[0], "ipc:// #x");
    assert_int_equal(config.log_level, LOG_WARN);
    assert_true(config.insecure_bind);
    free(first);
    free(second);
}

/* The example is what --print-config says of the defaults, so it cannot grow old. */
static void test_the_example_is_current(void **state)
{
    (void)state;
    char path[4096];
    char content[8192];
    /* this file's own path, up to the root of the tree */
    size_t root = strlen(__FILE__) - strlen("tests/node/config/test_config.c");
    snprintf(path, sizeof(path), "%.*s%s", (int)root, __FILE__, EXAMPLE);
    FILE *stream = fopen(path, "r");
    assert_non_null(stream);
    content[fread(content, 1, sizeof(content) - 1, stream)] = '\0';
    fclose(stream);
    char *defaults = printed(CALL("--print-config"));
    assert_string_equal(content, defaults);
    free(defaults);
    free(printed(CALL("--check-config", "--config", path)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_has_the_defaults_of_the_contract),
        cmocka_unit_test(test_takes_flags),
        cmocka_unit_test(test_takes_a_file),
        cmocka_unit_test(test_flags_win_over_the_file_and_it_over_defaults),
        cmocka_unit_test(test_takes_an_empty_file_and_empty_sections),
        cmocka_unit_test(test_the_last_of_equal_flags_counts),
        cmocka_unit_test(test_lets_a_flag_allow_what_the_file_exposes),
        cmocka_unit_test(test_leaves_signals_alone),
        cmocka_unit_test(test_refuses_bad_arguments),
        cmocka_unit_test(test_refuses_more_upstreams_than_it_can_hold),
        cmocka_unit_test(test_refuses_bad_files),
        cmocka_unit_test(test_refuses_files_that_are_none),
        cmocka_unit_test(test_answers_help_and_version),
        cmocka_unit_test(test_tells_when_an_answer_cannot_be_written),
        cmocka_unit_test(test_prints_what_it_can_load),
        cmocka_unit_test(test_the_example_is_current),
    };
    return cmocka_run_group_tests_name("config", tests, make_directory, remove_directory);
}
