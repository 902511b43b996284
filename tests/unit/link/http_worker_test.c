/* The hand-off to workers and to others: what a handler still has there, clients that vanish, answers that come too late, a full queue. */
#include "unit/link/http_fixture.h"

#include <pthread.h>
#include <sys/socket.h>

#define HEAD "Host: test\r\n"
#define WORKERS 2
#define QUEUE 2
#define PATIENCE_MS 20000
#define IMPATIENCE_MS 400

static atomic_int handled, released;
static pthread_mutex_t seen_mutex = PTHREAD_MUTEX_INITIALIZER;
static char seen[64]; /* of its body by the handler at the gate, behind it */

static void
count_release(void *held)
{
    atomic_fetch_add(&released, 1);
}

static enum error
wait_at_gate(void *context, struct http_exchange *x)
{
    sem_post(&begun);
    wait_for(&let_go);
    x->answer.held = &released;
    x->answer.release = count_release;
    pthread_mutex_lock(&seen_mutex);
    snprintf(seen, sizeof seen, "%.*s", (int)x->body.len, (const char *)x->body.at);
    pthread_mutex_unlock(&seen_mutex);
    atomic_fetch_add(&handled, 1);
    /* By now the client may be gone: all of this must still be there. */
    const char *agent = http_header_in(x, "User-Agent");
    return http_answer_text(x, 200, "text/plain",
                            arena_format(x->rq.arena, "%s|%s|%.*s|%s|%s", x->path, x->params[0], (int)x->body.len, (const char *)x->body.at, x->peer,
                                         agent == NULL ? "none" : agent));
}

static enum error
quick(void *context, struct http_exchange *x)
{
    return http_answer_text(x, 200, "text/plain", x->on_loop ? "loop" : "worker");
}

static enum error
maybe(void *context, struct http_exchange *x)
{
    if (x->on_loop)
        x->kept = x->kept == NULL ? "loop" : "stale";
    if (x->on_loop && x->params[0][0] == 'd') {
        x->kept = "worker";
        (void)fail(&x->rq, ERR_INTERNAL, "nothing that counts");
        return http_defer(x);
    }
    const char *header = http_header_in(x, "X-Given");
    return http_answer_text(x, 200, "text/plain",
                            arena_format(x->rq.arena, "%s %s %.*s", (const char *)x->kept, header, (int)x->body.len, (const char *)x->body.at));
}

static enum error
list(void *context, struct http_exchange *x)
{
    if (x->on_loop && x->params[0][0] == 'd')
        return http_defer(x);
    const char *values = http_headers_in(x, "X-Given");
    return http_answer_text(x, 200, "text/plain",
                            arena_format(x->rq.arena, "%s %s", x->on_loop ? "loop" : "worker", values == NULL ? "none" : values));
}

/* By whom an exchange was left to. */
static enum error
tell(void *argument)
{
    struct http_exchange *x = argument;
    char thread[16] = "";

    x->answer.held = &released;
    x->answer.release = count_release;
    pthread_getname_np(pthread_self(), thread, sizeof thread);
    return http_answer_text(x, 200, "text/plain", arena_format(x->rq.arena, "%s|%s|%zu|%s", x->path, x->peer, x->body.len, thread));
}

static void *
answer_later(void *argument)
{
    struct http_exchange *x = argument;

    pthread_setname_np(pthread_self(), "somebody");
    sem_post(&begun);
    wait_for(&let_go);
    if (x->params[0][0] == 'w' && http_go_on(x, tell, x))
        return NULL;
    http_finish(x, x->params[0][0] == 'r' ? fail(&x->rq, ERR_CONFLICT, "refused later") : tell(x));
    return NULL;
}

static enum error
leave(void *context, struct http_exchange *x)
{
    pthread_t thread;

    http_leave(x);
    assert_int_equal(pthread_create(&thread, NULL, answer_later, x), 0);
    pthread_detach(thread);
    return ERR_INTERNAL; /* not looked at */
}

static const struct http_route routes[] = {
    {"POST", "/leave/{name}", leave, ON_LOOP}, {"POST", "/wait/{name}", wait_at_gate, ON_WORKER},   {"GET", "/quick", quick, ON_WORKER},
    {"GET", "/loop", quick, ON_LOOP},          {"POST", "/maybe/{name}", maybe, ON_LOOP_OR_WORKER}, {"GET", "/list/{name}", list, ON_LOOP_OR_WORKER},
};

static int
start_with_timeout(int handler_timeout_ms)
{
    atomic_store(&handled, 0);
    atomic_store(&released, 0);
    open_server(&(struct http_server_options){.name = "test",
                                              .listen = "127.0.0.1:0",
                                              .routes = routes,
                                              .route_count = COUNT_OF(routes),
                                              .loops = 2,
                                              .workers = WORKERS,
                                              .queue_limit = QUEUE,
                                              .handler_timeout_ms = handler_timeout_ms});
    return 0;
}

static int
start(void **state)
{
    return start_with_timeout(PATIENCE_MS);
}

static int
start_impatient(void **state)
{
    return start_with_timeout(IMPATIENCE_MS);
}

static struct http_kit *
say_wait(void)
{
    struct http_kit *client = http_kit_connect(port);
    http_kit_say(client, "POST /wait/a HTTP/1.1\r\n" HEAD "User-Agent: tester\r\nContent-Length: 4\r\n\r\nbody");
    return client;
}

static void
wait_until(atomic_int *count, int least)
{
    for (int i = 0; i < 2000 && atomic_load(count) < least; i++)
        usleep(10000);
    assert_true(atomic_load(count) >= least);
}

static void
a_worker_has_the_whole_request(void **state)
{
    struct http_kit *client = say_wait();

    wait_for(&begun);
    sem_post(&let_go);
    const struct http_kit_reply *reply = http_kit_reply(client);
    assert_int_equal(reply->status, 200);
    const char *expected = "/wait/a|a|body|127.0.0.1|tester";
    assert_int_equal(reply->body_len, strlen(expected));
    assert_memory_equal(reply->body, expected, reply->body_len);
    http_kit_free(client);
}

static void
the_loop_serves_others_meanwhile(void **state)
{
    struct http_kit *waiting = say_wait(), *other = http_kit_connect(port);

    wait_for(&begun);
    for (int i = 0; i < 10; i++)
        assert_memory_equal(http_kit_get(other, "/loop")->body, "loop", 4);
    assert_memory_equal(http_kit_get(other, "/quick")->body, "worker", 6);
    sem_post(&let_go);
    assert_int_equal(http_kit_reply(waiting)->status, 200);
    http_kit_free(waiting);
    http_kit_free(other);
}

static void
a_deferred_handler_runs_again_with_the_same_request(void **state)
{
    struct http_kit *client = http_kit_connect(port);

    http_kit_say(client, "POST /maybe/now HTTP/1.1\r\n" HEAD "X-Given: g\r\nContent-Length: 3\r\n\r\none"
                         "POST /maybe/defer HTTP/1.1\r\n" HEAD "X-Given: h\r\nContent-Length: 3\r\n\r\ntwo");
    assert_memory_equal(http_kit_reply(client)->body, "loop g one", 10);
    assert_memory_equal(http_kit_reply(client)->body, "worker h two", 12);
    http_kit_free(client);
}

static void
a_header_that_is_there_several_times_is_read_whole(void **state)
{
    struct http_kit *client = http_kit_connect(port);

    http_kit_say(client, "GET /list/now HTTP/1.1\r\n" HEAD "X-Given: a, b\r\nX-Other: o\r\nx-given: c\r\n\r\n"
                         "GET /list/defer HTTP/1.1\r\n" HEAD "X-Given: a, b\r\nX-Other: o\r\nx-given: c\r\n\r\n"
                         "GET /list/none HTTP/1.1\r\n" HEAD "\r\n");
    assert_memory_equal(http_kit_reply(client)->body, "loop a, b,c", 11);
    assert_memory_equal(http_kit_reply(client)->body, "worker a, b,c", 13);
    assert_memory_equal(http_kit_reply(client)->body, "loop none", 9);
    http_kit_free(client);
}

static void
a_handler_that_takes_too_long_is_504_and_its_late_answer_is_dropped(void **state)
{
    struct http_kit *client = say_wait();

    wait_for(&begun);
    const struct http_kit_reply *reply = http_kit_reply(client);
    assert_int_equal(reply->status, 504);
    assert_non_null(http_kit_header(reply, "Retry-After"));
    /* The connection goes on, and the late answer does not come in between. Its request's memory is used again. */
    http_kit_say(client, "POST /maybe/now HTTP/1.1\r\n" HEAD "User-Agent: xxxxxx\r\nX-Given: g\r\nContent-Length: 4\r\n\r\nXXXX");
    assert_memory_equal(http_kit_reply(client)->body, "loop g XXXX", 11);
    sem_post(&let_go);
    wait_until(&released, 1);
    assert_string_equal(seen, "body");
    assert_memory_equal(http_kit_get(client, "/loop")->body, "loop", 4);
    http_kit_free(client);
}

static void
a_late_answer_after_its_client_is_gone_is_dropped(void **state)
{
    struct http_kit *client = say_wait();

    wait_for(&begun);
    assert_int_equal(http_kit_reply(client)->status, 504);
    http_kit_free(client);
    sem_post(&let_go);
    wait_until(&released, 1);
}

static void
a_client_that_resets_while_its_handler_works_is_survived(void **state)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    for (int i = 0; i < 20; i++) {
        struct http_kit *client = say_wait();
        wait_for(&begun);
        setsockopt(http_kit_fd(client), SOL_SOCKET, SO_LINGER, &now, sizeof now);
        http_kit_free(client);
        sem_post(&let_go);
        wait_until(&released, i + 1);
    }
    struct http_kit *client = http_kit_connect(port);
    assert_int_equal(http_kit_get(client, "/quick")->status, 200);
    http_kit_free(client);
}

static void
a_full_queue_is_503_busy(void **state)
{
    struct http_kit *working[WORKERS], *queued[QUEUE], *refused;

    for (int i = 0; i < WORKERS; i++) {
        working[i] = say_wait();
        wait_for(&begun);
    }
    for (int i = 0; i < QUEUE; i++)
        queued[i] = http_kit_connect(port);
    for (int i = 0; i < QUEUE; i++)
        http_kit_say(queued[i], "GET /quick HTTP/1.1\r\n" HEAD "\r\n");
    /* The queue is full as soon as one of these is refused; no more than the queue holds are taken before. */
    int status = 200, taken = 0;
    for (refused = http_kit_connect(port); status != 503 && taken < 100; taken++) {
        http_kit_free(refused);
        refused = http_kit_connect(port);
        http_kit_say(refused, "GET /quick HTTP/1.1\r\n" HEAD "\r\n");
        const struct http_kit_reply *reply = http_kit_reply(refused);
        status = reply->status;
        if (status == 503)
            assert_string_equal(http_kit_header(reply, "Retry-After"), "1");
    }
    assert_int_equal(status, 503);
    http_kit_free(refused);
    for (int i = 0; i < WORKERS; i++)
        sem_post(&let_go);
    for (int i = 0; i < WORKERS; i++)
        http_kit_free(working[i]);
    for (int i = 0; i < QUEUE; i++)
        http_kit_free(queued[i]);
}

static void
work_whose_time_is_over_before_a_worker_is_free_is_not_begun(void **state)
{
    struct http_kit *working[WORKERS], *queued;

    for (int i = 0; i < WORKERS; i++) {
        working[i] = say_wait();
        wait_for(&begun);
    }
    queued = say_wait();
    assert_int_equal(http_kit_reply(queued)->status, 504);
    for (int i = 0; i < WORKERS; i++)
        sem_post(&let_go);
    wait_until(&handled, WORKERS);
    /* A worker has gone past the queued one when it answers this. */
    while (http_kit_get(queued, "/quick")->status != 200)
        continue;
    assert_int_equal(atomic_load(&handled), WORKERS);
    http_kit_free(queued);
    for (int i = 0; i < WORKERS; i++)
        http_kit_free(working[i]);
}

static struct http_kit *
say_leave(const char *name)
{
    struct http_kit *client = http_kit_connect(port);
    char text[200];

    snprintf(text, sizeof text, "POST /leave/%s HTTP/1.1\r\n" HEAD "Content-Length: 4\r\n\r\nbody", name);
    http_kit_say(client, text);
    wait_for(&begun);
    return client;
}

static void
expect_left(const char *name, int status, const char *body)
{
    struct http_kit *client = say_leave(name), *other = http_kit_connect(port);

    assert_memory_equal(http_kit_get(other, "/loop")->body, "loop", 4);
    sem_post(&let_go);
    const struct http_kit_reply *reply = http_kit_reply(client);
    assert_int_equal(reply->status, status);
    assert_int_equal(reply->body_len, strlen(body));
    assert_memory_equal(reply->body, body, reply->body_len);
    assert_memory_equal(http_kit_get(client, "/loop")->body, "loop", 4);
    http_kit_free(client);
    http_kit_free(other);
}

static void
what_a_handler_has_left_is_answered_by_whom_it_was_left_to(void **state)
{
    expect_left("him", 200, "/leave/him|127.0.0.1|0|somebody");
}

static void
what_a_handler_has_left_may_be_refused(void **state)
{
    expect_left("refused", 409, "refused later\n");
}

static void
what_a_handler_has_left_goes_on_at_a_worker(void **state)
{
    expect_left("worker", 200, "/leave/worker|127.0.0.1|0|test");
}

static void
what_a_handler_has_left_for_too_long_is_504_and_its_late_answer_is_dropped(void **state)
{
    struct http_kit *client = say_leave("him");

    assert_int_equal(http_kit_reply(client)->status, 504);
    sem_post(&let_go);
    wait_until(&released, 1);
    assert_memory_equal(http_kit_get(client, "/loop")->body, "loop", 4);
    http_kit_free(client);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, close_server)
#define IMPATIENT_TEST(function) cmocka_unit_test_setup_teardown(function, start_impatient, close_server)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_worker_has_the_whole_request),
        TEST(the_loop_serves_others_meanwhile),
        TEST(a_deferred_handler_runs_again_with_the_same_request),
        TEST(a_header_that_is_there_several_times_is_read_whole),
        IMPATIENT_TEST(a_handler_that_takes_too_long_is_504_and_its_late_answer_is_dropped),
        IMPATIENT_TEST(a_late_answer_after_its_client_is_gone_is_dropped),
        TEST(a_client_that_resets_while_its_handler_works_is_survived),
        IMPATIENT_TEST(a_full_queue_is_503_busy),
        IMPATIENT_TEST(work_whose_time_is_over_before_a_worker_is_free_is_not_begun),
        TEST(what_a_handler_has_left_is_answered_by_whom_it_was_left_to),
        TEST(what_a_handler_has_left_may_be_refused),
        TEST(what_a_handler_has_left_goes_on_at_a_worker),
        IMPATIENT_TEST(what_a_handler_has_left_for_too_long_is_504_and_its_late_answer_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
