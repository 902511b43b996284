/* Closing: what was begun is finished, who waits in the queue is served, idle connections go, nothing hangs. */
#include "unit/link/http_fixture.h"

#include <pthread.h>

#define HEAD "Host: test\r\n"

static atomic_bool closed;

static enum error
wait_at_gate(void *context, struct http_exchange *x)
{
    sem_post(&begun);
    wait_for(&let_go);
    return http_answer_text(x, 200, "text/plain", "finished");
}

static enum error
quick(void *context, struct http_exchange *x)
{
    return http_answer_text(x, 200, "text/plain", "quick");
}

static const struct http_route routes[] = {
    {"GET", "/wait", wait_at_gate, ON_WORKER},
    {"GET", "/quick", quick, ON_LOOP},
};

static void
open_with(int loops)
{
    atomic_store(&closed, false);
    open_server(&(struct http_server_options){.name = "test",
                                              .listen = "127.0.0.1:0",
                                              .routes = routes,
                                              .route_count = COUNT_OF(routes),
                                              .loops = loops,
                                              .workers = 2,
                                              .request_timeout_ms = 600000 /* no other reason than the drain closes an idle connection */});
}

static void *
close_it(void *argument)
{
    http_server_close(TAKE(server), *(int *)argument);
    atomic_store(&closed, true);
    return NULL;
}

static void
begin_close(pthread_t *thread, int *most_ms)
{
    assert_int_equal(pthread_create(thread, NULL, close_it, most_ms), 0);
}

static void
what_was_begun_is_finished_and_its_connection_closed(void **state)
{
    int most_ms = CLOSE_MOST_MS;
    pthread_t closing;

    open_with(2);
    struct http_kit *client = http_kit_connect(port), *idle = http_kit_connect(port);
    assert_int_equal(http_kit_get(idle, "/quick")->status, 200);
    http_kit_say(client, "GET /wait HTTP/1.1\r\n" HEAD "\r\n");
    wait_for(&begun);
    begin_close(&closing, &most_ms);
    /* Idle connections are closed first; when this one is, the drain has begun. */
    assert_true(http_kit_is_closed(idle));
    assert_false(atomic_load(&closed));
    sem_post(&let_go);
    const struct http_kit_reply *reply = http_kit_reply(client);
    assert_int_equal(reply->status, 200);
    assert_string_equal(http_kit_header(reply, "Connection"), "close");
    assert_true(http_kit_is_closed(client));
    pthread_join(closing, NULL);
    http_kit_free(client);
    http_kit_free(idle);
}

static void
a_fresh_connection_may_still_ask_its_first_question(void **state)
{
    int most_ms = CLOSE_MOST_MS;
    pthread_t closing;

    open_with(1);
    struct http_kit *fresh = http_kit_connect(port), *idle = http_kit_connect(port);
    assert_int_equal(http_kit_get(idle, "/quick")->status, 200);
    begin_close(&closing, &most_ms);
    assert_true(http_kit_is_closed(idle));
    const struct http_kit_reply *reply = http_kit_get(fresh, "/quick");
    assert_int_equal(reply->status, 200);
    assert_string_equal(http_kit_header(reply, "Connection"), "close");
    pthread_join(closing, NULL);
    http_kit_free(fresh);
    http_kit_free(idle);
}

static void
a_fresh_connection_that_asks_nothing_does_not_hold_it(void **state)
{
    open_with(1);
    struct http_kit *fresh = http_kit_connect(port), *used = http_kit_connect(port);
    assert_int_equal(http_kit_get(used, "/quick")->status, 200); /* by now the other is accepted */
    http_server_close(TAKE(server), 600000);
    assert_true(http_kit_is_closed(fresh));
    http_kit_free(fresh);
    http_kit_free(used);
}

/* Connected but not yet accepted by the loop, which is held in a handler: closing the listener would reset them. */
static enum error
hold_the_loop(void *context, struct http_exchange *x)
{
    return wait_at_gate(context, x);
}

static void
who_waits_in_the_listening_queue_is_served(void **state)
{
    static const struct http_route holding[] = {{"GET", "/hold", hold_the_loop, ON_LOOP}, {"GET", "/quick", quick, ON_LOOP}};
    struct http_kit *queued[8];
    int most_ms = CLOSE_MOST_MS;
    pthread_t closing;

    open_server(&(struct http_server_options){.name = "test", .listen = "127.0.0.1:0", .routes = holding, .route_count = COUNT_OF(holding)});
    struct http_kit *holder = http_kit_connect(port);
    http_kit_say(holder, "GET /hold HTTP/1.1\r\n" HEAD "\r\n");
    wait_for(&begun);
    for (size_t i = 0; i < COUNT_OF(queued); i++) {
        queued[i] = http_kit_connect(port);
        http_kit_say(queued[i], "GET /quick HTTP/1.1\r\n" HEAD "\r\n");
    }
    begin_close(&closing, &most_ms);
    usleep(50000); /* the drain message is sent; the loop cannot read it yet */
    sem_post(&let_go);
    assert_int_equal(http_kit_reply(holder)->status, 200);
    for (size_t i = 0; i < COUNT_OF(queued); i++)
        assert_int_equal(http_kit_reply(queued[i])->status, 200);
    pthread_join(closing, NULL);
    for (size_t i = 0; i < COUNT_OF(queued); i++)
        http_kit_free(queued[i]);
    http_kit_free(holder);
}

static void
new_connections_are_refused_after_it(void **state)
{
    struct http_server_options again = {.name = "test", .routes = routes, .route_count = COUNT_OF(routes), .workers = 1};
    char listen[32];

    open_with(1);
    close_server(NULL);
    /* The port is free again at once. */
    snprintf(listen, sizeof listen, "127.0.0.1:%d", port);
    again.listen = listen;
    open_server(&again);
    close_server(NULL);
}

static void
half_a_request_does_not_hold_it_beyond_its_bound(void **state)
{
    open_with(1);
    struct http_kit *client = http_kit_connect(port);
    http_kit_say(client, "GET /quick HTTP/1.1\r\nX-Half");
    usleep(50000);
    http_server_close(TAKE(server), 300);
    assert_true(http_kit_is_closed(client));
    http_kit_free(client);
}

/* Its memory must stay while the handler runs; LeakSanitizer sees it through this. */
static struct http_server *abandoned;

static void
a_handler_that_hangs_does_not_hold_it_beyond_its_bound(void **state)
{
    open_with(1);
    abandoned = server;
    struct http_kit *client = http_kit_connect(port);
    http_kit_say(client, "GET /wait HTTP/1.1\r\n" HEAD "\r\n");
    wait_for(&begun);
    http_server_close(TAKE(server), 300);
    assert_true(http_kit_is_closed(client));
    sem_post(&let_go);
    http_kit_free(client);
    assert_non_null(abandoned);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_begun_is_finished_and_its_connection_closed),
        cmocka_unit_test(a_fresh_connection_may_still_ask_its_first_question),
        cmocka_unit_test(a_fresh_connection_that_asks_nothing_does_not_hold_it),
        cmocka_unit_test(who_waits_in_the_listening_queue_is_served),
        cmocka_unit_test(new_connections_are_refused_after_it),
        cmocka_unit_test(half_a_request_does_not_hold_it_beyond_its_bound),
        cmocka_unit_test(a_handler_that_hangs_does_not_hold_it_beyond_its_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
