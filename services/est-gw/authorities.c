/*
 * The CAs and templates that the signer has, as this process last heard them: for cacerts, and for the names of our own CAs in TLS. Read every few
 * seconds; while the signer is away the last good answer stays.
 */
#include "est.h"

#include "base/clock.h"

#define DEADLINE_MS 5000

static enum error
load(struct est *est, struct request *rq, const struct authorities **ret_authorities)
{
    Pb__ListCasRequest which_cas = PB__LIST_CAS_REQUEST__INIT;
    Pb__ListTemplatesRequest which_templates = PB__LIST_TEMPLATES_REQUEST__INIT;
    struct authorities *authorities = arena_alloc(rq->arena, sizeof *authorities);
    enum error error = RPC_CALL(est->bus, rq, signer, ListCas, &which_cas, &authorities->cas);

    if (!error)
        error = RPC_CALL(est->bus, rq, signer, ListTemplates, &which_templates, &authorities->templates);
    if (!error)
        *ret_authorities = authorities;
    return error;
}

static enum error
refresh(struct est *est, struct request *rq)
{
    AUTO_STRUCT(request, own) = request_new(); /* its arena becomes the snapshot's */
    const struct authorities *authorities;

    own->deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    enum error error = load(est, own, &authorities);
    if (error) {
        rq->failure = own->failure;
        return error;
    }
    snapshot_put(est->authorities, TAKE(own->arena), authorities);
    return trust_apply(est, rq);
}

static void
turn(void *context, struct request *rq)
{
    if (refresh(context, rq) != OK)
        request_note(rq, "authorities", "not refreshed; the last ones stay in force");
}

void
authorities_follow(struct est *est)
{
    service_every(est->service, "est.authorities", est->config.refresh_s * 1000, turn, est);
}

enum error
authorities_ready(void *context, struct request *rq)
{
    struct est *est = context;

    return snapshot_age_ms(est->authorities) >= 0 ? OK : refresh(est, rq);
}

enum error
authorities_hold(struct est *est, struct request *rq, const struct authorities **ret_authorities)
{
    const struct authorities *authorities = snapshot_hold(est->authorities, rq);

    if (authorities == NULL) {
        enum error error = refresh(est, rq);
        if (error)
            return error;
        authorities = snapshot_hold(est->authorities, rq);
    }
    *ret_authorities = authorities;
    return OK;
}

/* As ra chooses: the profile's CA, else the template's, else the default one. */
enum error
authorities_issuer(struct est *est, struct request *rq, const struct profile *profile, const Pb__Ca **ret_ca)
{
    const struct authorities *authorities;
    const char *name = profile->settings->issuer;
    enum error error = authorities_hold(est, rq, &authorities);

    if (error)
        return error;
    for (size_t i = 0; text_is_empty(name) && i < authorities->templates->n_templates; i++)
        if (text_equal(authorities->templates->templates[i]->name, profile->settings->template_))
            name = authorities->templates->templates[i]->issuer;
    for (size_t i = 0; i < authorities->cas->n_cas; i++) {
        const Pb__Ca *ca = authorities->cas->cas[i];
        if (ca->certificate.len > 0 && (text_is_empty(name) ? ca->is_default : text_equal(ca->name, name))) {
            *ret_ca = ca;
            return OK;
        }
    }
    (void)refuse(rq, ERR_NOT_FOUND, "configuration", "there is no CA that issues for this profile");
    return fail_reason(rq, "configuration");
}
