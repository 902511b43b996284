/* Catches what a call writes on stderr, one record per write(2): a packet socket in the place of stderr keeps the records apart. */
#ifndef SIGNET_TESTS_UNIT_BASE_STDERR_LINES_H
#define SIGNET_TESTS_UNIT_BASE_STDERR_LINES_H

#include "unit/kit.h"

#include <string.h>
#include <sys/socket.h>

#include <jansson.h>

struct stderr_lines {
    int saved, inside, outside;
    char record[65536];
};

static inline void
stderr_catch(struct stderr_lines *lines)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    lines->saved = dup(STDERR_FILENO);
    lines->inside = ends[0];
    lines->outside = ends[1];
    assert_int_equal(dup2(lines->inside, STDERR_FILENO), STDERR_FILENO);
}

static inline void
stderr_restore(struct stderr_lines *lines)
{
    dup2(lines->saved, STDERR_FILENO);
    close(lines->saved);
    close(lines->inside);
    close(lines->outside);
}

/* The next record as a text, or NULL when nothing (more) was written. */
static inline const char *
stderr_next(struct stderr_lines *lines)
{
    ssize_t len = recv(lines->outside, lines->record, sizeof lines->record - 1, 0);

    if (len < 0)
        return NULL;
    lines->record[len] = '\0';
    return lines->record;
}

/* The next record, which must be one whole line that holds one JSON object without a key twice. */
static inline json_t *
stderr_next_object(struct stderr_lines *lines)
{
    json_error_t error;
    const char *record = stderr_next(lines);

    assert_non_null(record);
    assert_ptr_equal(strchr(record, '\n'), record + strlen(record) - 1);
    json_t *object = json_loads(record, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL)
        fail_msg("%s: %s", error.text, record);
    return object;
}

static inline const char *
field(json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

#endif
