/*
 * What is kept of the passwords of users who log in, remembered until it changes: fleets log in as one user, for each enrolment anew. Every change of
 * a user is announced by the database, to all replicas at once; as long as it is sure that nothing was missed, what is remembered is as good as the
 * row. While the connection that hears of it is away or silent, it is good for a few seconds. Called by authenticate.c.
 */
#include "est.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/drawn_secret.h"

#define PLACES 1024

struct known {
    char profile[PROFILE_NAME_MAX + 1], user[USER_NAME_MAX + 1]; /* "": nobody */
    uint8_t hash[DRAWN_SECRET_HASH_LEN];
    int64_t read_ms;
};

struct logins {
    struct commit_queue *lookups; /* of those that are not remembered */
    pthread_mutex_t mutex;
    int64_t heard_ms; /* all changes until then have been heard of */
    uint64_t changes; /* that have been heard of, or were made here */
    struct known known[PLACES];
};

struct logins *
logins_new(struct est *est)
{
    struct logins *logins = calloc(1, sizeof *logins);

    if (logins == NULL)
        abort();
    pthread_mutex_init(&logins->mutex, NULL);
    logins->lookups = commit_queue_new(store_find_users, est);
    return logins;
}

void
logins_free(struct logins *logins)
{
    commit_queue_free(logins->lookups);
    pthread_mutex_destroy(&logins->mutex);
    free(logins);
}

static struct known *
place_of(struct logins *logins, const struct login *login)
{
    return &logins->known[(text_hash(login->profile) * 31 + text_hash(login->user)) % PLACES];
}

/* `ret_changes` stands before the row is read, when it has to be. */
static bool
recall(struct logins *logins, struct login *login, uint64_t *ret_changes)
{
    AUTO_LOCK(&logins->mutex);
    const struct known *known = place_of(logins, login);

    *ret_changes = logins->changes;
    if (known->user[0] == '\0' || !text_equal(known->user, login->user) || !text_equal(known->profile, login->profile) ||
        !db_still_holds(known->read_ms, logins->heard_ms, clock_monotonic_ms()))
        return false;
    login->hash = bytes_copy(login->rq->arena, BYTES(known->hash, sizeof known->hash));
    return true;
}

/* Not when something was heard of while the row was read: it may be of this row, and have come before. */
static void
remember(struct logins *logins, const struct login *login, uint64_t changes, int64_t asked_ms)
{
    struct known known = {.read_ms = asked_ms};
    size_t profile_len = strlen(login->profile), user_len = strlen(login->user);

    if (login->hash.len != sizeof known.hash || profile_len >= sizeof known.profile || user_len >= sizeof known.user)
        return;
    memcpy(known.profile, login->profile, profile_len);
    memcpy(known.user, login->user, user_len);
    memcpy(known.hash, login->hash.at, sizeof known.hash);
    AUTO_LOCK(&logins->mutex);
    if (logins->changes == changes)
        *place_of(logins, login) = known;
}

enum error
logins_find(struct logins *logins, struct login *login)
{
    int64_t asked_ms = clock_monotonic_ms();
    uint64_t changes;

    if (recall(logins, login, &changes))
        return OK;
    enum error error = commit_queue_run(logins->lookups, login->rq, login);
    if (!error)
        remember(logins, login, changes, asked_ms);
    return error;
}

void
logins_forget(struct logins *logins)
{
    AUTO_LOCK(&logins->mutex);

    logins->changes++;
    memset(logins->known, 0, sizeof logins->known);
}

/* Operators change users rarely: with one, all are read again. Without a payload something may have been missed. */
static void
heard_of_change(void *context, const char *payload)
{
    (void)payload;
    logins_forget(context);
}

static void
heard_all(void *context, int64_t until_ms)
{
    struct logins *logins = context;
    AUTO_LOCK(&logins->mutex);

    logins->heard_ms = until_ms;
}

enum error
logins_follow(struct est *est, struct request *rq)
{
    return db_listen_surely(est->db, rq, "est_user", heard_of_change, heard_all, est->logins);
}
