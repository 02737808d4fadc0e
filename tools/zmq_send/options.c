#include "tools/zmq_send/options.h"

#include "store/wire/codec.h"
#include "tools/zmq_send/connection.h"
#include "tools/zmq_send/report.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COMMANDS_DEFAULT "tcp://127.0.0.1:5555"
#define EVENTS_DEFAULT "tcp://127.0.0.1:5556"
#define TIMEOUT_DEFAULT_MS 5000
#define NUMBER_MAX 1e9

const char *const options_help =
    "Usage: zmq-send [OPTION]... TYPE [FIELD=VALUE | FIELD:=JSON]...\n"
    "       zmq-send [OPTION]... --raw FILE\n"
    "       zmq-send [OPTION]... -\n"
    "       zmq-send [OPTION]... sub [PREFIX]... [--from SEQ] [--count N]\n"
    "       zmq-send [OPTION]... bench [--clients N] [--inflight N] [--seconds S] ...\n"
    "Sends a command or query to allocd and prints the reply as a line of JSON.\n"
    "\n"
    "  TYPE FIELD=VALUE...      one request; = types the value as the field wants it,\n"
    "                           := takes JSON (eta:=null, types:='[\"Allocated\"]')\n"
    "  -                        requests are JSON objects on standard input, in any layout;\n"
    "                           one line of JSON for each, in order\n"
    "  sub [PREFIX]...          prints events whose topic (TYPE/SKU/) begins with a PREFIX\n"
    "\n"
    "  bench                    measures a node, which it fills with batches and lines\n"
    "\n"
    "  -e, --endpoint ENDPOINT  where commands go (default $ALLOCD_COMMANDS,\n"
    "                           else " COMMANDS_DEFAULT ")\n"
    "      --events ENDPOINT    where events come from (default $ALLOCD_EVENTS,\n"
    "                           else " EVENTS_DEFAULT ")\n"
    "      --timeout SECONDS    for each request, from the first try to the reply; for sub until\n"
    "                           it is welcome, and for each page of stored events (default 5)\n"
    "      --id ID              makes a request safe to repeat: the node does it once\n"
    "      --raw FILE           sends the bytes of FILE as the body (- is standard input)\n"
    "      --from SEQ           sub: first the stored events with this seq or a higher one\n"
    "                           (0: from the oldest one that is kept)\n"
    "      --count N            sub: stop after N events\n"
    "      --clients N          bench: connections (default 1)\n"
    "      --inflight N         bench: requests in flight on each (default 4096)\n"
    "      --seconds S          bench: how long (default 10)\n"
    "      --skus N             bench: how many SKUs (default 10000)\n"
    "      --lines N            bench: lines that are allocated before it is measured (default 0)\n"
    "      --zipf EXPONENT      bench: some SKUs more often than others (default 0: all alike)\n"
    "      --ids                bench: an id with every command\n"
    "      --random-orders      bench: order ids in no order (default: they grow)\n"
    "      --mix KIND=SHARE,... bench: of allocate, deallocate, change, get, lines (GetStock,\n"
    "                           GetAllocations) and swap (allocates and deallocates in turn);\n"
    "                           default allocate=100\n"
    "      --rate R             bench: requests a second, each sent when it is due (default: as\n"
    "                           fast as it goes)\n"
    "      --queries N          bench: beside it N connections that read all of ListProducts,\n"
    "                           ListBatches and GetEvents, again and again\n"
    "      --subscribers N      bench: beside it N subscribers to Allocated/, which count\n"
    "      --deaf N             bench: beside it N subscribers to Allocated/ that read nothing\n"
    "      --ceiling[=DIR]      bench: beside it a bare ROUTER that echoes, and bare commits of\n"
    "                           LMDB in DIR (default .), turn about\n"
    "      --json               bench: results as a line of JSON\n"
    "  -v, --verbose            shows all frames on standard error, decoded and in hex\n"
    "      --version            prints the version\n"
    "      --help               prints this\n"
    "\n"
    "Exit status: 0 done; 1 the node refused it; 2 usage or bad input; 3 no connection before\n"
    "the deadline, or not let in; 4 timed out or cut off, outcome unknown (repeat with the same\n"
    "--id); 5 the answer broke the protocol; 6 sub saw a gap that could not be filled.\n";

static bool parse_count(const char *name, const char *text, uint64_t min, uint64_t max,
                        uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < min ||
        value > max) {
        complain("%s takes an integer from %llu to %llu, not '%s'", name, (unsigned long long)min,
                 (unsigned long long)max, text);
        return false;
    }
    *out = value;
    return true;
}

/* Of seconds, or an exponent. */
static bool parse_number(const char *name, const char *text, bool may_be_zero, double *out)
{
    char *end = NULL;
    double number = strtod(text, &end);
    bool is_good = end != text && *end == '\0' && number <= NUMBER_MAX &&
                   (number > 0 || (may_be_zero && number >= 0));
    if (is_good)
        *out = number;
    else
        complain("%s takes a number %s 0, not '%s'", name, may_be_zero ? "from" : "above", text);
    return is_good;
}

static bool parse_timeout(const char *text, int64_t *out_ms)
{
    double seconds;
    if (!parse_number("--timeout", text, false, &seconds))
        return false;
    *out_ms = (int64_t)ceil(seconds * 1000);
    return true;
}

static const char *from_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

static bool check_endpoint(const char *endpoint)
{
    if (!endpoint_is_valid(endpoint))
        complain("'%s' is no endpoint; it should be like tcp://HOST:PORT or ipc://PATH", endpoint);
    return endpoint_is_valid(endpoint);
}

/* Only flags that mean something for what is asked: a flag without effect is a misunderstanding. */
static bool check_flags(const struct options *options)
{
    bool follows = options->mode == MODE_FOLLOW;
    if (!follows && (options->replay || options->count > 0)) {
        complain("--from and --count belong to sub");
        return false;
    }
    if (options->id != NULL && options->mode != MODE_REQUEST) {
        complain("--id belongs to TYPE; in JSON, each object has its own \"id\"");
        return false;
    }
    if (options->mode != MODE_BENCH && options->has_bench_flag) {
        complain("--clients, --inflight and the like belong to bench");
        return false;
    }
    for (int i = 0; follows && i < options->rest_count; i++)
        if (strlen(options->rest[i]) > TOPIC_MAX_BYTES) {
            complain("a PREFIX has at most %d bytes, as topics do", TOPIC_MAX_BYTES);
            return false;
        }
    bool has_audience = options->bench.subscribers + options->bench.deaf > 0;
    return check_endpoint(options->commands) &&
           ((!follows && !has_audience) || check_endpoint(options->events));
}

/* What is asked, from the arguments that are no options. */
static bool parse_mode(int count, char **arguments, struct options *out)
{
    out->mode = MODE_RAW;
    if (out->raw_path != NULL) {
        if (count > 0)
            complain("--raw takes no TYPE and no fields: the file is the whole body");
        return count == 0;
    }
    if (count == 0 || arguments[0][0] == '\0') {
        complain("TYPE is missing; try zmq-send --help");
        return false;
    }
    out->rest = arguments + 1;
    out->rest_count = count - 1;
    if (strcmp(arguments[0], "-") == 0) {
        out->mode = MODE_BATCH;
        if (count > 1)
            complain("- takes no fields: they are in the JSON objects");
        return count == 1;
    }
    if (strcmp(arguments[0], "bench") == 0) {
        out->mode = MODE_BENCH;
        if (count > 1)
            complain("bench takes no fields");
        return count == 1;
    }
    out->type = arguments[0];
    out->mode = strcmp(out->type, "sub") == 0 ? MODE_FOLLOW : MODE_REQUEST;
    if (strchr(out->type, '=') != NULL)
        complain("TYPE comes first, not '%s'", out->type);
    return strchr(out->type, '=') == NULL;
}

enum {
    OPTION_EVENTS = 256,
    OPTION_TIMEOUT,
    OPTION_ID,
    OPTION_RAW,
    OPTION_FROM,
    OPTION_COUNT,
    OPTION_VERSION,
    OPTION_HELP,
    OPTION_BENCH_FIRST,
    OPTION_CLIENTS = OPTION_BENCH_FIRST,
    OPTION_INFLIGHT,
    OPTION_SECONDS,
    OPTION_SKUS,
    OPTION_LINES,
    OPTION_ZIPF,
    OPTION_IDS,
    OPTION_RANDOM_ORDERS,
    OPTION_MIX,
    OPTION_RATE,
    OPTION_QUERIES,
    OPTION_SUBSCRIBERS,
    OPTION_DEAF,
    OPTION_CEILING,
    OPTION_JSON
};

static bool take_bench_option(int option, const char *value, struct bench_plan *plan)
{
    switch (option) {
    case OPTION_CLIENTS:
        return parse_count("--clients", value, 1, BENCH_CLIENTS_MAX, &plan->clients);
    case OPTION_INFLIGHT:
        return parse_count("--inflight", value, 1, BENCH_INFLIGHT_MAX, &plan->inflight);
    case OPTION_SECONDS:
        return parse_number("--seconds", value, false, &plan->seconds);
    case OPTION_SKUS:
        return parse_count("--skus", value, 1, BENCH_SKUS_MAX, &plan->skus);
    case OPTION_LINES:
        return parse_count("--lines", value, 0, BENCH_LINES_MAX, &plan->lines);
    case OPTION_ZIPF:
        return parse_number("--zipf", value, true, &plan->zipf);
    case OPTION_IDS:
        return plan->ids = true;
    case OPTION_RANDOM_ORDERS:
        return plan->random_orders = true;
    case OPTION_MIX:
        return bench_plan_mix(plan, value);
    case OPTION_RATE:
        return parse_number("--rate", value, true, &plan->rate);
    case OPTION_QUERIES:
        return parse_count("--queries", value, 0, BENCH_BESIDE_MAX, &plan->queries);
    case OPTION_SUBSCRIBERS:
        return parse_count("--subscribers", value, 0, BENCH_BESIDE_MAX, &plan->subscribers);
    case OPTION_DEAF:
        return parse_count("--deaf", value, 0, BENCH_BESIDE_MAX, &plan->deaf);
    case OPTION_CEILING:
        if (value != NULL)
            plan->ceiling_directory = value;
        return plan->ceiling = true;
    default:
        return plan->json = true;
    }
}

static bool take_option(int option, const char *value, struct options *out)
{
    switch (option) {
    case 'e':
        out->commands = value;
        return true;
    case 'v':
        out->verbose = true;
        return true;
    case OPTION_EVENTS:
        out->events = value;
        return true;
    case OPTION_TIMEOUT:
        return parse_timeout(value, &out->timeout_ms);
    case OPTION_ID:
        out->id = value;
        return true;
    case OPTION_RAW:
        out->raw_path = value;
        return true;
    case OPTION_FROM:
        out->replay = true;
        return parse_count("--from", value, 0, UINT64_MAX, &out->from);
    case OPTION_COUNT:
        return parse_count("--count", value, 1, UINT64_MAX, &out->count);
    default:
        if (option < OPTION_BENCH_FIRST)
            return false; /* getopt has said what is wrong */
        out->has_bench_flag = true;
        return take_bench_option(option, value, &out->bench);
    }
}

bool options_parse(int argc, char **argv, struct options *out)
{
    static const struct option names[] = {
        {"endpoint", required_argument, NULL, 'e'},
        {"events", required_argument, NULL, OPTION_EVENTS},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"id", required_argument, NULL, OPTION_ID},
        {"raw", required_argument, NULL, OPTION_RAW},
        {"from", required_argument, NULL, OPTION_FROM},
        {"count", required_argument, NULL, OPTION_COUNT},
        {"verbose", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"help", no_argument, NULL, OPTION_HELP},
        {"clients", required_argument, NULL, OPTION_CLIENTS},
        {"inflight", required_argument, NULL, OPTION_INFLIGHT},
        {"seconds", required_argument, NULL, OPTION_SECONDS},
        {"skus", required_argument, NULL, OPTION_SKUS},
        {"lines", required_argument, NULL, OPTION_LINES},
        {"zipf", required_argument, NULL, OPTION_ZIPF},
        {"ids", no_argument, NULL, OPTION_IDS},
        {"random-orders", no_argument, NULL, OPTION_RANDOM_ORDERS},
        {"mix", required_argument, NULL, OPTION_MIX},
        {"rate", required_argument, NULL, OPTION_RATE},
        {"queries", required_argument, NULL, OPTION_QUERIES},
        {"subscribers", required_argument, NULL, OPTION_SUBSCRIBERS},
        {"deaf", required_argument, NULL, OPTION_DEAF},
        {"ceiling", optional_argument, NULL, OPTION_CEILING},
        {"json", no_argument, NULL, OPTION_JSON},
        {NULL, 0, NULL, 0},
    };
    *out = (struct options){.timeout_ms = TIMEOUT_DEFAULT_MS, .bench = bench_plan_default()};
    out->commands = from_environment("ALLOCD_COMMANDS", COMMANDS_DEFAULT);
    out->events = from_environment("ALLOCD_EVENTS", EVENTS_DEFAULT);
    for (int option; (option = getopt_long(argc, argv, "e:v", names, NULL)) != -1;) {
        if (option == OPTION_HELP || option == OPTION_VERSION) {
            out->mode = option == OPTION_HELP ? MODE_HELP : MODE_VERSION;
            return true;
        }
        if (!take_option(option, optarg, out))
            return false;
    }
    return parse_mode(argc - optind, argv + optind, out) && check_flags(out);
}
