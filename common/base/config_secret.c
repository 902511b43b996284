/* Secrets come from files. A file that others may read is refused, for it has to be taken as known; each refusal says what mends it. */
#include "base/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

#define SECRET_FILE_MAX (64 * 1024)
#define OPEN_TO_OTHERS (S_IRWXG | S_IRWXO)
#define READABLE_FOR_GROUP S_IRGRP

static enum error
explain_open(struct request *rq, const char *path, int error)
{
    if (error == ENOENT || error == ENOTDIR)
        return fail(rq, ERR_NOT_FOUND, "the secret file %s does not exist; create it with mode 600, or name another", path);
    if (error == EACCES || error == EPERM)
        return fail(rq, ERR_DENIED, "the secret file %s may not be read by this user (uid %u); make this user its owner", path, (unsigned)geteuid());
    return fail(rq, ERR_UNAVAILABLE, "the secret file %s cannot be opened: %s", path, strerrordesc_np(error));
}

/* Kubernetes and systemd give a service its secrets as files of root that the service's group may read, and in no other way; libpq has the same rule.
 */
static unsigned
forbidden_bits(const struct stat *about)
{
    return about->st_uid == 0 && geteuid() != 0 ? OPEN_TO_OTHERS & ~READABLE_FOR_GROUP : OPEN_TO_OTHERS;
}

static enum error
check_file(struct request *rq, const char *path, const struct stat *about)
{
    unsigned mode = about->st_mode & 07777;

    if (!S_ISREG(about->st_mode))
        return fail(rq, ERR_BAD_REQUEST, "the secret file %s is not a regular file", path);
    if (mode & forbidden_bits(about))
        return fail(rq, ERR_DENIED, "the secret file %s is open to others (mode %03o); \"chmod 600 %s\" mends it, and the secret should be renewed",
                    path, mode, path);
    if (about->st_size > SECRET_FILE_MAX)
        return fail(rq, ERR_TOO_LARGE, "the secret file %s has %lld bytes, at most %d are read", path, (long long)about->st_size, SECRET_FILE_MAX);
    return OK;
}

/* Straight into locked memory: no stdio buffer keeps a copy. */
static enum error
read_all(struct request *rq, int fd, const char *path, struct secret *into, size_t *ret_len)
{
    size_t len = 0;

    while (len < into->len) {
        ssize_t got = read(fd, into->at + len, into->len - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(rq, ERR_UNAVAILABLE, "the secret file %s cannot be read: %s", path, strerrordesc_np(errno));
        if (got == 0)
            break;
        len += (size_t)got;
    }
    *ret_len = len;
    return OK;
}

static size_t
without_final_newline(const uint8_t *at, size_t len)
{
    if (len == 0 || at[len - 1] != '\n')
        return len;
    return len > 1 && at[len - 2] == '\r' ? len - 2 : len - 1;
}

static enum error
read_open_file(struct request *rq, int fd, const char *path, struct secret **ret_secret)
{
    struct stat about;
    size_t len = 0;

    if (fstat(fd, &about) != 0)
        return fail(rq, ERR_UNAVAILABLE, "the secret file %s cannot be examined: %s", path, strerrordesc_np(errno));
    enum error error = check_file(rq, path, &about);
    if (error != OK)
        return error;
    AUTO_STRUCT(secret, whole) = secret_new((size_t)about.st_size);
    error = read_all(rq, fd, path, whole, &len);
    if (error != OK)
        return error;
    len = without_final_newline(whole->at, len);
    if (len == 0)
        return fail(rq, ERR_BAD_REQUEST, "the secret file %s is empty", path);
    *ret_secret = secret_copy(BYTES(whole->at, len));
    return OK;
}

enum error
config_read_secret(struct request *rq, const char *path, struct secret **ret_secret)
{
    /* Without O_NONBLOCK, a named pipe in place of the file would hold up the start for ever. */
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return explain_open(rq, path, errno);
    return read_open_file(rq, fd, path, ret_secret);
}
