/*
 * The validators that are asked, and how many of them have to agree. Without named perspectives any one validator answers for all. With them, all are
 * asked at once: the first is the primary one, which must see what the client says; of the others a few may not (CA/Browser Forum Baseline
 * Requirements §3.2.2.9), because somewhere in the world something is always broken, but an attacker can bend the ways to one of them alone.
 */
#include "acme.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"

#define PERSPECTIVE_NAME_MAX 32
/* Where so many may fail, once there are so many beside the primary one. */
#define REMOTES_FOR_ONE 2
#define REMOTES_FOR_TWO 6

static size_t
allowed_failures(size_t remotes)
{
    return remotes < REMOTES_FOR_ONE ? 0 : remotes < REMOTES_FOR_TWO ? 1 : 2;
}

enum quorum
quorum_of(const enum verdict *verdicts, size_t count)
{
    size_t against = 0, silent = 0, allowed = allowed_failures(count - 1);

    for (size_t i = 1; i < count; i++) {
        against += verdicts[i] == VERDICT_AGAINST;
        silent += verdicts[i] == VERDICT_NONE;
    }
    if (verdicts[0] == VERDICT_AGAINST || against > allowed)
        return QUORUM_AGAINST;
    if (verdicts[0] == VERDICT_NONE || against + silent > allowed)
        return QUORUM_UNKNOWN;
    return QUORUM_FOR;
}

enum error
perspectives_check(struct request *rq, const char *list)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t count;
    char **names = text_split(rq->arena, list, ',', &count);

    if (count > PERSPECTIVES_MAX)
        return fail(rq, ERR_BAD_REQUEST, "SIGNET_ACME_PERSPECTIVES: at most %d can be named", PERSPECTIVES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > PERSPECTIVE_NAME_MAX || strspn(names[i], alphabet) != strlen(names[i]))
            return fail(rq, ERR_BAD_REQUEST, "SIGNET_ACME_PERSPECTIVES: \"%.60s\" is not a name of small letters, digits and '-'", names[i]);
        for (size_t k = 0; k < i; k++)
            if (text_equal(names[i], names[k]))
                return fail(rq, ERR_BAD_REQUEST, "SIGNET_ACME_PERSPECTIVES: \"%s\" is there twice; each counts once", names[i]);
    }
    return OK;
}

/* ---- asking one ---- */

/* A validator that took the question and died does not answer: after a quarter of the time the question is put again, to whoever serves it then, with
 * all the time that is left. Of a validation that is longer than a connection may take: a host that does not answer is found out by one question. */
#define FIRST_SHARE 4
#define LOOK_MOST_MS 60000
#define WORTH_SHARING_MS 1000
/* What was found against a name so shortly before the end may be for want of time. */
#define HASTE_SHARE 10

static enum error
look_from_one(struct acme *acme, struct request *rq, look_from *look, const char *suffix, const void *input, struct finding *ret_finding)
{
    int64_t deadline_ms = rq->deadline_ms;
    int first_ms = request_time_left_ms(rq, LOOK_MOST_MS) / FIRST_SHARE;

    if (first_ms * FIRST_SHARE < WORTH_SHARING_MS)
        return look(acme, rq, suffix, input, ret_finding);
    rq->deadline_ms = clock_monotonic_ms() + first_ms;
    enum error error = look(acme, rq, suffix, input, ret_finding);
    bool in_haste = request_time_left_ms(rq, first_ms) <= first_ms / HASTE_SHARE;
    rq->deadline_ms = deadline_ms;
    if (!in_haste || (error == OK && ret_finding->holds))
        return error;
    request_note(rq, "asked", "twice");
    failure_clear(rq);
    return look(acme, rq, suffix, input, ret_finding);
}

/* ---- asking them all at once ---- */

struct round {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    size_t left;
};

struct glance {
    struct acme *acme;
    struct round *round;
    look_from *look;
    const void *input;
    const char *suffix;
    struct request rq;
    enum error error;
    struct finding finding;
};

static void
glance(void *argument)
{
    struct glance *one = argument;

    one->error = look_from_one(one->acme, &one->rq, one->look, one->suffix, one->input, &one->finding);
    AUTO_LOCK(&one->round->mutex);
    one->round->left--;
    pthread_cond_signal(&one->round->ended);
}

static void
wait_for_all(struct round *round)
{
    AUTO_LOCK(&round->mutex);
    while (round->left > 0)
        pthread_cond_wait(&round->ended, &round->mutex);
}

/* The first on this thread, the others on those that are free. */
static void
look_from_all(struct acme *acme, struct glance *glances, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (!workers_try(acme->onlookers, glance, &glances[i]))
            glance(&glances[i]);
    glance(&glances[0]);
    wait_for_all(glances[0].round);
}

static enum verdict
verdict_of(const struct glance *glance)
{
    return glance->error != OK ? VERDICT_NONE : glance->finding.holds ? VERDICT_FOR : VERDICT_AGAINST;
}

/* The finding that decides, for the client: the primary's when it is like the quorum, else the first that is. */
static const struct glance *
decisive(const struct glance *glances, size_t count, enum verdict wanted)
{
    for (size_t i = 0; i < count; i++)
        if (verdict_of(&glances[i]) == wanted)
            return &glances[i];
    assert(!"a quorum has a verdict behind it");
    return NULL;
}

static struct finding
copy_of(struct arena *arena, const struct finding *finding, const char *seen_from)
{
    return (struct finding){
        .holds = finding->holds,
        .problem = arena_text(arena, finding->problem),
        .detail = seen_from == NULL ? arena_text(arena, finding->detail) : arena_format(arena, "seen from \"%s\": %s", seen_from, finding->detail),
        .attested_key = bytes_copy(arena, finding->attested_key),
        .attestation = arena_text(arena, text_is_empty(finding->attestation) ? "" : finding->attestation),
    };
}

/* The least of what those who agree have found. */
static int64_t
end_of(const struct glance *glances, size_t count)
{
    int64_t until_s = 0;

    for (size_t i = 0; i < count; i++) {
        int64_t one_s = verdict_of(&glances[i]) == VERDICT_FOR ? glances[i].finding.valid_until_s : 0;
        if (one_s != 0 && (until_s == 0 || one_s < until_s))
            until_s = one_s;
    }
    return until_s;
}

static enum error
decide(struct request *rq, const struct glance *glances, char *const *names, size_t count, struct finding *ret_finding)
{
    enum verdict verdicts[PERSPECTIVES_MAX] = {VERDICT_NONE};

    for (size_t i = 0; i < count; i++)
        verdicts[i] = verdict_of(&glances[i]);
    switch (quorum_of(verdicts, count)) {
    case QUORUM_FOR:
        *ret_finding = copy_of(rq->arena, &glances[0].finding, NULL);
        ret_finding->valid_until_s = end_of(glances, count);
        return OK;
    case QUORUM_AGAINST: {
        const struct glance *one = decisive(glances, count, VERDICT_AGAINST);
        *ret_finding = copy_of(rq->arena, &one->finding, names[one - glances]);
        return OK;
    }
    case QUORUM_UNKNOWN: {
        const struct glance *one = decisive(glances, count, VERDICT_NONE);
        request_note(rq, "silent", "%s", names[one - glances]);
        rq->failure = one->rq.failure;
        return one->error;
    }
    }
    return ERR_INTERNAL;
}

enum error
perspectives_ask(struct acme *acme, struct request *rq, look_from *look, const void *input, struct finding *ret_finding)
{
    size_t count;
    char **names = text_split(rq->arena, text_is_empty(acme->config.perspectives) ? "" : acme->config.perspectives, ',', &count);

    if (count == 0)
        return look_from_one(acme, rq, look, "", input, ret_finding);
    struct glance *glances = arena_array(rq->arena, count, sizeof *glances);
    struct round round = {.mutex = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER, .left = count};
    for (size_t i = 0; i < count; i++) {
        glances[i] = (struct glance){.acme = acme, .round = &round, .look = look, .input = input, .suffix = arena_format(rq->arena, ".%s", names[i])};
        request_begin(&glances[i].rq, rq->kind, rq->step, request_traceparent(rq));
        glances[i].rq.deadline_ms = rq->deadline_ms;
    }
    look_from_all(acme, glances, count);
    enum error error = decide(rq, glances, names, count, ret_finding);
    for (size_t i = 0; i < count; i++)
        request_drop(&glances[i].rq);
    return error;
}
