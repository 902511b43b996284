/* Clients that are slow, that do not read, and that are too many. Whether the server closes is tested, never when. */
#include "unit/link/http_fixture.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define HEAD "Host: test\r\n"
#define REQUEST_TIMEOUT_MS 700
#define WRITE_TIMEOUT_MS 700
#define CONNECTION_LIMIT 6
#define LARGE (32 * 1024 * 1024)

static char large[LARGE];
static atomic_int released;

static void
count_release(void *held)
{
    atomic_fetch_add(&released, 1);
}

static enum error
big(void *context, struct http_exchange *x)
{
    x->answer.held = &released;
    x->answer.release = count_release;
    return http_answer(x, 200, "application/octet-stream", BYTES(large, sizeof large));
}

static enum error
small(void *context, struct http_exchange *x)
{
    return http_answer_text(x, 200, "text/plain", "ok");
}

static const struct http_route routes[] = {
    {"GET", "/big", big, ON_LOOP},
    {"GET", "/small", small, ON_LOOP},
    {"POST", "/small", small, ON_LOOP},
};

static int
start(void **state)
{
    atomic_store(&released, 0);
    open_server(&(struct http_server_options){.name = "test",
                                              .listen = "127.0.0.1:0",
                                              .routes = routes,
                                              .route_count = COUNT_OF(routes),
                                              .request_timeout_ms = REQUEST_TIMEOUT_MS,
                                              .write_timeout_ms = WRITE_TIMEOUT_MS,
                                              .connection_limit = CONNECTION_LIMIT});
    return 0;
}

/* Says one byte again and again until the server has enough; false when it never has. */
static bool
is_closed_while_dripping(struct http_kit *client, const char *drop)
{
    for (int i = 0; i < 2000 && http_kit_is_open(client); i++) {
        http_kit_say(client, drop);
        usleep(10000);
    }
    return !http_kit_is_open(client);
}

static void
a_head_that_drips_is_closed(void **state)
{
    struct http_kit *client = http_kit_connect(port);

    http_kit_say(client, "GET /small HTTP/1.1\r\nX: ");
    assert_true(is_closed_while_dripping(client, "x"));
    http_kit_free(client);
}

static void
a_body_that_drips_is_closed(void **state)
{
    struct http_kit *client = http_kit_connect(port);

    http_kit_say(client, "POST /small HTTP/1.1\r\n" HEAD "Content-Length: 60000\r\n\r\n");
    assert_true(is_closed_while_dripping(client, "x"));
    http_kit_free(client);
}

static void
a_chunked_body_that_drips_is_closed(void **state)
{
    struct http_kit *client = http_kit_connect(port);

    http_kit_say(client, "POST /small HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n");
    assert_true(is_closed_while_dripping(client, "1\r\nx\r\n"));
    http_kit_free(client);
}

static void
an_idle_connection_is_closed(void **state)
{
    struct http_kit *fresh = http_kit_connect(port), *used = http_kit_connect(port);

    assert_int_equal(http_kit_get(used, "/small")->status, 200);
    assert_true(http_kit_is_closed(used));
    assert_true(http_kit_is_closed(fresh));
    http_kit_free(fresh);
    http_kit_free(used);
}

static void
a_client_that_does_not_read_is_closed(void **state)
{
    struct http_kit *client = http_kit_connect(port);

    http_kit_say(client, "GET /big HTTP/1.1\r\n" HEAD "\r\n");
    for (int i = 0; i < 2000 && atomic_load(&released) == 0; i++)
        usleep(10000);
    assert_int_equal(atomic_load(&released), 1);
    http_kit_free(client);
}

/* Slower than the write timeout as a whole, but never without progress. */
static void
a_client_that_reads_slowly_but_steadily_gets_everything(void **state)
{
    struct http_kit *client = http_kit_connect(port);
    static char part[1024 * 1024];
    size_t got = 0;

    http_kit_say(client, "GET /big HTTP/1.1\r\n" HEAD "Connection: close\r\n\r\n");
    for (;;) {
        ssize_t len = recv(http_kit_fd(client), part, sizeof part, 0);
        if (len <= 0)
            break;
        got += (size_t)len;
        usleep(len > 500000 ? 60000 : 20000);
    }
    assert_true(got > LARGE);
    http_kit_free(client);
}

static void
connections_over_the_limit_wait_and_are_served_when_others_leave(void **state)
{
    struct http_kit *clients[CONNECTION_LIMIT + 2];

    for (int i = 0; i < CONNECTION_LIMIT; i++) {
        clients[i] = http_kit_connect(port);
        assert_int_equal(http_kit_get(clients[i], "/small")->status, 200);
    }
    for (int i = CONNECTION_LIMIT; i < CONNECTION_LIMIT + 2; i++) {
        clients[i] = http_kit_connect(port);
        http_kit_say(clients[i], "GET /small HTTP/1.1\r\n" HEAD "\r\n");
    }
    for (int i = 0; i < CONNECTION_LIMIT; i++)
        http_kit_free(clients[i]);
    for (int i = CONNECTION_LIMIT; i < CONNECTION_LIMIT + 2; i++) {
        assert_int_equal(http_kit_reply(clients[i])->status, 200);
        http_kit_free(clients[i]);
    }
}

/* In front of libc's: counts how often the server tries. */
static atomic_int accepts;

int
accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    atomic_fetch_add(&accepts, 1);
    return (int)syscall(SYS_accept4, fd, address, len, flags);
}

/* Takes every free descriptor; returns how many, the lowest first in `fds`. */
static size_t
exhaust_descriptors(int *fds, size_t room)
{
    size_t count = 0;
    while (count < room && (fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    return count;
}

static void
a_full_descriptor_table_neither_spins_nor_loses_who_waits(void **state)
{
    struct rlimit before, low = {.rlim_cur = 64};
    int fds[128] = {0};

    getrlimit(RLIMIT_NOFILE, &before);
    low.rlim_max = before.rlim_max;
    struct http_kit *client = http_kit_connect(port);
    assert_int_equal(http_kit_get(client, "/small")->status, 200);
    setrlimit(RLIMIT_NOFILE, &low);
    size_t taken = exhaust_descriptors(fds, COUNT_OF(fds));
    assert_in_range(taken, 1, COUNT_OF(fds) - 1);
    close(fds[--taken]);
    struct http_kit *waiting = http_kit_connect(port); /* takes the last descriptor: accept has none */
    http_kit_say(waiting, "GET /small HTTP/1.1\r\n" HEAD "\r\n");
    atomic_store(&accepts, 0);
    while (atomic_load(&accepts) == 0)
        usleep(10000);
    /* A listener that is reported again and again would have been tried thousands of times by now. */
    assert_int_equal(http_kit_get(client, "/small")->status, 200);
    usleep(100000);
    assert_true(atomic_load(&accepts) < 20);
    while (taken > 0)
        close(fds[--taken]);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(http_kit_reply(waiting)->status, 200);
    http_kit_free(client);
    http_kit_free(waiting);
}

static void
the_limit_stays_below_the_descriptor_table(void **state)
{
    struct rlimit before, low = {.rlim_cur = 60};
    struct http_kit *clients[29];

    close_server(NULL);
    getrlimit(RLIMIT_NOFILE, &before);
    low.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &low);
    open_server(&(struct http_server_options){
        .name = "test", .listen = "127.0.0.1:0", .routes = routes, .route_count = COUNT_OF(routes), .connection_limit = 4096});
    setrlimit(RLIMIT_NOFILE, &before);
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        clients[i] = http_kit_connect(port);
        assert_int_equal(http_kit_get(clients[i], "/small")->status, 200);
    }
    /* Half of 60, one of them still free. */
    struct http_kit *last = http_kit_connect(port), *beyond = http_kit_connect(port);
    assert_int_equal(http_kit_get(last, "/small")->status, 200);
    http_kit_say(beyond, "GET /small HTTP/1.1\r\n" HEAD "\r\n");
    usleep(100000);
    char byte;
    assert_int_equal(recv(http_kit_fd(beyond), &byte, 1, MSG_DONTWAIT), -1);
    for (size_t i = 0; i < COUNT_OF(clients); i++)
        http_kit_free(clients[i]);
    assert_int_equal(http_kit_reply(beyond)->status, 200);
    http_kit_free(last);
    http_kit_free(beyond);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, close_server)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_head_that_drips_is_closed),
        TEST(a_body_that_drips_is_closed),
        TEST(a_chunked_body_that_drips_is_closed),
        TEST(an_idle_connection_is_closed),
        TEST(a_client_that_does_not_read_is_closed),
        TEST(a_client_that_reads_slowly_but_steadily_gets_everything),
        TEST(connections_over_the_limit_wait_and_are_served_when_others_leave),
        TEST(a_full_descriptor_table_neither_spins_nor_loses_who_waits),
        TEST(the_limit_stays_below_the_descriptor_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
