/* The life of a process, seen from outside: a child process is the service, the test reads its log, asks its admin listener and sends signals. */
#include "unit/kit.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <nats/nats.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "kit/http_kit.h"
#include "kit/nats_kit.h"
#include "link/bus.h"
#include "link/events.h"
#include "link/http_server.h"
#include "link/rpc.h"
#include "link/service.h"
#include "signet/v1/event.pb-c.h"
#include "signet/v1/health.pb-c.h"

#define LINE_MAX_LEN 8192

/* ---- the service, in the child ---------------------------------------------------------------------------------------------------------- */

struct config {
    int number;
    const char *word;
};

static const struct setting settings[] = {
    SETTING_NUMBER(struct config, number, "SIGNET_TEST_NUMBER", "5", 1, 10, "a number between bounds"),
    SETTING_TEXT(struct config, word, "SIGNET_TEST_WORD", "w", "a word"),
};

static const struct service_about about = {.name = "test-gw", .summary = "Is tested.", .settings = settings, .setting_count = COUNT_OF(settings)};
static const struct service_about about_with_bus = {
    .name = "test-gw", .summary = "Is tested.", .uses = USES_BUS | USES_DATABASE, .settings = settings, .setting_count = COUNT_OF(settings)};

static void
say(void *what)
{
    log_line(LOG_LEVEL_INFO, "test.stopped", "what", what, NULL);
}

static void
hang(void *context)
{
    log_line(LOG_LEVEL_INFO, "test.hangs", NULL);
    for (;;)
        pause();
}

static int
be_plain(int argc, char **argv)
{
    struct config config;
    struct service *service = service_start(argc, argv, &about, &config);

    log_line(LOG_LEVEL_INFO, "test.configured", "word", config.word, NULL);
    service_at_drain(service, say, (void *)"first");
    service_at_drain(service, say, (void *)"second");
    service_at_drain(service, say, (void *)"third");
    return service_run(service);
}

static int
be_described(int argc, char **argv)
{
    struct config config;

    service_start(argc, argv, &about_with_bus, &config);
    return 99; /* --help and the like end the process before */
}

static int
be_hanging(int argc, char **argv)
{
    struct config config;
    struct service *service = service_start(argc, argv, &about, &config);

    service_at_drain(service, hang, NULL);
    return service_run(service);
}

/* Ready as soon as a file exists. */
static enum error
file_exists(void *context, struct request *rq)
{
    if (access(context, F_OK) == 0)
        return OK;
    return fail(rq, ERR_UNAVAILABLE, "the file is not there");
}

/* As long as a message can be, of characters that are more than one octet. */
static enum error
complains_at_length(void *context, struct request *rq)
{
    char message[2000];
    size_t len = 0;

    while (len < 1200)
        len += (size_t)snprintf(message + len, sizeof message - len, "\xc3\xa4");
    return fail(rq, ERR_UNAVAILABLE, "x%s", message);
}

static enum error
always(void *context, struct request *rq)
{
    return OK;
}

static char ready_file[] = "/tmp/service_test.XXXXXX";

static int
be_unready(int argc, char **argv)
{
    struct config config;
    struct service *service = service_start(argc, argv, &about, &config);

    service_ready_when(service, "good", always, NULL);
    service_ready_when(service, "file", file_exists, ready_file);
    return service_run(service);
}

static int
be_complaining(int argc, char **argv)
{
    struct config config;
    struct service *service = service_start(argc, argv, &about, &config);

    service_ready_when(service, "complaint", complains_at_length, NULL);
    return service_run(service);
}

static enum error
never_returns(void *context, struct request *rq)
{
    for (;;)
        pause();
    return OK;
}

static int
be_stuck(int argc, char **argv)
{
    struct config config;
    struct service *service = service_start(argc, argv, &about, &config);

    service_ready_when(service, "stuck", never_returns, NULL);
    return service_run(service);
}

static struct service_loop *sleeper;
static atomic_int turns;

static void
turn_of_sleeper(void *context, struct request *rq)
{
    int turn = atomic_fetch_add(&turns, 1) + 1;
    if (turn > 1)
        request_note(rq, "turn", "%d", turn);
}

static void
turn_that_wakes(void *context, struct request *rq)
{
    if (atomic_load(&turns) > 0 && atomic_load(&turns) < 3)
        service_wake(sleeper);
}

static void
turn_that_fails(void *context, struct request *rq)
{
    (void)fail(rq, ERR_UNAVAILABLE, "always the same");
}

static int
be_looping(int argc, char **argv)
{
    struct config config;
    struct service *service = service_start(argc, argv, &about, &config);

    sleeper = service_every(service, "sleeper", 3600000, turn_of_sleeper, NULL);
    service_every(service, "waker", 10, turn_that_wakes, NULL);
    service_every(service, "failing", 1, turn_that_fails, NULL);
    return service_run(service);
}

static int64_t
lag_of_seven(void *context)
{
    return 7;
}

static int
be_on_the_bus(int argc, char **argv)
{
    struct config config;
    struct service_about with_bus = about;
    with_bus.uses = USES_BUS;
    struct service *service = service_start(argc, argv, &with_bus, &config);

    service_bus(service);
    service_lag_from(service, lag_of_seven, NULL);
    service_ready_when(service, "file", file_exists, ready_file);
    return service_run(service);
}

static enum error
hear_nothing(void *context, struct request *rq, const struct event *events, size_t count)
{
    return OK;
}

/* Follows a stream that is not there: how far it is behind, nobody knows. */
static int
be_a_follower(int argc, char **argv)
{
    struct config config;
    struct service_about with_bus = about;
    with_bus.uses = USES_BUS;
    struct service *service = service_start(argc, argv, &with_bus, &config);
    AUTO_STRUCT(request, rq) = request_new();
    const struct events_follower follower = {
        .durable = "test-gw-ca-created", .subject = "signet.event.ca.created", .type = &pb__ca_created__descriptor, .handle = hear_nothing};

    service_must(service, rq, events_follow(service_bus(service), rq, &follower));
    service_lag_from(service, lag_of_seven, NULL);
    return service_run(service);
}

static enum error
hello(void *context, struct http_exchange *x)
{
    return http_answer_text(x, 200, "text/plain", "hello");
}

static int
be_serving(int argc, char **argv)
{
    static const struct http_route routes[] = {{"GET", "/hello/{name}", hello, ON_LOOP}};
    struct config config;
    struct service *service = service_start(argc, argv, &about, &config);
    char text[16];

    struct http_server *server = service_http(
        service, &(struct http_server_options){.name = "hello", .listen = "127.0.0.1:0", .routes = routes, .route_count = 1, .quiet = true});
    snprintf(text, sizeof text, "%d", http_server_port(server));
    log_line(LOG_LEVEL_INFO, "test.serves", "port", text, NULL);
    return service_run(service);
}

/* ---- the test, in the parent ------------------------------------------------------------------------------------------------------------ */

struct child {
    pid_t pid;
    int out;                    /* its stdout and stderr */
    char pending[LINE_MAX_LEN]; /* what came and is not yet a line */
    size_t len;
    char line[LINE_MAX_LEN];
    int admin_port;
};

static void
spawn(struct child *child, int (*be)(int argc, char **argv), const char *option)
{
    char *argv[] = {(char *)"test-gw", (char *)option, NULL};
    int ends[2];

    memset(child, 0, sizeof *child);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    child->pid = fork();
    if (child->pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        _exit(be(option == NULL ? 1 : 2, argv));
    }
    close(ends[1]);
    child->out = ends[0];
}

/* The next line of the child's output, or NULL when it has ended. Nothing here waits longer than 20 seconds. */
static const char *
next_line(struct child *child)
{
    struct pollfd readable = {.fd = child->out, .events = POLLIN};
    char *end;

    while ((end = memchr(child->pending, '\n', child->len)) == NULL) {
        if (poll(&readable, 1, 20000) != 1)
            fail_msg("the service says nothing");
        ssize_t len = read(child->out, child->pending + child->len, sizeof child->pending - child->len);
        if (len <= 0)
            return NULL;
        child->len += (size_t)len;
    }
    size_t line_len = (size_t)(end - child->pending);
    memcpy(child->line, child->pending, line_len);
    child->line[line_len] = '\0';
    child->len -= line_len + 1;
    memmove(child->pending, end + 1, child->len);
    return child->line;
}

/* The value of `key` in the next log line of this step; lines of other steps are passed over. Valid until the next call. */
static const char *
wait_for_step(struct child *child, const char *step, const char *key)
{
    static char value[512];
    const char *line;

    while ((line = next_line(child)) != NULL) {
        json_t *object = json_loads(line, 0, NULL);
        bool found = object != NULL && strcmp(json_string_value(json_object_get(object, "step")), step) == 0;
        const char *text = found && key != NULL ? json_string_value(json_object_get(object, key)) : "";
        snprintf(value, sizeof value, "%s", text == NULL ? "" : text);
        json_decref(object);
        if (found)
            return value;
    }
    fail_msg("the service ended without a line of %s", step);
    return NULL;
}

/* Of "127.0.0.1:8080" or "8080". */
static int
port_at_end(const char *address)
{
    const char *colon = strrchr(address, ':');
    return (int)strtol(colon == NULL ? address : colon + 1, NULL, 10);
}

static void
wait_until_started(struct child *child)
{
    const char *admin = wait_for_step(child, "service.start", "admin");
    child->admin_port = port_at_end(admin);
    assert_true(child->admin_port > 0);
}

static int
exit_code(struct child *child)
{
    int status = 0;

    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    close(child->out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int
stop(struct child *child)
{
    kill(child->pid, SIGTERM);
    while (next_line(child) != NULL)
        continue;
    return exit_code(child);
}

/* All that it prints, then its exit code. */
static int
output_of(int (*be)(int argc, char **argv), const char *option, char *ret_text, size_t room)
{
    struct child child;
    size_t used = 0;
    const char *line;

    spawn(&child, be, option);
    ret_text[0] = '\0';
    while ((line = next_line(&child)) != NULL && used < room)
        used += (size_t)snprintf(ret_text + used, room - used, "%s\n", line);
    return exit_code(&child);
}

static int
ask_admin(const struct child *child, const char *path, char *ret_body, size_t room)
{
    struct http_kit *client = http_kit_connect(child->admin_port);
    const struct http_kit_reply *reply = http_kit_get(client, path);
    int status = reply->status;

    snprintf(ret_body, room, "%.*s", (int)reply->body_len, reply->body);
    http_kit_free(client);
    return status;
}

static void
wait_for_readyz(const struct child *child, int status, char *ret_body, size_t room)
{
    for (int i = 0; i < 400; i++) {
        if (ask_admin(child, "/readyz", ret_body, room) == status)
            return;
        usleep(50000);
    }
    fail_msg("/readyz never says %d, but: %s", status, ret_body);
}

/* ---- cases ---------------------------------------------------------------------------------------------------------------------------------- */

static char text[65536];

static void
help_lists_every_setting_and_ends_with_0(void **state)
{
    static const char *const expected[] = {"Is tested.",          "SIGNET_TEST_NUMBER",     "SIGNET_TEST_WORD", "SIGNET_ADMIN_LISTEN",
                                           "SIGNET_LOG_LEVEL",    "SIGNET_INSTANCE",        "SIGNET_DRAIN_MS",  "SIGNET_NATS_URL",
                                           "SIGNET_DATABASE_URL", "a number between bounds"};

    assert_int_equal(output_of(be_described, "--help", text, sizeof text), 0);
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        if (strstr(text, expected[i]) == NULL)
            fail_msg("--help does not say %s", expected[i]);
}

static void
help_leaves_out_what_the_service_does_not_use(void **state)
{
    assert_int_equal(output_of(be_plain, "--help", text, sizeof text), 0);
    assert_null(strstr(text, "SIGNET_NATS_URL"));
    assert_null(strstr(text, "SIGNET_DATABASE_URL"));
}

static void
version_names_service_and_version(void **state)
{
    assert_int_equal(output_of(be_described, "--version", text, sizeof text), 0);
    assert_string_equal(text, "test-gw " SIGNET_VERSION "\n");
}

static void
check_prints_the_values_in_effect(void **state)
{
    setenv("SIGNET_TEST_WORD", "other", 1);
    int code = output_of(be_described, "--check", text, sizeof text);
    unsetenv("SIGNET_TEST_WORD");
    assert_int_equal(code, 0);
    assert_non_null(strstr(text, "SIGNET_TEST_NUMBER=5\n"));
    assert_non_null(strstr(text, "SIGNET_TEST_WORD=other\n"));
    assert_non_null(strstr(text, "SIGNET_DRAIN_MS=10000\n"));
}

static void
wrong_settings_are_named_in_one_line_and_end_with_2(void **state)
{
    setenv("SIGNET_TEST_NUMBER", "11", 1);
    setenv("SIGNET_DRAIN_MS", "soon", 1);
    int code = output_of(be_plain, NULL, text, sizeof text);
    unsetenv("SIGNET_TEST_NUMBER");
    unsetenv("SIGNET_DRAIN_MS");
    assert_int_equal(code, 2);
    assert_non_null(strstr(text, "SIGNET_TEST_NUMBER"));
    assert_non_null(strstr(text, "SIGNET_DRAIN_MS"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void
a_wrong_log_level_ends_with_2(void **state)
{
    setenv("SIGNET_LOG_LEVEL", "loud", 1);
    int code = output_of(be_plain, NULL, text, sizeof text);
    unsetenv("SIGNET_LOG_LEVEL");
    assert_int_equal(code, 2);
    assert_non_null(strstr(text, "SIGNET_LOG_LEVEL"));
}

static void
an_unknown_option_ends_with_2(void **state)
{
    assert_int_equal(output_of(be_plain, "--wonders", text, sizeof text), 2);
}

static void
a_taken_admin_address_ends_with_2_and_names_it(void **state)
{
    struct child first;
    char listen[32];

    spawn(&first, be_plain, NULL);
    wait_until_started(&first);
    snprintf(listen, sizeof listen, "127.0.0.1:%d", first.admin_port);
    setenv("SIGNET_ADMIN_LISTEN", listen, 1);
    int code = output_of(be_plain, NULL, text, sizeof text);
    unsetenv("SIGNET_ADMIN_LISTEN");
    assert_int_equal(code, 2);
    assert_non_null(strstr(text, listen));
    assert_int_equal(stop(&first), 0);
}

static void
sigterm_drains_in_reverse_order_and_ends_with_0(void **state)
{
    struct child child;

    spawn(&child, be_plain, NULL);
    assert_string_equal(wait_for_step(&child, "test.configured", "word"), "w");
    kill(child.pid, SIGTERM);
    assert_string_equal(wait_for_step(&child, "service.drain", "signal"), "SIGTERM");
    assert_string_equal(wait_for_step(&child, "test.stopped", "what"), "third");
    assert_string_equal(wait_for_step(&child, "test.stopped", "what"), "second");
    assert_string_equal(wait_for_step(&child, "test.stopped", "what"), "first");
    wait_for_step(&child, "service.end", NULL);
    assert_int_equal(exit_code(&child), 0);
}

static void
sigint_drains_too(void **state)
{
    struct child child;

    spawn(&child, be_plain, NULL);
    wait_until_started(&child);
    kill(child.pid, SIGINT);
    assert_string_equal(wait_for_step(&child, "service.drain", "signal"), "SIGINT");
    assert_int_equal(exit_code(&child), 0);
}

static void
a_second_signal_ends_a_hanging_drain_with_1(void **state)
{
    struct child child;

    spawn(&child, be_hanging, NULL);
    wait_until_started(&child);
    kill(child.pid, SIGTERM);
    wait_for_step(&child, "test.hangs", NULL);
    kill(child.pid, SIGTERM);
    assert_string_equal(wait_for_step(&child, "service.drain_cut", "reason"), "a second signal");
    assert_int_equal(exit_code(&child), 1);
}

static void
the_drain_bound_ends_a_hanging_drain_with_1(void **state)
{
    struct child child;

    setenv("SIGNET_DRAIN_MS", "200", 1);
    spawn(&child, be_hanging, NULL);
    unsetenv("SIGNET_DRAIN_MS");
    wait_until_started(&child);
    kill(child.pid, SIGTERM);
    assert_string_equal(wait_for_step(&child, "service.drain_cut", "reason"), "SIGNET_DRAIN_MS is over");
    assert_int_equal(exit_code(&child), 1);
}

static void
while_it_drains_it_is_unready_and_still_healthy(void **state)
{
    struct child child;

    spawn(&child, be_hanging, NULL);
    wait_until_started(&child);
    wait_for_readyz(&child, 200, text, sizeof text);
    kill(child.pid, SIGTERM);
    wait_for_step(&child, "test.hangs", NULL);
    assert_int_equal(ask_admin(&child, "/readyz", text, sizeof text), 503);
    assert_non_null(strstr(text, "\"reason\":\"draining\""));
    assert_int_equal(ask_admin(&child, "/healthz", text, sizeof text), 200);
    kill(child.pid, SIGKILL);
    assert_int_equal(exit_code(&child), 1000 + SIGKILL);
}

static void
readyz_says_which_check_fails_and_follows_it(void **state)
{
    struct child child;

    unlink(ready_file);
    spawn(&child, be_unready, NULL);
    wait_until_started(&child);
    assert_string_equal(wait_for_step(&child, "service.unready", "reason"), "file: the file is not there");
    assert_int_equal(ask_admin(&child, "/readyz", text, sizeof text), 503);
    assert_non_null(strstr(text, "\"ready\":false"));
    assert_non_null(strstr(text, "\"good\":\"ok\""));
    assert_non_null(strstr(text, "\"file\":\"the file is not there\""));
    assert_int_equal(ask_admin(&child, "/healthz", text, sizeof text), 200);
    close(open(ready_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    wait_for_step(&child, "service.ready", NULL);
    wait_for_readyz(&child, 200, text, sizeof text);
    assert_non_null(strstr(text, "\"ready\":true"));
    unlink(ready_file);
    wait_for_step(&child, "service.unready", NULL);
    wait_for_readyz(&child, 503, text, sizeof text);
    assert_int_equal(stop(&child), 0);
}

static void
a_check_that_never_returns_holds_nobody(void **state)
{
    struct child child;

    spawn(&child, be_stuck, NULL);
    wait_until_started(&child);
    assert_int_equal(ask_admin(&child, "/readyz", text, sizeof text), 503);
    assert_non_null(strstr(text, "starting"));
    assert_int_equal(ask_admin(&child, "/metrics", text, sizeof text), 200);
    kill(child.pid, SIGTERM);
    wait_for_step(&child, "service.check_hangs", NULL);
    wait_for_step(&child, "service.end", NULL);
    assert_int_equal(exit_code(&child), 0);
}

static void
a_long_reason_is_not_cut_within_a_character(void **state)
{
    struct child child;

    spawn(&child, be_complaining, NULL);
    wait_until_started(&child);
    wait_for_step(&child, "service.unready", "reason");
    assert_int_equal(ask_admin(&child, "/readyz", text, sizeof text), 503);
    json_t *page = json_loads(text, 0, NULL);
    assert_non_null(page);
    assert_non_null(strstr(json_string_value(json_object_get(page, "reason")), "complaint: x\xc3\xa4\xc3\xa4"));
    json_decref(page);
    assert_int_equal(stop(&child), 0);
}

static void
an_instance_that_is_no_plain_text_ends_with_2(void **state)
{
    setenv("SIGNET_INSTANCE", "a\xff-b", 1);
    int code = output_of(be_plain, NULL, text, sizeof text);
    unsetenv("SIGNET_INSTANCE");
    assert_int_equal(code, 2);
    assert_non_null(strstr(text, "SIGNET_INSTANCE"));
}

static void
the_instance_is_named_by_its_setting(void **state)
{
    struct child child;

    setenv("SIGNET_INSTANCE", "replica-2", 1);
    spawn(&child, be_plain, NULL);
    unsetenv("SIGNET_INSTANCE");
    assert_string_equal(wait_for_step(&child, "service.start", "instance"), "replica-2");
    assert_int_equal(stop(&child), 0);
}

static double
figure(const char *page, const char *name)
{
    char wanted[256];

    snprintf(wanted, sizeof wanted, "\n%s ", name);
    const char *at = strstr(page, wanted);
    if (at == NULL)
        fail_msg("no figure %s in: %s", name, page);
    return at == NULL ? -1 : strtod(at + strlen(wanted), NULL);
}

static void
metrics_count_requests_by_step_and_describe_the_process(void **state)
{
    struct child child;
    char body[64];

    spawn(&child, be_serving, NULL);
    wait_until_started(&child);
    int port = port_at_end(wait_for_step(&child, "test.serves", "port"));
    for (int i = 0; i < 3; i++) {
        struct http_kit *client = http_kit_connect(port);
        snprintf(body, sizeof body, "/hello/%d", i);
        assert_int_equal(http_kit_get(client, body)->status, 200);
        assert_int_equal(http_kit_get(client, "/unknown")->status, 404);
        http_kit_free(client);
    }
    wait_for_readyz(&child, 200, text, sizeof text);
    assert_int_equal(ask_admin(&child, "/metrics", text, sizeof text), 200);
    assert_true(figure(text, "signet_request_seconds_count{step=\"GET /hello/{name}\"}") == 3);
    assert_true(figure(text, "signet_requests_total{result=\"not-found\"}") == 3);
    assert_true(figure(text, "signet_ready") == 1);
    assert_true(figure(text, "process_open_fds") > 5);
    assert_true(figure(text, "process_resident_memory_bytes") > 1e6);
    assert_true(figure(text, "signet_build_info{version=\"" SIGNET_VERSION "\"}") == 1);
    assert_int_equal(stop(&child), 0);
}

#if !defined(__SANITIZE_ADDRESS__)
static void
an_idle_service_stays_small(void **state)
{
    struct child child;

    spawn(&child, be_serving, NULL);
    wait_until_started(&child);
    wait_for_readyz(&child, 200, text, sizeof text);
    assert_int_equal(ask_admin(&child, "/metrics", text, sizeof text), 200);
    assert_true(figure(text, "process_resident_memory_bytes") < 30e6);
    assert_int_equal(stop(&child), 0);
}
#endif

static void
a_loop_is_woken_before_its_pause_is_over_and_notes_make_lines(void **state)
{
    struct child child;

    spawn(&child, be_looping, NULL);
    wait_until_started(&child);
    assert_string_equal(wait_for_step(&child, "sleeper", "turn"), "2");
    assert_string_equal(wait_for_step(&child, "sleeper", "turn"), "3");
    assert_int_equal(stop(&child), 0);
}

static void
a_loop_that_fails_alike_says_it_once(void **state)
{
    struct child child;
    const char *line;
    int said = 0;

    spawn(&child, be_looping, NULL);
    wait_until_started(&child);
    assert_string_equal(wait_for_step(&child, "failing", "message"), "always the same");
    usleep(800000);
    kill(child.pid, SIGTERM);
    while ((line = next_line(&child)) != NULL)
        said += strstr(line, "always the same") != NULL;
    assert_int_equal(said, 0);
    assert_int_equal(exit_code(&child), 0);
}

static const Pb__ReportReply *
survey(struct bus *bus, struct request *rq)
{
    const Pb__ReportRequest ask = PB__REPORT_REQUEST__INIT;
    const ProtobufCMessage **replies;
    size_t count = 0;

    for (int i = 0; i < 100; i++) {
        enum error error = rpc_survey(bus, rq, "signet.health.report", &ask.base, &pb__report_reply__descriptor, 200, &count, &replies);
        if (error == OK && count == 1)
            return (const Pb__ReportReply *)replies[0];
        failure_clear(rq);
        usleep(50000);
    }
    fail_msg("nobody answers the survey");
    return NULL;
}

static void
the_lag_of_followers_counts_beside_the_services_own(void **state)
{
    struct nats_kit *nats = nats_kit_start("");
    struct child child;
    struct bus *bus;

    setenv("SIGNET_NATS_URL", nats_kit_url(nats), 1);
    spawn(&child, be_a_follower, NULL);
    unsetenv("SIGNET_NATS_URL");
    wait_until_started(&child);
    AUTO_STRUCT(request, rq) = request_new();
    const struct bus_options options = {.name = "test", .url = nats_kit_url(nats), .ca_file = "", .cert_file = "", .key_file = ""};
    assert_int_equal(bus_open(rq, &options, &bus), OK);
    assert_int_equal(survey(bus, rq)->lag, -1);
    bus_close(bus, 1000);
    assert_int_equal(stop(&child), 0);
    nats_kit_stop(nats);
    nats_CloseAndWait(0); /* the next child is forked from here: it must not take the library for started, which has its threads in us */
}

static void
a_service_on_the_bus_answers_the_survey(void **state)
{
    struct nats_kit *nats = nats_kit_start("");
    struct child child;
    struct bus *bus;

    unlink(ready_file);
    setenv("SIGNET_NATS_URL", nats_kit_url(nats), 1);
    setenv("SIGNET_INSTANCE", "one", 1);
    spawn(&child, be_on_the_bus, NULL);
    unsetenv("SIGNET_INSTANCE");
    unsetenv("SIGNET_NATS_URL");
    wait_until_started(&child);
    AUTO_STRUCT(request, rq) = request_new();
    const struct bus_options options = {.name = "test", .url = nats_kit_url(nats), .ca_file = "", .cert_file = "", .key_file = ""};
    assert_int_equal(bus_open(rq, &options, &bus), OK);
    const Pb__ReportReply *report = survey(bus, rq);
    assert_string_equal(report->service, "test-gw");
    assert_string_equal(report->instance, "one");
    assert_string_equal(report->version, SIGNET_VERSION);
    assert_int_equal(report->pid, child.pid);
    assert_int_equal(report->lag, 7);
    assert_int_equal(port_at_end(report->admin), child.admin_port);
    assert_false(report->ready);
    close(open(ready_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    wait_for_readyz(&child, 200, text, sizeof text);
    report = survey(bus, rq);
    assert_true(report->ready);
    assert_string_equal(report->reason, "");
    unlink(ready_file);
    bus_close(bus, 1000);
    assert_int_equal(stop(&child), 0);
    nats_kit_stop(nats);
}

static void
a_bus_that_is_away_makes_it_unready_not_dead(void **state)
{
    struct child child;

    setenv("SIGNET_NATS_URL", "nats://127.0.0.1:1", 1);
    close(open(ready_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    spawn(&child, be_on_the_bus, NULL);
    unsetenv("SIGNET_NATS_URL");
    wait_until_started(&child);
    wait_for_step(&child, "service.unready", NULL);
    assert_int_equal(ask_admin(&child, "/readyz", text, sizeof text), 503);
    assert_non_null(strstr(text, "\"bus\":"));
    assert_non_null(strstr(text, "\"file\":\"ok\""));
    unlink(ready_file);
    assert_int_equal(stop(&child), 0);
}

static int
name_ready_file(void **state)
{
    int fd = mkstemp(ready_file);
    close(fd);
    return fd < 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_lists_every_setting_and_ends_with_0),
        cmocka_unit_test(help_leaves_out_what_the_service_does_not_use),
        cmocka_unit_test(version_names_service_and_version),
        cmocka_unit_test(check_prints_the_values_in_effect),
        cmocka_unit_test(wrong_settings_are_named_in_one_line_and_end_with_2),
        cmocka_unit_test(a_wrong_log_level_ends_with_2),
        cmocka_unit_test(an_unknown_option_ends_with_2),
        cmocka_unit_test(a_taken_admin_address_ends_with_2_and_names_it),
        cmocka_unit_test(sigterm_drains_in_reverse_order_and_ends_with_0),
        cmocka_unit_test(sigint_drains_too),
        cmocka_unit_test(a_second_signal_ends_a_hanging_drain_with_1),
        cmocka_unit_test(the_drain_bound_ends_a_hanging_drain_with_1),
        cmocka_unit_test(while_it_drains_it_is_unready_and_still_healthy),
        cmocka_unit_test(readyz_says_which_check_fails_and_follows_it),
        cmocka_unit_test(a_check_that_never_returns_holds_nobody),
        cmocka_unit_test(a_long_reason_is_not_cut_within_a_character),
        cmocka_unit_test(an_instance_that_is_no_plain_text_ends_with_2),
        cmocka_unit_test(the_instance_is_named_by_its_setting),
        cmocka_unit_test(metrics_count_requests_by_step_and_describe_the_process),
#if !defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(an_idle_service_stays_small),
#endif
        cmocka_unit_test(a_loop_is_woken_before_its_pause_is_over_and_notes_make_lines),
        cmocka_unit_test(a_loop_that_fails_alike_says_it_once),
        cmocka_unit_test(a_bus_that_is_away_makes_it_unready_not_dead),
        /* Last: this process has threads of nats.c from here on, and must not fork any more. */
        cmocka_unit_test(the_lag_of_followers_counts_beside_the_services_own),
        cmocka_unit_test(a_service_on_the_bus_answers_the_survey),
    };

    return cmocka_run_group_tests(tests, name_ready_file, NULL);
}
