/*
 * The life of a process. service_start reads command line and settings and opens log and admin listener; the service's main then opens what it
 * needs; service_run waits for a signal and undoes it all in reverse order.
 */
#include "link/service.h"

#include <assert.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "link/service_internal.h"

#define EXIT_DRAIN_CUT 1
#define EXIT_BAD_START 2
#define DESCRIPTORS_WANTED 65536

static const struct setting common_settings[] = {
    SETTING_ADDRESS(struct service_common, admin_listen, "SIGNET_ADMIN_LISTEN", "127.0.0.1:0",
                    "where /metrics, /healthz and /readyz are served; port 0 picks one"),
    SETTING_TEXT(struct service_common, log_level, "SIGNET_LOG_LEVEL", "info", "debug, info, warning or error"),
    SETTING_TEXT(struct service_common, instance, "SIGNET_INSTANCE", "",
                 "name of this replica in logs and status; by default host name and process id"),
    SETTING_NUMBER(struct service_common, drain_ms, "SIGNET_DRAIN_MS", "10000", 100, 600000, "after SIGTERM, finish what was begun within this time"),
};

static const struct setting bus_settings[] = {
    SETTING_TEXT(struct service_bus_settings, url, "SIGNET_NATS_URL", "nats://127.0.0.1:4222", "the bus: tls://host:port, several with commas"),
    SETTING_TEXT(struct service_bus_settings, ca_file, "SIGNET_NATS_CA_FILE", "", "PEM file with the trust anchor of the bus; none: plain TCP"),
    SETTING_TEXT(struct service_bus_settings, cert_file, "SIGNET_NATS_CERT_FILE", "", "PEM file with this service's certificate for the bus"),
    SETTING_TEXT(struct service_bus_settings, key_file, "SIGNET_NATS_KEY_FILE", "", "PEM file with its key"),
};

static const struct setting database_settings[] = {
    SETTING_TEXT(struct service_database_settings, url, "SIGNET_DATABASE_URL", "postgresql://127.0.0.1:5432/signet",
                 "the database, without password"),
    SETTING_TEXT(struct service_database_settings, password_file, "SIGNET_DATABASE_PASSWORD_FILE", "",
                 "file with the password of this service's role"),
    SETTING_NUMBER(struct service_database_settings, connections, "SIGNET_DATABASE_CONNECTIONS", "6", 1, 64, "connections kept to the database"),
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* One table of settings and the struct that it fills. */
struct table {
    const struct setting *settings;
    size_t count;
    void *into;
};

#define TABLES 4

static void
list_tables(struct service *service, void *config, struct table ret_tables[TABLES])
{
    const struct service_about *about = service->about;
    bool bus = (about->uses & USES_BUS) != 0, database = (about->uses & USES_DATABASE) != 0;

    ret_tables[0] = (struct table){about->settings, about->setting_count, config};
    ret_tables[1] = (struct table){bus_settings, bus ? COUNT(bus_settings) : 0, &service->bus_settings};
    ret_tables[2] = (struct table){database_settings, database ? COUNT(database_settings) : 0, &service->database_settings};
    ret_tables[3] = (struct table){common_settings, COUNT(common_settings), &service->common};
}

static void
print_help(const struct service_about *about, const struct table tables[TABLES])
{
    printf("%s: %s\n\nUsage: %s [--help | --version | --check]\n\n"
           "  --check  prints the settings in effect, and ends with exit code 2 when one is wrong\n\n"
           "Settings, from the environment:\n\n",
           about->name, about->summary, about->name);
    for (size_t i = 0; i < TABLES; i++)
        config_print_help(stdout, tables[i].settings, tables[i].count);
}

_Noreturn static void
stop_at_start(const struct service_about *about, const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s%s%s\n", about->name, what, detail[0] == '\0' ? "" : ": ", detail);
    fflush(NULL);
    /* Threads may be running already: what exit() takes down under their feet would end in a signal instead of this code. */
    _exit(EXIT_BAD_START);
}

/* All that is wrong, of all tables, in one line. */
static void
load_tables(const struct service_about *about, const struct table tables[TABLES])
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct buffer wrong = buffer_in(arena);

    for (size_t i = 0; i < TABLES; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        if (config_load(rq, tables[i].settings, tables[i].count, tables[i].into) != OK)
            buffer_append_format(&wrong, "%s%s", wrong.len == 0 ? "" : "; ", rq->failure.message);
    }
    if (wrong.len > 0)
        stop_at_start(about, buffer_text(&wrong), "");
}

static enum log_level
parse_level(const struct service_about *about, const char *text)
{
    static const char *const names[] = {
        [LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_ERROR] = "error"};

    for (size_t i = 0; i < COUNT(names); i++)
        if (text_equal(text, names[i]))
            return (enum log_level)i;
    stop_at_start(about, "SIGNET_LOG_LEVEL must be debug, info, warning or error", "");
}

static void
name_instance(struct service *service)
{
    char host[40] = "";

    if (!text_is_empty(service->common.instance)) {
        /* It goes into logs, metrics and messages as it is. */
        if (strlen(service->common.instance) >= sizeof service->instance || !text_is_printable_ascii(bytes_of_text(service->common.instance)))
            stop_at_start(service->about, "SIGNET_INSTANCE must be at most 79 printable ASCII characters", "");
        snprintf(service->instance, sizeof service->instance, "%s", service->common.instance);
        return;
    }
    gethostname(host, sizeof host - 1);
    snprintf(service->instance, sizeof service->instance, "%s-%d", host, (int)getpid());
}

/* Returns when the process is to serve. */
static void
obey_command_line(int argc, char **argv, struct service *service, const struct table tables[TABLES])
{
    const struct service_about *about = service->about;
    const char *option = argc > 1 ? argv[1] : "";

    if (argc > 2 || (argc == 2 && strcmp(option, "--help") != 0 && strcmp(option, "--version") != 0 && strcmp(option, "--check") != 0))
        stop_at_start(about, "only --help, --version or --check can be given", "");
    if (strcmp(option, "--help") == 0) {
        print_help(about, tables);
        exit(0);
    }
    if (strcmp(option, "--version") == 0) {
        printf("%s %s\n", about->name, SIGNET_VERSION);
        exit(0);
    }
    load_tables(about, tables);
    (void)parse_level(about, service->common.log_level);
    name_instance(service);
    if (strcmp(option, "--check") == 0) {
        for (size_t i = 0; i < TABLES; i++)
            config_print_values(stdout, tables[i].settings, tables[i].count, tables[i].into);
        exit(0);
    }
}

static void
waited_for(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
}

/* Before any thread starts: all inherit it. */
static void
settle_process(void)
{
    struct rlimit limit;
    sigset_t set;

    waited_for(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    /* An arena of malloc's per thread would cost each service tens of megabytes. */
    mallopt(M_ARENA_MAX, 2);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_WANTED) {
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

struct service *
service_start(int argc, char **argv, const struct service_about *about, void *ret_config)
{
    struct service *service = calloc(1, sizeof *service);
    struct table tables[TABLES];

    if (service == NULL)
        abort();
    service->about = about;
    service->started_ms = clock_monotonic_ms();
    list_tables(service, ret_config, tables);
    obey_command_line(argc, argv, service, tables);
    settle_process();
    log_open(about->name, service->instance, parse_level(about, service->common.log_level));
    service->rq = request_new();
    service->readiness = readiness_new(service);
    service_metrics_open(service);
    service_must(service, service->rq, admin_open(service, service->rq));
    log_line(LOG_LEVEL_INFO, "service.start", "version", SIGNET_VERSION, "admin", service->admin_address, NULL);
    return service;
}

void
service_must(struct service *service, struct request *rq, enum error result)
{
    if (result != OK)
        stop_at_start(service->about, rq->failure.message, rq->failure.detail);
}

void
service_ready_when(struct service *service, const char *what, enum error (*check)(void *context, struct request *rq), void *context)
{
    readiness_add(service->readiness, what, check, context);
}

void
service_lag_from(struct service *service, int64_t (*lag)(void *context), void *context)
{
    service->lag_context = context;
    service->lag = lag;
}

void
service_at_drain(struct service *service, void (*stop)(void *context), void *context)
{
    assert(service->drain_count < SERVICE_DRAINS_MAX);
    service->drains[service->drain_count++] = (struct service_drain){stop, context};
}

struct http_drain {
    const struct service *service;
    struct http_server *server;
};

static void
close_http(void *context)
{
    struct http_drain *drain = context;

    http_server_close(drain->server, service_drain_part_ms(drain->service));
    free(drain);
}

struct http_server *
service_http(struct service *service, const struct http_server_options *options)
{
    struct http_drain *drain = calloc(1, sizeof *drain);

    if (drain == NULL)
        abort();
    drain->service = service;
    service_must(service, service->rq, http_server_open(service->rq, options, &drain->server));
    service_at_drain(service, close_http, drain);
    return drain->server;
}

int
service_drain_part_ms(const struct service *service)
{
    return service->common.drain_ms / 2;
}

/* On a thread of its own while main drains: whoever is in a hurry, and whatever hangs, ends the process here. */
static void *
cut_drain_short(void *argument)
{
    const struct service *service = argument;
    int64_t until_ms = clock_monotonic_ms() + service->common.drain_ms;
    int signal_number = 0;
    sigset_t set;

    waited_for(&set);
    for (int64_t left_ms = service->common.drain_ms; left_ms > 0 && signal_number <= 0; left_ms = until_ms - clock_monotonic_ms()) {
        struct timespec left = {.tv_sec = left_ms / 1000, .tv_nsec = (long)(left_ms % 1000) * 1000000};
        signal_number = sigtimedwait(&set, NULL, &left); /* -1 at its end, and when interrupted */
    }
    log_line(LOG_LEVEL_ERROR, "service.drain_cut", "reason", signal_number > 0 ? "a second signal" : "SIGNET_DRAIN_MS is over", NULL);
    _exit(EXIT_DRAIN_CUT);
}

static void
drain(struct service *service)
{
    pthread_t guard;

    atomic_store(&service->draining, true);
    if (pthread_create(&guard, NULL, cut_drain_short, service) != 0)
        abort();
    /* First, because the checks use what is closed next. */
    readiness_stop(service->readiness);
    while (service->drain_count > 0) {
        struct service_drain *newest = &service->drains[--service->drain_count];
        newest->stop(newest->context);
    }
    /* Last, whatever was opened first: calls, events and the outbox end with the bus, and all of them write what they did. */
    if (service->close_database != NULL)
        service->close_database(service);
    http_server_close(service->admin, service_drain_part_ms(service));
}

int
service_run(struct service *service)
{
    sigset_t set;
    int signal_number;

    readiness_start(service->readiness);
    waited_for(&set);
    while (sigwait(&set, &signal_number) != 0)
        ;
    log_line(LOG_LEVEL_INFO, "service.drain", "signal", signal_number == SIGTERM ? "SIGTERM" : "SIGINT", NULL);
    drain(service);
    log_line(LOG_LEVEL_INFO, "service.end", NULL);
    return 0;
}

const char *
service_bus_url(const struct service *service)
{
    return service->bus_settings.url;
}

const char *
service_admin_address(const struct service *service)
{
    return service->admin_address;
}

const char *
service_instance(const struct service *service)
{
    return service->instance;
}

const char *
service_version(void)
{
    return SIGNET_VERSION;
}
