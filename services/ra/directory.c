/*
 * The CAs and templates that the signer has, as this process last heard them. Read every few seconds, and at once when a request names one
 * that is not known yet. While the signer is away the last good answer stays.
 */
#include "ra.h"

#include "base/clock.h"
#include "base/text.h"

#define DIRECTORY_DEADLINE_MS 5000
#define DIRECTORY_LEAST_AGE_MS 100 /* names that nobody has must not become calls to the signer without end */

static enum error
add_to_chain(struct request *rq, struct issuer *issuer, struct bytes der)
{
    struct certificate certificate;
    enum error error = certificate_parse(rq, der, &certificate);

    if (error)
        return error;
    if (!bytes_equal(certificate.subject, certificate.issuer) && issuer->chain_count < CHAIN_MAX)
        issuer->chain[issuer->chain_count++] = der;
    return OK;
}

static enum error
add_alternate(struct request *rq, struct issuer *issuer, const Pb__CertificateChain *way)
{
    Pb__CertificateChain *chain = arena_alloc(rq->arena, sizeof *chain);
    struct certificate certificate;

    pb__certificate_chain__init(chain);
    chain->certificates = arena_array(rq->arena, way->n_certificates, sizeof *chain->certificates);
    for (size_t i = 0; i < way->n_certificates; i++) {
        enum error error = certificate_parse(rq, message_bytes(way->certificates[i]), &certificate);
        if (error)
            return error;
        if (!bytes_equal(certificate.subject, certificate.issuer))
            chain->certificates[chain->n_certificates++] = way->certificates[i];
    }
    issuer->alternates[issuer->alternate_count++] = chain;
    return OK;
}

static enum error
read_issuer(struct request *rq, const Pb__Ca *ca, struct issuer *ret_issuer)
{
    struct issuer issuer = {.ca = ca};
    struct certificate certificate;
    enum error error = certificate_parse(rq, message_bytes(ca->certificate), &certificate);
    if (error)
        return error;
    issuer.not_before_s = certificate.not_before_s;
    issuer.not_after_s = certificate.not_after_s;
    error = add_to_chain(rq, &issuer, certificate.der);
    for (size_t i = 0; error == OK && i < ca->n_chain; i++)
        error = add_to_chain(rq, &issuer, message_bytes(ca->chain[i]));
    issuer.alternates = arena_array(rq->arena, ca->n_alternates, sizeof *issuer.alternates);
    for (size_t i = 0; error == OK && i < ca->n_alternates; i++)
        error = add_alternate(rq, &issuer, ca->alternates[i]);
    if (error)
        return error;
    *ret_issuer = issuer;
    return OK;
}

static bool
is_above_others(const Pb__ListCasReply *cas, const struct issuer *issuer)
{
    if (!text_is_empty(issuer->ca->parent) || issuer->chain_count > 0) /* a root's chain is empty: roots are left out of it */
        return false;
    for (size_t i = 0; i < cas->n_cas; i++)
        if (text_equal(cas->cas[i]->parent, issuer->ca->name))
            return true;
    return false;
}

static enum error
load(struct ra *ra, struct request *rq, const struct directory **ret_directory)
{
    Pb__ListCasRequest which_cas = PB__LIST_CAS_REQUEST__INIT;
    Pb__ListTemplatesRequest which_templates = PB__LIST_TEMPLATES_REQUEST__INIT;
    const Pb__ListCasReply *cas;
    const Pb__ListTemplatesReply *templates;
    enum error error = RPC_CALL(ra->bus, rq, signer, ListCas, &which_cas, &cas);

    if (!error)
        error = RPC_CALL(ra->bus, rq, signer, ListTemplates, &which_templates, &templates);
    if (error)
        return error;
    struct directory *directory = arena_alloc(rq->arena, sizeof *directory);
    directory->issuers = arena_array(rq->arena, cas->n_cas, sizeof *directory->issuers);
    for (size_t i = 0; i < cas->n_cas; i++) {
        if (cas->cas[i]->certificate.len == 0)
            continue;
        error = read_issuer(rq, cas->cas[i], &directory->issuers[directory->issuer_count]);
        if (error)
            return error;
        struct issuer *issuer = &directory->issuers[directory->issuer_count++];
        issuer->is_above_others = is_above_others(cas, issuer);
    }
    directory->templates = templates->templates;
    directory->template_count = templates->n_templates;
    *ret_directory = directory;
    return OK;
}

enum error
directory_refresh(struct ra *ra, struct request *rq)
{
    AUTO_STRUCT(request, own) = request_new(); /* its arena becomes the snapshot's */
    const struct directory *directory;

    own->deadline_ms = clock_monotonic_ms() + request_time_left_ms(rq, DIRECTORY_DEADLINE_MS);
    uint64_t begun = snapshot_begin(ra->directory); /* several at once: the loop, a new CA, names that are not known */
    enum error error = load(ra, own, &directory);
    if (error) {
        rq->failure = own->failure;
        return error;
    }
    snapshot_put_begun(ra->directory, begun, TAKE(own->arena), directory);
    return OK;
}

static void
turn(void *context, struct request *rq)
{
    if (directory_refresh(context, rq) != OK)
        request_note(rq, "directory", "not refreshed; the last one stays in force");
}

void
directory_follow(struct ra *ra)
{
    service_every(ra->service, "ra.directory", ra->config.refresh_s * 1000, turn, ra);
}

static const Pb__Template *
template_in(const struct directory *directory, const char *name)
{
    for (size_t i = 0; directory != NULL && i < directory->template_count; i++) {
        if (text_equal(directory->templates[i]->name, name))
            return directory->templates[i];
    }
    return NULL;
}

static const struct issuer *
issuer_in(const struct directory *directory, const char *name)
{
    for (size_t i = 0; directory != NULL && i < directory->issuer_count; i++) {
        const Pb__Ca *ca = directory->issuers[i].ca;
        if (text_is_empty(name) ? ca->is_default : text_equal(ca->name, name))
            return &directory->issuers[i];
    }
    return NULL;
}

static enum error
refresh_if_old(struct ra *ra, struct request *rq)
{
    int64_t age_ms = snapshot_age_ms(ra->directory);

    return age_ms >= 0 && age_ms < DIRECTORY_LEAST_AGE_MS ? OK : directory_refresh(ra, rq);
}

enum error
directory_find_template(struct ra *ra, struct request *rq, const char *name, const Pb__Template **ret_template)
{
    const Pb__Template *template = template_in(snapshot_hold(ra->directory, rq), name);

    if (template == NULL) {
        enum error error = refresh_if_old(ra, rq);
        if (error)
            return error;
        template = template_in(snapshot_hold(ra->directory, rq), name);
    }
    if (template == NULL)
        return fail(rq, ERR_NOT_FOUND, "no certificate template is named %s", name);
    *ret_template = template;
    return OK;
}

enum error
directory_find_issuer(struct ra *ra, struct request *rq, const char *name, const struct issuer **ret_issuer)
{
    const struct issuer *issuer = issuer_in(snapshot_hold(ra->directory, rq), name);

    if (issuer == NULL) {
        enum error error = refresh_if_old(ra, rq);
        if (error)
            return error;
        issuer = issuer_in(snapshot_hold(ra->directory, rq), name);
    }
    if (issuer == NULL && text_is_empty(name))
        return fail(rq, ERR_NOT_FOUND, "there is no default issuing CA; make one with signetctl ca create");
    if (issuer == NULL)
        return fail(rq, ERR_NOT_FOUND, "no CA is named %s", name);
    *ret_issuer = issuer;
    return OK;
}
