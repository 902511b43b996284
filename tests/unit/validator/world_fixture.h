/* The world that the validator looks at: a real dnsmasq and a web server that does what the path says. Both on loopback, on free ports. */
#ifndef SIGNET_TESTS_VALIDATOR_WORLD_FIXTURE_H
#define SIGNET_TESTS_VALIDATOR_WORLD_FIXTURE_H

#include "unit/kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "validator.h"

#define TEXT_MAX 4096

static struct {
    pid_t dnsmasq;
    int dns_port;
    int listener;
    int port; /* of the web server */
    pthread_t thread;
    atomic_bool closing;
    atomic_int asked;
    char host[256];                                   /* Host header of the last request */
    void (*answer)(int connection, const char *path); /* set by the test */
} world;

static inline int
listen_on_loopback(int type, int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    assert_true(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* False when the server has ended: somebody took its port in the meantime. */
static inline bool
dns_answers(pid_t server, int port)
{
    static const uint8_t question[] = {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 'o', 'k', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    uint8_t answer[512];
    bool answers = false;

    for (int i = 0; i < 500 && !answers && waitpid(server, NULL, WNOHANG) == 0; i++) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        (void)sendto(fd, question, sizeof question, 0, (struct sockaddr *)&to, sizeof to);
        answers = poll(&wait, 1, 50) > 0 && recv(fd, answer, sizeof answer, 0) > 0;
        if (!answers)
            clock_sleep_ms(20);
    }
    close(fd);
    return answers;
}

static inline void
start_dnsmasq_once(void)
{
    char port[32];

    close(listen_on_loopback(SOCK_DGRAM, &world.dns_port));
    snprintf(port, sizeof port, "--port=%d", world.dns_port);
    world.dnsmasq = fork();
    if (world.dnsmasq == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(STDERR_FILENO);
        execl("/usr/sbin/dnsmasq", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-daemon",
              "--log-facility=/dev/null", "--listen-address=127.0.0.1", "--bind-interfaces", "--user=root", "--pid-file=", port, "--local=/test/",
              "--local=/localhost/", "--host-record=ok.test,127.0.0.1", "--host-record=both.test,127.0.0.1,::1", "--host-record=six.test,::1",
              "--host-record=meta.test,169.254.169.254", "--host-record=mixed.test,127.0.0.1", "--host-record=mixed.test,169.254.169.254",
              "--host-record=localhost,127.0.0.1", "--txt-record=text.test,only a text", "--cname=alias.test,ok.test", NULL);
        _exit(127);
    }
}

static inline void
start_dnsmasq(void)
{
    for (int i = 0; i < 5; i++) {
        start_dnsmasq_once();
        if (dns_answers(world.dnsmasq, world.dns_port))
            return;
    }
    fail_msg("dnsmasq does not answer");
}

static inline void
open_resolver(struct request *rq, int port, struct resolver **ret_resolver)
{
    struct resolver_options options = {.dns_address = arena_format(rq->arena, "127.0.0.1:%d", port), .trust_anchor_file = "", .insecure_domains = ""};

    assert_int_equal(resolver_open(rq, &options, ret_resolver), OK);
}

static inline bool
read_request(int connection, char text[TEXT_MAX])
{
    size_t len = 0;

    for (;;) {
        ssize_t more = recv(connection, text + len, TEXT_MAX - 1 - len, 0);
        if (more <= 0)
            return false;
        len += (size_t)more;
        text[len] = '\0';
        if (text[0] == 0x16) /* a TLS handshake: this server has none */
            return false;
        if (strstr(text, "\r\n\r\n") != NULL)
            return true;
        if (len == TEXT_MAX - 1)
            return false;
    }
}

static inline void *
answer_one(void *argument)
{
    int connection = (int)(intptr_t)argument;
    char text[TEXT_MAX], path[1024] = "";

    if (read_request(connection, text) && sscanf(text, "GET %1023s HTTP/1.1", path) == 1) {
        const char *host = strstr(text, "\r\nHost: ");
        world.asked++;
        if (host != NULL)
            sscanf(host, "\r\nHost: %255[^\r]", world.host);
        world.answer(connection, path);
    }
    shutdown(connection, SHUT_RDWR);
    close(connection);
    return NULL;
}

static inline void *
serve_web(void *argument)
{
    while (!world.closing) {
        struct pollfd wait = {.fd = world.listener, .events = POLLIN};
        if (poll(&wait, 1, 50) <= 0)
            continue;
        int connection = accept4(world.listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;
        if (connection >= 0 && pthread_create(&thread, NULL, answer_one, (void *)(intptr_t)connection) == 0)
            pthread_detach(thread);
    }
    return NULL;
}

static inline int
open_world(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    start_dnsmasq();
    world.listener = listen_on_loopback(SOCK_STREAM, &world.port);
    assert_int_equal(listen(world.listener, 64), 0);
    pthread_create(&world.thread, NULL, serve_web, NULL);
    return 0;
}

static inline int
close_world(void **state)
{
    world.closing = true;
    pthread_join(world.thread, NULL);
    close(world.listener);
    kill(world.dnsmasq, SIGTERM);
    waitpid(world.dnsmasq, NULL, 0);
    return 0;
}

__attribute__((format(printf, 2, 3))) static inline void
say(int connection, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list values;

    va_start(values, format);
    int len = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    (void)!send(connection, text, (size_t)len, MSG_NOSIGNAL);
}

static inline void
say_ok(int connection, const char *body)
{
    say(connection, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", strlen(body), body);
}

static inline void
say_redirect(int connection, int status, const char *location)
{
    say(connection, "HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status, location);
}

#endif
