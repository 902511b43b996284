/*
 * Names: which devices may come (by the names in their certificate), and what a CSR may ask to be called. Both are patterns of the profile; in a
 * pattern for CSRs {cn}, {name} and {user} stand for the common name of the client certificate, for each of its names, and for who logged in. Beyond
 * this ra's layers judge, as for every protocol.
 */
#include "est.h"

#include <assert.h>
#include <string.h>

#include "pki/name.h"
#include "pki/oid.h"

#define CANDIDATES_MAX (IDENTIFIERS_MAX + NAME_ATTRIBUTES_MAX)

/* Texts by which somebody is known. */
struct texts {
    const char *at[CANDIDATES_MAX];
    size_t count;
};

static void
add(struct texts *texts, const char *text)
{
    assert(texts->count < CANDIDATES_MAX); /* name.h and identifier.h bound them both */
    texts->at[texts->count++] = text;
}

static void
add_common_names(struct arena *arena, struct bytes subject, struct texts *texts)
{
    size_t count;
    char **values = name_values(arena, subject, OID_COMMON_NAME, &count);

    for (size_t i = 0; i < count; i++)
        add(texts, values[i]);
}

/* Other forms of names (a directoryName) are no texts: the certificate is then judged by its common names. */
static void
add_certificate_names(struct request *rq, const struct certificate *certificate, struct texts *texts)
{
    struct identifier *names;
    size_t count;

    if (certificate_names(rq, certificate, &names, &count) != OK) {
        failure_clear(rq);
        return;
    }
    for (size_t i = 0; i < count; i++)
        add(texts, names[i].value);
}

static bool
any_matches(char *const *patterns, size_t pattern_count, const struct texts *texts)
{
    for (size_t p = 0; p < pattern_count; p++)
        for (size_t i = 0; i < texts->count; i++)
            if (text_matches(patterns[p], texts->at[i]))
                return true;
    return false;
}

enum error
names_check_device(struct request *rq, const struct profile *profile, const struct certificate *certificate)
{
    const Pb__EstProfile *settings = profile->settings;
    struct texts texts = {.count = 0};

    if (settings->n_devices == 0)
        return OK;
    add_common_names(rq->arena, certificate->subject, &texts);
    add_certificate_names(rq, certificate, &texts);
    if (any_matches((char *const *)settings->devices, settings->n_devices, &texts))
        return OK;
    return refuse(rq, ERR_DENIED, "devices", "the device %s is not one of those that may enrol through this profile",
                  name_format(rq->arena, certificate->subject));
}

/* ---- CSRs ---- */

/* A value with a star in it would become a pattern by being put into one. */
static bool
matches_with(struct arena *arena, const char *pattern, const char *place, const struct texts *values, const char *name)
{
    const char *at = strstr(pattern, place);

    for (size_t i = 0; i < values->count; i++) {
        if (strchr(values->at[i], '*') != NULL)
            continue;
        const char *filled = arena_format(arena, "%.*s%s%s", (int)(at - pattern), pattern, values->at[i], at + strlen(place));
        if (text_matches(filled, name))
            return true;
    }
    return false;
}

struct asker {
    struct texts common_names, names, user;
};

static bool
name_fits(struct arena *arena, const char *pattern, const struct asker *asker, const char *name)
{
    if (strstr(pattern, "{cn}") != NULL)
        return matches_with(arena, pattern, "{cn}", &asker->common_names, name);
    if (strstr(pattern, "{name}") != NULL)
        return matches_with(arena, pattern, "{name}", &asker->names, name);
    if (strstr(pattern, "{user}") != NULL)
        return matches_with(arena, pattern, "{user}", &asker->user, name);
    return text_matches(pattern, name);
}

static void
know(struct request *rq, const struct client *client, struct asker *asker)
{
    if (client->certificate != NULL) {
        add_common_names(rq->arena, client->certificate->subject, &asker->common_names);
        asker->names = asker->common_names;
        add_certificate_names(rq, client->certificate, &asker->names);
    }
    if (client->user[0] != '\0')
        add(&asker->user, client->user);
}

enum error
names_check_csr(struct request *rq, const struct profile *profile, const struct client *client, const struct csr *csr)
{
    const Pb__EstProfile *settings = profile->settings;
    struct asker *asker = arena_alloc(rq->arena, sizeof *asker);
    struct texts *asked = arena_alloc(rq->arena, sizeof *asked);

    if (settings->n_names == 0)
        return OK;
    know(rq, client, asker);
    /* Common names of every kind, those that look like no host name too: to other machines they are names. */
    add_common_names(rq->arena, csr->subject, asked);
    for (size_t i = 0; i < csr->name_count; i++)
        add(asked, csr->names[i].value);
    for (size_t i = 0; i < asked->count; i++) {
        size_t p = 0;
        while (p < settings->n_names && !name_fits(rq->arena, settings->names[p], asker, asked->at[i]))
            p++;
        if (p == settings->n_names)
            return refuse(rq, ERR_DENIED, "names", "the name %s is not one that this profile allows to whoever asks", asked->at[i]);
    }
    return OK;
}

enum error
certificate_all_names(struct request *rq, const struct certificate *certificate, struct identifier **ret_names, size_t *ret_count)
{
    struct csr like = {.subject = certificate->subject};
    enum error error = certificate_names(rq, certificate, &like.names, &like.name_count);

    return error ? error : csr_all_names(rq, &like, ret_names, ret_count);
}
