/*
 * nats-server, and a guardian: a shell that holds one end of a pipe whose other end lives as long as the test, and removes the directory
 * when that is closed.
 */
#include "nats_kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

enum { START_MOST_MS = 10000, STEP_MS = 5 };

struct nats_kit {
    char dir[64];
    char store[80];
    char url[64];
    char user_url[192];
    int port;
    pid_t server; /* 0 while it is down */
    pid_t guardian;
    int lifeline; /* the guardian sees this close */
};

static void
give_up(const char *what)
{
    fprintf(stderr, "nats_kit: %s\n", what);
    abort();
}

static struct sockaddr_in
loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
}

static int
find_free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        give_up("no free port");
    close(fd);
    return ntohs(address.sin_port);
}

static int
answers(const struct nats_kit *kit)
{
    struct sockaddr_in address = loopback(kit->port);
    char greeting[5];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int is_up =
        fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && read(fd, greeting, 5) == 5 && memcmp(greeting, "INFO ", 5) == 0;
    close(fd);
    return is_up;
}

void
nats_kit_configure(struct nats_kit *kit, const char *config)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/nats.conf", kit->dir);
    FILE *to = fopen(path, "w");
    if (to == NULL)
        give_up(path);
    fprintf(to, "host: \"127.0.0.1\"\nport: %d\nmax_payload: 1MB\njetstream {\n    store_dir: \"%s\"\n    max_file_store: 16GB\n}\n%s\n", kit->port,
            kit->store, config);
    if (fclose(to) != 0)
        give_up(path);
}

void
nats_kit_start_again(struct nats_kit *kit)
{
    pid_t parent = getpid();
    kit->server = fork();
    if (kit->server < 0)
        give_up("fork");
    if (kit->server == 0) {
        char config[96], log[96];
        snprintf(config, sizeof(config), "%s/nats.conf", kit->dir);
        snprintf(log, sizeof(log), "%s/log", kit->dir);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(127);
        execlp("nats-server", "nats-server", "-c", config, "-l", log, (char *)NULL);
        _exit(127);
    }
    for (int waited_ms = 0; !answers(kit); waited_ms += STEP_MS) {
        if (waited_ms >= START_MOST_MS || waitpid(kit->server, NULL, WNOHANG) != 0)
            give_up("the server does not start");
        usleep(STEP_MS * 1000);
    }
}

static void
start_guardian(struct nats_kit *kit)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        give_up("pipe");
    kit->guardian = fork();
    if (kit->guardian < 0)
        give_up("fork");
    if (kit->guardian == 0) {
        setsid();
        dup2(ends[0], STDIN_FILENO);
        execlp("sh", "sh", "-c", "cat; rm -rf \"$0\"", kit->dir, (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    kit->lifeline = ends[1];
}

struct nats_kit *
nats_kit_start(const char *config)
{
    struct nats_kit *kit = calloc(1, sizeof(*kit));
    if (kit == NULL)
        give_up("memory");
    snprintf(kit->dir, sizeof(kit->dir), "/tmp/signet-nats-XXXXXX");
    if (mkdtemp(kit->dir) == NULL)
        give_up("mkdtemp");
    snprintf(kit->store, sizeof(kit->store), "%s/store", kit->dir);
    kit->port = find_free_port();
    snprintf(kit->url, sizeof(kit->url), "nats://127.0.0.1:%d", kit->port);
    start_guardian(kit);
    nats_kit_configure(kit, config);
    nats_kit_start_again(kit);
    return kit;
}

void
nats_kit_kill(struct nats_kit *kit)
{
    if (kit->server == 0)
        return;
    kill(kit->server, SIGKILL);
    if (waitpid(kit->server, NULL, 0) != kit->server)
        give_up("waitpid");
    kit->server = 0;
}

void
nats_kit_stop(struct nats_kit *kit)
{
    nats_kit_kill(kit);
    close(kit->lifeline);
    waitpid(kit->guardian, NULL, 0);
    free(kit);
}

void
nats_kit_freeze(struct nats_kit *kit)
{
    kill(kit->server, SIGSTOP);
}

void
nats_kit_thaw(struct nats_kit *kit)
{
    kill(kit->server, SIGCONT);
}

const char *
nats_kit_url(const struct nats_kit *kit)
{
    return kit->url;
}

const char *
nats_kit_store(const struct nats_kit *kit)
{
    return kit->store;
}

const char *
nats_kit_url_of_user(struct nats_kit *kit, const char *user, const char *password)
{
    snprintf(kit->user_url, sizeof(kit->user_url), "nats://%s:%s@127.0.0.1:%d", user, password, kit->port);
    return kit->user_url;
}
