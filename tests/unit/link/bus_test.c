/* The connection's life: late servers, lost servers, refused credentials, permissions. */
#include "bus_fixture.h"

#include <stdatomic.h>

#include "link/rpc.h"
#include "signet/v1/health.pb-c.h"
#include "unit/base/stderr_lines.h"

#define USERS                                                                                                                                  \
    "authorization {\n  users = [\n"                                                                                                           \
    "    { user: \"asker\", password: \"pw\", permissions: { publish: [\"signet.health.report.asker\"], subscribe: [\"_INBOX.asker.>\"] } }\n" \
    "    { user: \"answerer\", password: \"pw\", permissions: { publish: { deny: [\">\"] }, subscribe: [\"signet.health.report.*\"], "         \
    "allow_responses: { max: 1, expires: \"10s\" } } }\n  ]\n}\n"
#define USERS_WITH_OTHER_PASSWORDS "authorization {\n  users = [\n    { user: \"asker\", password: \"other\" }\n  ]\n}\n"

static atomic_int reports;

static enum error
report(void *context, struct request *rq, const Pb__ReportRequest *input, Pb__ReportReply *ret_reply)
{
    reports++;
    ret_reply->service = "answerer";
    return OK;
}

RPC_HANDLER(Health, Report, report)
static Pb__Health_Service table = PB__HEALTH__INIT(serve_);

static void
serve_health(struct bus *bus, struct request *rq)
{
    struct rpc_options options = {.threads = 1, .queue_limit = 8};
    assert_int_equal(rpc_serve(bus, rq, &table.base, NULL, &options), OK);
}

static enum error
ask_health(struct bus *bus)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ReportRequest request = PB__REPORT_REQUEST__INIT;
    const Pb__ReportReply *reply = NULL;
    rq->deadline_ms = clock_monotonic_ms() + 1000;
    return RPC_CALL(bus, rq, health, Report, &request, &reply);
}

static void
count_one(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static void
refuses_settings_that_can_never_work(void **state)
{
    static const struct {
        const char *name;
        struct bus_options options;
    } cases[] = {
        {"no server", {.name = "test", .url = "", .ca_file = ""}},
        {"a list of nothing", {.name = "test", .url = " , ,", .ca_file = ""}},
        {"a CA file that is not there", {.name = "test", .url = "tls://127.0.0.1:1", .ca_file = "/nonexistent/ca.pem"}},
        {"a certificate that is not there",
         {.name = "test", .url = "tls://127.0.0.1:1", .ca_file = "/etc/ssl/certs/ca-certificates.crt", .cert_file = "/no", .key_file = "/no"}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bus *bus = NULL;
        print_message("    %s\n", cases[i].name);
        assert_int_equal(bus_open(rq, &cases[i].options, &bus), ERR_INTERNAL);
        assert_string_not_equal(rq->failure.detail, "");
        assert_null(bus);
    }
}

static void
waits_for_a_server_that_comes_late_and_says_so_meanwhile(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    nats_kit_kill(nats);
    struct bus *bus = open_bus(rq, "asker", nats_kit_url_of_user(nats, "asker", "pw"));
    assert_int_equal(bus_check(bus, rq), ERR_UNAVAILABLE);
    assert_true(rq->failure.retry_after_s > 0);
    nats_kit_start_again(nats);
    WAIT_FOR(bus_is_ready(bus));
    bus_close(bus, 1000);
}

static void
closes_while_it_was_never_connected(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bus *bus = open_bus(rq, "asker", "nats://127.0.0.1:1");
    serve_health(bus, rq);
    bus_close(bus, 1000);
}

static void
takes_the_second_server_of_a_list(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bus *bus = open_bus(rq, "asker", arena_format(rq->arena, "nats://127.0.0.1:1, %s", nats_kit_url_of_user(nats, "asker", "pw")));
    WAIT_FOR(bus_is_ready(bus));
    bus_close(bus, 1000);
}

static void
tells_of_each_reconnect_and_not_of_the_first_connect(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    atomic_int told = 0;
    struct bus *bus = open_bus(rq, "asker", nats_kit_url_of_user(nats, "asker", "pw"));
    bus_add_part(bus, &(struct bus_part){.reconnected = count_one, .context = &told});
    WAIT_FOR(bus_is_ready(bus));
    for (int i = 1; i <= 2; i++) {
        nats_kit_kill(nats);
        WAIT_FOR(!bus_is_ready(bus));
        assert_int_equal(told, i - 1);
        nats_kit_start_again(nats);
        WAIT_FOR(told == i);
    }
    bus_close(bus, 1000);
}

static void
calls_pass_between_users_with_the_least_permissions(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bus *answerer = open_bus(rq, "answerer", nats_kit_url_of_user(nats, "answerer", "pw"));
    struct bus *asker = open_bus(rq, "asker", nats_kit_url_of_user(nats, "asker", "pw"));
    serve_health(answerer, rq);
    assert_int_equal(ask_health(asker), OK);
    bus_close(asker, 1000);
    bus_close(answerer, 1000);
}

/* The one who asks for what he may not sees a time-out; only the log tells why. */
static void
a_forbidden_subject_is_told_in_the_log(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bus *answerer = open_bus(rq, "answerer", nats_kit_url_of_user(nats, "answerer", "pw"));
    struct stderr_lines lines;
    stderr_catch(&lines);
    enum error error = ask_health(answerer);
    bool told = false;
    for (const char *line = stderr_next(&lines); line != NULL; line = stderr_next(&lines))
        told |= strstr(line, "bus.not_permitted") != NULL && strstr(line, "signet.health.report") != NULL;
    stderr_restore(&lines);
    bus_close(answerer, 1000);
    assert_int_equal(error, ERR_TIMEOUT);
    assert_true(told);
}

/* nats.c gives up for good when it is refused twice in a row. */
static void
comes_back_after_its_credentials_were_refused(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    atomic_int told = 0;
    struct bus *answerer = open_bus(rq, "answerer", nats_kit_url_of_user(nats, "answerer", "pw"));
    struct bus *asker = open_bus(rq, "asker", nats_kit_url_of_user(nats, "asker", "pw"));
    bus_add_part(answerer, &(struct bus_part){.reconnected = count_one, .context = &told});
    serve_health(answerer, rq);
    assert_int_equal(ask_health(asker), OK);

    nats_kit_kill(nats);
    nats_kit_configure(nats, USERS_WITH_OTHER_PASSWORDS);
    nats_kit_start_again(nats);
    clock_sleep_ms(500); /* time enough to be refused often */
    assert_int_equal(ask_health(asker), ERR_UNAVAILABLE);
    nats_kit_kill(nats);
    nats_kit_configure(nats, USERS);
    nats_kit_start_again(nats);

    WAIT_FOR(bus_is_ready(answerer) && bus_is_ready(asker));
    WAIT_FOR(told > 0);
    assert_int_equal(ask_health(asker), OK);
    bus_close(asker, 1000);
    bus_close(answerer, 1000);
}

static void
starts_with_refused_credentials_and_recovers(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    nats_kit_kill(nats);
    nats_kit_configure(nats, USERS_WITH_OTHER_PASSWORDS);
    nats_kit_start_again(nats);
    struct bus *answerer = open_bus(rq, "answerer", nats_kit_url_of_user(nats, "answerer", "pw"));
    serve_health(answerer, rq);
    assert_int_equal(bus_check(answerer, rq), ERR_UNAVAILABLE);
    nats_kit_kill(nats);
    nats_kit_configure(nats, USERS);
    nats_kit_start_again(nats);
    struct bus *asker = open_bus(rq, "asker", nats_kit_url_of_user(nats, "asker", "pw"));
    WAIT_FOR(bus_is_ready(answerer));
    assert_int_equal(ask_health(asker), OK);
    bus_close(asker, 1000);
    bus_close(answerer, 1000);
}

static int
start_nats_with_users(void **state)
{
    nats = nats_kit_start(USERS);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_settings_that_can_never_work),
        cmocka_unit_test(waits_for_a_server_that_comes_late_and_says_so_meanwhile),
        cmocka_unit_test(closes_while_it_was_never_connected),
        cmocka_unit_test(takes_the_second_server_of_a_list),
        cmocka_unit_test(tells_of_each_reconnect_and_not_of_the_first_connect),
        cmocka_unit_test(calls_pass_between_users_with_the_least_permissions),
        cmocka_unit_test(a_forbidden_subject_is_told_in_the_log),
        cmocka_unit_test(comes_back_after_its_credentials_were_refused),
        cmocka_unit_test(starts_with_refused_credentials_and_recovers),
    };
    return cmocka_run_group_tests_name("bus", tests, start_nats_with_users, stop_nats);
}
