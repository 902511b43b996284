/*
 * The profiles, kept in memory: read at start, after every NOTIFY on est_profile, and on a slow timer in case one was lost. Requests hold a snapshot.
 */
#include "est.h"

#include <string.h>

#include "base/clock.h"
#include "pki/oid.h"
#include "pki/pem.h"

#define RELOAD_PAUSE_MS 30000
#define RELOAD_DEADLINE_MS 10000
#define VALIDITY_DAYS_MAX 36500
#define RETRY_AFTER_MAX_S 86400

static const char *const authentication_names[] = {
    [PB__EST_AUTHENTICATION__EST_AUTHENTICATION_UNSPECIFIED] = "", [PB__EST_AUTHENTICATION__EST_AUTHENTICATION_CERTIFICATE] = "certificate",
    [PB__EST_AUTHENTICATION__EST_AUTHENTICATION_BASIC] = "basic",  [PB__EST_AUTHENTICATION__EST_AUTHENTICATION_EITHER] = "either",
    [PB__EST_AUTHENTICATION__EST_AUTHENTICATION_BOTH] = "both",
};
#define AUTHENTICATION_COUNT (sizeof authentication_names / sizeof authentication_names[0])

static const char *const client_revocation_names[] = {
    [PB__EST_CLIENT_REVOCATION__EST_CLIENT_REVOCATION_UNSPECIFIED] = "when-known",
    [PB__EST_CLIENT_REVOCATION__EST_CLIENT_REVOCATION_NONE] = "none",
    [PB__EST_CLIENT_REVOCATION__EST_CLIENT_REVOCATION_WHEN_KNOWN] = "when-known",
    [PB__EST_CLIENT_REVOCATION__EST_CLIENT_REVOCATION_REQUIRED] = "required",
};
#define CLIENT_REVOCATION_COUNT (sizeof client_revocation_names / sizeof client_revocation_names[0])

/* 0, which is UNSPECIFIED: no value has this name. */
static size_t
place_of(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 1; i < count; i++)
        if (text_equal(names[i], name))
            return i;
    return 0;
}

const char *
authentication_name(Pb__EstAuthentication authentication)
{
    return authentication_names[authentication];
}

Pb__EstAuthentication
authentication_of(const char *name)
{
    return (Pb__EstAuthentication)place_of(authentication_names, AUTHENTICATION_COUNT, name);
}

const char *
client_revocation_name(Pb__EstClientRevocation revocation)
{
    return client_revocation_names[revocation];
}

Pb__EstClientRevocation
client_revocation_of(const char *name)
{
    return (Pb__EstClientRevocation)place_of(client_revocation_names, CLIENT_REVOCATION_COUNT, name);
}

/* ---- what operators write ---- */

static bool
name_is_label(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= PROFILE_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && name[0] != '-' &&
           name[len - 1] != '-';
}

static enum error
check_key_type(struct request *rq, const char *field, const char *type)
{
    static const char *const types[] = {"", "rsa-2048", "rsa-3072", "rsa-4096", "p256", "p384", "p521", "ed25519"};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (text_equal(types[i], type))
            return OK;
    return fail(rq, ERR_BAD_REQUEST, "%s: one of rsa-2048, rsa-3072, rsa-4096, p256, p384, p521, ed25519", field);
}

static enum error
check_patterns(struct request *rq, const char *field, char *const *patterns, size_t count)
{
    if (count > PATTERNS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "%s: more than %d patterns", field, PATTERNS_MAX);
    for (size_t i = 0; i < count; i++)
        if (patterns[i][0] == '\0' || strlen(patterns[i]) > PATTERN_MAX)
            return fail(rq, ERR_BAD_REQUEST, "%s: pattern %zu is empty or longer than %d octets", field, i + 1, PATTERN_MAX);
    return OK;
}

/* The names of URLs and of the operations below one another must not be confused. */
static bool
name_is_operation(const char *name)
{
    static const char *const operations[] = {"cacerts", "simpleenroll", "simplereenroll", "fullcmc", "serverkeygen", "csrattrs"};

    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (text_equal(operations[i], name))
            return true;
    return false;
}

static enum error
check_anchors(struct request *rq, const char *pem)
{
    struct bytes *anchors;
    size_t count;

    if (strlen(pem) > ANCHORS_PEM_MAX)
        return fail(rq, ERR_BAD_REQUEST, "anchors: longer than %d octets", ANCHORS_PEM_MAX);
    enum error error = pem_all(rq, pem, "CERTIFICATE", ANCHORS_MAX, &anchors, &count);
    if (!error && count == 0 && pem[0] != '\0')
        return fail(rq, ERR_BAD_REQUEST, "anchors: there is no PEM certificate in it");
    for (size_t i = 0; error == OK && i < count; i++) {
        X509 *anchor = x509_read(anchors[i]);
        if (anchor == NULL)
            error = fail(rq, ERR_BAD_REQUEST, "anchors: PEM block %zu is no certificate", i + 1);
        X509_free(anchor);
    }
    return error;
}

static enum error
check_numbers(struct request *rq, const Pb__EstProfile *settings)
{
    if (settings->validity_days > VALIDITY_DAYS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "validity_days: more than %d", VALIDITY_DAYS_MAX);
    if (settings->retry_after_s > RETRY_AFTER_MAX_S)
        return fail(rq, ERR_BAD_REQUEST, "retry_after_s: more than %d", RETRY_AFTER_MAX_S);
    if (settings->authentication <= PB__EST_AUTHENTICATION__EST_AUTHENTICATION_UNSPECIFIED || settings->authentication >= AUTHENTICATION_COUNT)
        return fail(rq, ERR_BAD_REQUEST, "authentication: one of certificate, basic, either, both");
    if ((size_t)settings->client_revocation >= CLIENT_REVOCATION_COUNT)
        return fail(rq, ERR_BAD_REQUEST, "client_revocation: one of none, when-known, required");
    return OK;
}

enum error
profile_check(struct request *rq, const Pb__EstProfile *settings)
{
    struct bytes attributes;

    if (!name_is_label(settings->name) || name_is_operation(settings->name))
        return fail(rq, ERR_BAD_REQUEST,
                    "the name of an EST profile is a label in its URL: at most %d lower-case letters, digits and inner hyphens, and no "
                    "operation of EST",
                    PROFILE_NAME_MAX);
    if (settings->template_[0] == '\0')
        return fail(rq, ERR_BAD_REQUEST, "template: the name of a template is needed, as signetctl template list shows it");
    enum error error = check_numbers(rq, settings);
    if (!error)
        error = check_anchors(rq, settings->anchors);
    if (!error)
        error = check_patterns(rq, "devices", (char *const *)settings->devices, settings->n_devices);
    if (!error)
        error = check_patterns(rq, "names", (char *const *)settings->names, settings->n_names);
    if (error)
        return error;
    error = check_key_type(rq, "server_key_type", settings->server_key_type);
    if (!error)
        error = check_key_type(rq, "csr_key_type", settings->csr_key_type);
    if (error)
        return error;
    if (settings->approval && settings->server_key_type[0] != '\0')
        return fail(rq, ERR_BAD_REQUEST,
                    "approval and server_key_type: keys that are made here are never stored, so nobody can wait for an approval of one");
    return csr_attributes_encode(rq, settings, &attributes);
}

/* ---- what is in force ---- */

static void
free_store(void *store)
{
    X509_STORE_free(store);
}

/* They were checked when they were written; what this build cannot read any more is left out, and such devices are refused. */
static void
read_anchors(struct request *rq, struct profile *profile)
{
    struct bytes *anchors;
    size_t count;

    if (pem_all(rq, profile->settings->anchors, "CERTIFICATE", ANCHORS_MAX, &anchors, &count) != OK) {
        failure_clear(rq);
        return;
    }
    profile->anchors = anchors;
    profile->anchor_count = count;
    profile->store = X509_STORE_new();
    if (profile->store == NULL)
        abort();
    arena_defer(rq->arena, free_store, profile->store);
    X509_STORE_set_flags(profile->store, X509_V_FLAG_PARTIAL_CHAIN);
    for (size_t i = 0; i < count; i++) {
        X509 *anchor = x509_read(anchors[i]);
        if (anchor != NULL)
            (void)X509_STORE_add_cert(profile->store, anchor);
        X509_free(anchor);
    }
}

enum error
profiles_reload(struct est *est, struct request *rq)
{
    AUTO_STRUCT(request, own) = request_new(); /* its arena becomes the snapshot's */
    Pb__EstProfile **settings;
    const char **incarnations;
    size_t count;

    own->deadline_ms = clock_monotonic_ms() + RELOAD_DEADLINE_MS;
    enum error error = store_load_profiles(est->db, own, &settings, &incarnations, &count);
    if (error) {
        rq->failure = own->failure;
        return error;
    }
    struct profiles *profiles = arena_alloc(own->arena, sizeof *profiles);
    profiles->count = count;
    profiles->list = arena_array(own->arena, count, sizeof *profiles->list);
    for (size_t i = 0; i < count; i++) {
        profiles->list[i].settings = settings[i];
        profiles->list[i].incarnation = incarnations[i];
        read_anchors(own, &profiles->list[i]);
    }
    snapshot_put(est->profiles, TAKE(own->arena), profiles);
    error = client_crls_reload(est, rq);
    return error ? error : trust_apply(est, rq);
}

/* What is stored is stored: when something is away now, the next look finds it. */
void
profiles_changed(struct est *est, struct request *rq)
{
    if (profiles_reload(est, rq) != OK) {
        request_note(rq, "profiles", "not reloaded yet: %s", rq->failure.message);
        failure_clear(rq);
    }
}

static void
turn(void *context, struct request *rq)
{
    if (profiles_reload(context, rq) != OK)
        request_note(rq, "profiles", "not reloaded; the last ones stay in force");
}

static void
heard_of_change(void *context, const char *payload)
{
    struct est *est = context;

    (void)payload;
    service_wake(est->profiles_loop);
}

enum error
profiles_follow(struct est *est, struct request *rq)
{
    est->profiles_loop = service_every(est->service, "est.profiles", RELOAD_PAUSE_MS, turn, est);
    return db_listen(est->db, rq, "est_profile", heard_of_change, est);
}

enum error
profiles_ready(void *context, struct request *rq)
{
    struct est *est = context;

    return snapshot_age_ms(est->profiles) >= 0 && snapshot_age_ms(est->client_crls) >= 0 ? OK : profiles_reload(est, rq);
}

enum error
profile_find(struct est *est, struct http_exchange *x, const struct profile **ret_profile)
{
    struct request *rq = &x->rq;
    const char *label = x->params[0] == NULL ? EST_DEFAULT_PROFILE : x->params[0];
    const struct profiles *profiles = snapshot_hold(est->profiles, rq);

    request_note(rq, "profile", "%.60s", label);
    if (profiles == NULL) {
        (void)fail(rq, ERR_UNAVAILABLE, "the profiles have not been read yet");
        return fail_retry_after(rq, 5);
    }
    for (size_t i = 0; i < profiles->count; i++) {
        const struct profile *profile = &profiles->list[i];
        if (!text_equal(profile->settings->name, label))
            continue;
        if (profile->settings->disabled)
            return refuse(rq, ERR_DENIED, "profile", "this EST profile is disabled");
        *ret_profile = profile;
        return OK;
    }
    return refuse(rq, ERR_NOT_FOUND, "profile", "there is no EST profile at this path");
}

const char *
profile_channel(struct arena *arena, const struct profile *profile)
{
    return arena_format(arena, "est/%s", profile->settings->name);
}
