/*
 * The signer's side of one child. The child gets the socketpair as descriptor 3 and nothing else that is open here; of the environment it gets
 * what vendor modules read, and of Signet's settings only the three that are its own: no database address, no bus key.
 */
#include "hsm_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

static char **
child_environment(struct arena *arena, const struct hsm_pool_options *options)
{
    size_t count = 0, kept = 0;

    while (environ[count] != NULL)
        count++;
    char **environment = arena_array(arena, count + 4, sizeof *environment);
    for (size_t i = 0; i < count; i++)
        if (!text_starts_with(environ[i], "SIGNET_"))
            environment[kept++] = environ[i];
    environment[kept++] = arena_format(arena, "SIGNET_HSM_MODULE=%s", options->module);
    environment[kept++] = arena_format(arena, "SIGNET_HSM_TOKEN=%s", options->token);
    environment[kept++] = arena_format(arena, "SIGNET_HSM_PIN_FILE=%s", options->pin_file);
    return environment;
}

static const char *
worker_file(struct arena *arena, const struct hsm_pool_options *options)
{
    char self[4096];

    if (!text_is_empty(options->worker_file))
        return options->worker_file;
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0)
        return "hsm-worker";
    self[len] = '\0';
    char *slash = strrchr(self, '/');
    return arena_format(arena, "%.*s/hsm-worker", slash == NULL ? 0 : (int)(slash - self), self);
}

static int
spawn_with(const struct hsm_pool_options *options, int child_fd, pid_t *ret_pid)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    const char *file = worker_file(arena, options);
    char *arguments[] = {arena_text(arena, "hsm-worker"), NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    /* dup2 of a descriptor to itself would leave it close-on-exec; glibc takes care of that case (bug 23640). */
    posix_spawn_file_actions_adddup2(&actions, child_fd, HSM_FD);
    posix_spawn_file_actions_addclosefrom_np(&actions, HSM_FD + 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawn(ret_pid, file, &actions, &attributes, arguments, child_environment(arena, options));
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

int
hsm_process_spawn(const struct hsm_pool_options *options, struct hsm_process *ret_process)
{
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return errno;
    int error = spawn_with(options, pair[1], &pid);
    close(pair[1]);
    if (error != 0) {
        close(pair[0]);
        return error;
    }
    *ret_process = (struct hsm_process){.pid = pid, .fd = pair[0]};
    return 0;
}

static void
wait_for_exit(pid_t pid, int patience_ms)
{
    AUTO_FD watch = pidfd_open(pid, 0);
    struct pollfd exited = {.fd = watch, .events = POLLIN};

    if (watch >= 0)
        poll(&exited, 1, patience_ms);
}

int
hsm_process_end(struct hsm_process *process, int patience_ms)
{
    int status = 0;

    close(process->fd);
    if (patience_ms > 0)
        wait_for_exit(process->pid, patience_ms);
    /* Not reaped yet, so the number is still this child's, running or not. */
    kill(process->pid, SIGKILL);
    while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    *process = (struct hsm_process){.pid = 0, .fd = -1};
    return status;
}

enum hsm_received
hsm_process_receive(int fd, int within_ms, struct hsm_answer *ret_answer)
{
    int64_t until_ms = clock_monotonic_ms() + within_ms;
    struct pollfd readable = {.fd = fd, .events = POLLIN};

    for (;;) {
        int64_t left_ms = until_ms - clock_monotonic_ms();
        int ready = poll(&readable, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready == 0)
            return HSM_RECEIVED_NOTHING_IN_TIME;
        ssize_t got = ready < 0 ? -1 : recv(fd, ret_answer, sizeof *ret_answer, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        return got > 0 && hsm_answer_is_whole(ret_answer, (size_t)got) ? HSM_RECEIVED : HSM_RECEIVED_END;
    }
}

bool
hsm_process_send(int fd, const struct hsm_call *call)
{
    ssize_t sent;

    do
        sent = send(fd, call, hsm_call_size(call), MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)hsm_call_size(call);
}
