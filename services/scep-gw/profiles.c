/*
 * Profiles: what an operator says about one kind of device. Kept in memory and read anew when the database tells of a change; every request works
 * with the version that it began with.
 */
#include <string.h>

#include "base/text.h"
#include "scep.h"

#define NAME_MAX_LEN 40
#define TEMPLATE_MAX 100
#define TEXT_MAX 200
#define MINUTES_MAX (7 * 24 * 60)
#define CHALLENGES_MAX 100000
#define DAYS_MAX 3650
#define REFRESH_MS 5000

static const char *const authorizations[] = {
    [BY_PASSPHRASE] = "passphrase", [BY_CHALLENGE] = "challenge", [BY_WEBHOOK] = "webhook", [BY_INTUNE] = "intune", [BY_APPROVAL] = "approval",
};
#define AUTHORIZATION_COUNT (sizeof authorizations / sizeof authorizations[0])

static bool
is_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= NAME_MAX_LEN && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static enum error
read_networks(struct request *rq, const char *field, const char *const *texts, size_t count, struct network **ret_networks)
{
    struct network *networks = arena_array(rq->arena, count, sizeof *networks);

    if (count > NETWORKS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "%s: at most %d networks", field, NETWORKS_MAX);
    for (size_t i = 0; i < count; i++)
        if (!network_parse(texts[i], &networks[i]))
            return fail(rq, ERR_BAD_REQUEST, "%s: \"%.60s\" is no network in CIDR notation", field, texts[i]);
    *ret_networks = networks;
    return OK;
}

static enum error
check_texts(struct request *rq, const Pb__ScepProfile *about)
{
    if (!is_name(about->name))
        return fail(rq, ERR_BAD_REQUEST, "name: at most %d of a-z, 0-9 and '-'", NAME_MAX_LEN);
    if (!is_name(about->issuer))
        return fail(rq, ERR_BAD_REQUEST, "issuer: the name of a CA is needed, as signetctl ca list shows it");
    if (text_is_empty(about->template_) || strlen(about->template_) > TEMPLATE_MAX)
        return fail(rq, ERR_BAD_REQUEST, "template: the name of a template is needed, as signetctl template list shows it");
    if (strlen(about->admin_user) > TEXT_MAX || strchr(about->admin_user, ':') != NULL)
        return fail(rq, ERR_BAD_REQUEST, "admin_user: at most %d characters, and no colon", TEXT_MAX);
    return OK;
}

static enum error
check_numbers(struct request *rq, const Pb__ScepProfile *about)
{
    if (about->challenge_minutes > MINUTES_MAX)
        return fail(rq, ERR_BAD_REQUEST, "challenge_minutes: at most %d", MINUTES_MAX);
    if (about->challenges_most > CHALLENGES_MAX)
        return fail(rq, ERR_BAD_REQUEST, "challenges_most: at most %d", CHALLENGES_MAX);
    if (about->intune_revocation_minutes > MINUTES_MAX)
        return fail(rq, ERR_BAD_REQUEST, "intune_revocation_minutes: at most %d", MINUTES_MAX);
    if (about->renewal_window_days > DAYS_MAX || about->renewal_grace_days > DAYS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "renewal_window_days and renewal_grace_days: at most %d", DAYS_MAX);
    return OK;
}

static bool
is_url(const char *text)
{
    return text_starts_with(text, "https://") || text_starts_with(text, "http://");
}

/* Of the services that vouch for devices. */
static enum error
check_outside(struct request *rq, const Pb__ScepProfile *about, enum authorization authorization)
{
    if (!outside_secret_is_named(about->webhook_secret_file) || !outside_secret_is_named(about->intune_secret_file))
        return fail(rq, ERR_BAD_REQUEST,
                    "webhook_secret_file and intune_secret_file: the name of a file in the gateway's SIGNET_SCEP_SECRETS, without a "
                    "directory");
    if (authorization == BY_WEBHOOK && !is_url(about->webhook_url))
        return fail(rq, ERR_BAD_REQUEST, "webhook_url: a URL is needed");
    if (authorization != BY_INTUNE && about->intune_revocation_minutes > 0)
        return fail(rq, ERR_BAD_REQUEST, "intune_revocation_minutes: only for devices that Intune vouches for");
    if (authorization != BY_INTUNE)
        return OK;
    if (text_is_empty(about->intune_tenant) || text_is_empty(about->intune_application) || text_is_empty(about->intune_secret_file))
        return fail(rq, ERR_BAD_REQUEST, "intune_tenant, intune_application and intune_secret_file: all are needed for Intune");
    if (strspn(about->intune_tenant, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") != strlen(about->intune_tenant))
        return fail(rq, ERR_BAD_REQUEST, "intune_tenant: its id or its domain is needed");
    if ((!text_is_empty(about->intune_login_url) && !is_url(about->intune_login_url)) ||
        (!text_is_empty(about->intune_graph_url) && !is_url(about->intune_graph_url)))
        return fail(rq, ERR_BAD_REQUEST, "intune_login_url and intune_graph_url: URLs are needed");
    return OK;
}

enum error
profile_check(struct request *rq, const Pb__ScepProfile *about, struct profile *ret_profile)
{
    struct profile profile = {.about = about, .request_network_count = about->n_request_networks, .admin_network_count = about->n_admin_networks};
    size_t authorization = 0;

    enum error error = check_texts(rq, about);
    if (error == OK)
        error = check_numbers(rq, about);
    if (error != OK)
        return error;
    while (authorization < AUTHORIZATION_COUNT && !text_equal(authorizations[authorization], about->authorization))
        authorization++;
    if (authorization == AUTHORIZATION_COUNT)
        return fail(rq, ERR_BAD_REQUEST, "authorization: one of passphrase, challenge, webhook, intune, approval");
    profile.authorization = (enum authorization)authorization;
    error = check_outside(rq, about, profile.authorization);
    if (error != OK)
        return error;
    profile.ca_only_ra = text_equal(about->ca_certificates, "ra-only");
    if (!profile.ca_only_ra && !text_is_empty(about->ca_certificates) && !text_equal(about->ca_certificates, "ra-set"))
        return fail(rq, ERR_BAD_REQUEST, "ca_certificates: ra-set or ra-only");
    error = read_networks(rq, "request_networks", about->request_networks, about->n_request_networks, &profile.request_networks);
    if (error == OK)
        error = read_networks(rq, "admin_networks", about->admin_networks, about->n_admin_networks, &profile.admin_networks);
    if (error != OK)
        return error;
    *ret_profile = profile;
    return OK;
}

const char *
profile_ra(struct arena *arena, const char *name, const char *incarnation)
{
    return arena_format(arena, "%s%s%s", name, incarnation[0] == '\0' ? "" : ".", incarnation);
}

/* ---- the ones in force ---- */

enum error
profiles_refresh(struct scep *scep, struct request *rq)
{
    AUTO_STRUCT(request, own) = request_new();
    struct profiles *profiles = arena_alloc(own->arena, sizeof *profiles);

    own->deadline_ms = rq->deadline_ms;
    enum error error = store_list_profiles(scep, own, profiles);
    if (error != OK) {
        rq->failure = own->failure;
        return error;
    }
    for (size_t i = 0; i < own->note_count; i++)
        request_note(rq, own->notes[i].key, "%s", own->notes[i].value);
    snapshot_put(scep->profiles, TAKE(own->arena), profiles);
    return OK;
}

void
profiles_changed(struct scep *scep, struct request *rq)
{
    if (profiles_refresh(scep, rq) != OK) {
        request_note(rq, "profiles", "not read again yet: %s", rq->failure.message);
        failure_clear(rq);
    }
}

static void
refresh(void *context, struct request *rq)
{
    /* What went wrong is in rq and is logged by the loop; what is in memory is served on. */
    if (profiles_refresh(context, rq) != OK)
        return;
}

static void
on_notify(void *context, const char *payload)
{
    service_wake(context);
}

static enum error
check_read(void *context, struct request *rq)
{
    const struct scep *scep = context;

    return snapshot_age_ms(scep->profiles) >= 0 ? OK : fail(rq, ERR_UNAVAILABLE, "the profiles have not been read yet");
}

enum error
profiles_follow(struct service *service, struct scep *scep, struct request *rq)
{
    scep->profile_loop = service_every(service, "profiles", REFRESH_MS, refresh, scep);
    service_ready_when(service, "profiles", check_read, scep);
    return db_listen(scep->db, rq, "scep_profile", on_notify, scep->profile_loop);
}

enum error
profiles_hold(struct scep *scep, struct request *rq, const struct profiles **ret_profiles)
{
    const struct profiles *profiles = snapshot_hold(scep->profiles, rq);

    if (profiles == NULL) {
        fail(rq, ERR_UNAVAILABLE, "the profiles have not been read yet");
        return fail_retry_after(rq, 1);
    }
    *ret_profiles = profiles;
    return OK;
}

static enum error
find(struct scep *scep, struct request *rq, const char *name, const struct profile **ret_profile)
{
    const struct profiles *profiles = NULL;

    enum error error = profiles_hold(scep, rq, &profiles);
    if (error != OK)
        return error;
    for (size_t i = 0; i < profiles->count; i++) {
        const struct profile *profile = &profiles->at[i];
        bool is_it = name == NULL ? profile->about->ndes : text_equal(profile->about->name, name);
        if (!is_it || profile->about->disabled)
            continue;
        request_note(rq, "profile", "%s", profile->about->name);
        *ret_profile = profile;
        return OK;
    }
    return refuse(rq, ERR_NOT_FOUND, FAIL_BAD_REQUEST, "profile", "there is no such profile");
}

enum error
profile_find(struct scep *scep, struct request *rq, const char *name, const struct profile **ret_profile)
{
    request_note(rq, "profile", "%.60s", name);
    return find(scep, rq, name, ret_profile);
}

enum error
profile_find_ndes(struct scep *scep, struct request *rq, const struct profile **ret_profile)
{
    return find(scep, rq, NULL, ret_profile);
}
