/*
 * A request for a certificate, read and resolved: the first step of enroll.c and explain.c. The CSR is parsed once; everything later works on
 * struct application. Nothing here decides who may have what.
 */
#include "ra.h"

#include <string.h>

#include <openssl/sha.h>

#include "base/clock.h"
#include "base/text.h"
#include "pki/name.h"
#include "pki/oid.h"

#define COMMON_NAME_MAX 64 /* RFC 5280 appendix A.1: ub-common-name */
#define SECONDS_A_DAY 86400

/* Accepted as times: until the end of the year 9999. */
#define TIME_MAX_S INT64_C(253402300799)

enum error
check_text_bounds(struct request *rq, const struct text_bound *bounds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strnlen(bounds[i].text, bounds[i].most + 1);
        if (len < bounds[i].least)
            return fail(rq, ERR_BAD_REQUEST, "%s is missing", bounds[i].what);
        if (len > bounds[i].most)
            return fail(rq, ERR_TOO_LARGE, "%s is longer than %zu octets", bounds[i].what, bounds[i].most);
    }
    return OK;
}

static enum error
check_texts(struct request *rq, const Pb__EnrollRequest *request)
{
    const struct text_bound bounds[] = {
        {"channel", request->channel, 1, CHANNEL_MAX},
        {"idempotency_key", request->idempotency_key, 1, IDEMPOTENCY_KEY_MAX},
        {"template", request->template_, 1, TEMPLATE_NAME_MAX},
        {"principal.kind", request->principal->kind, 1, PRINCIPAL_KIND_MAX},
        {"principal.id", request->principal->id, 1, PRINCIPAL_ID_MAX},
        {"owner", request->owner, 0, OWNER_MAX},
        {"issuer", request->issuer, 0, ISSUER_NAME_MAX},
        {"client_address", request->client_address, 0, CLIENT_ADDRESS_MAX},
        {"asset", request->asset, 0, ASSET_MAX},
        {"attested", request->attested, 0, ATTESTED_MAX},
    };

    enum error error = check_text_bounds(rq, bounds, sizeof bounds / sizeof bounds[0]);
    if (error || request->on_behalf_of == NULL)
        return error;
    const struct text_bound sponsor[] = {
        {"on_behalf_of.kind", request->on_behalf_of->kind, 1, PRINCIPAL_KIND_MAX},
        {"on_behalf_of.id", request->on_behalf_of->id, 1, PRINCIPAL_ID_MAX},
    };
    return check_text_bounds(rq, sponsor, sizeof sponsor / sizeof sponsor[0]);
}

static bool
is_proven(const Pb__EnrollRequest *request, const char *name)
{
    for (size_t i = 0; i < request->n_proven_names; i++)
        if (text_equal(request->proven_names[i]->value, name))
            return true;
    return false;
}

/* What goes into the audit record as approved beforehand is among the names that are certified. */
static enum error
check_preapproved(struct request *rq, const Pb__EnrollRequest *request)
{
    if (request->n_preapproved > IDENTIFIERS_MAX)
        return fail(rq, ERR_TOO_LARGE, "more than %d names are approved beforehand", IDENTIFIERS_MAX);
    for (size_t i = 0; i < request->n_preapproved; i++)
        if (!is_proven(request, request->preapproved[i]))
            return fail(rq, ERR_BAD_REQUEST, "preapproved: %.100s is not among the proven names", request->preapproved[i]);
    return OK;
}

enum error
application_check(struct request *rq, const Pb__EnrollRequest *request)
{
    if (request->principal == NULL)
        return fail(rq, ERR_BAD_REQUEST, "principal is missing");
    enum error error = check_texts(rq, request);
    if (error)
        return error;
    if (request->csr.len == 0)
        return fail(rq, ERR_BAD_REQUEST, "csr is missing");
    if (request->csr.len > CSR_MAX)
        return fail(rq, ERR_TOO_LARGE, "the certification request is longer than %d octets", CSR_MAX);
    if (request->sha1_proof && !text_starts_with(request->channel, "scep/"))
        return fail(rq, ERR_BAD_REQUEST, "sha1_proof: only devices that speak SCEP may sign their requests with SHA-1");
    if (request->n_proven_names > IDENTIFIERS_MAX)
        return fail(rq, ERR_TOO_LARGE, "more than %d names", IDENTIFIERS_MAX);
    if (request->names_are_proven != (request->n_proven_names > 0))
        return fail(rq, ERR_BAD_REQUEST, "names_are_proven and proven_names contradict each other");
    for (size_t i = 0; i < request->n_proven_names; i++) {
        if (request->proven_names[i]->type <= PB__NAME_TYPE__NAME_TYPE_UNSPECIFIED ||
            request->proven_names[i]->type > PB__NAME_TYPE__NAME_TYPE_HARDWARE_MODULE)
            return fail(rq, ERR_BAD_REQUEST, "proven_names: type %d is not known", (int)request->proven_names[i]->type);
    }
    if (request->not_before_s < 0 || request->not_before_s > TIME_MAX_S || request->not_after_s < 0 || request->not_after_s > TIME_MAX_S)
        return fail(rq, ERR_BAD_REQUEST, "not_before_s or not_after_s is no time");
    return check_preapproved(rq, request);
}

static bool
is_asked(const struct application *application, const struct identifier *name)
{
    for (size_t i = 0; i < application->asked_count; i++)
        if (identifier_equal(&application->asked[i], name))
            return true;
    return false;
}

/* draft-ietf-acme-device-attest §3.2, §4.2: a CSR may leave out the device that was attested; Apple's devices cannot write it there. */
static void
add_unnamed_devices(struct request *rq, const struct identifier *proven, size_t count, struct application *application)
{
    struct identifier *asked = arena_array(rq->arena, application->asked_count + count, sizeof *asked);

    if (application->asked_count > 0)
        memcpy(asked, application->asked, application->asked_count * sizeof *asked);
    application->asked = asked;
    for (size_t i = 0; i < count; i++) {
        if (!identifier_is_device(proven[i].type) || is_asked(application, &proven[i]))
            continue;
        asked[application->asked_count++] = proven[i];
        application->unnamed_count++;
    }
}

/* RFC 8555 §7.4, and the rule of every channel that proves names: the CSR names exactly what was proven. */
static enum error
check_proven_names(struct request *rq, const Pb__EnrollRequest *request, struct application *application)
{
    struct identifier *proven = arena_array(rq->arena, request->n_proven_names, sizeof *proven);

    for (size_t i = 0; i < request->n_proven_names; i++) {
        const Pb__Name *name = request->proven_names[i];
        enum error error = identifier_parse(rq, (enum identifier_type)name->type, name->value, &proven[i]);
        if (error)
            return error;
    }
    add_unnamed_devices(rq, proven, request->n_proven_names, application);
    if (!identifiers_equal(application->asked, application->asked_count, proven, request->n_proven_names))
        return fail(rq, ERR_BAD_CSR, "the certification request does not name exactly what was proven");
    return OK;
}

static enum error
read_csr(struct request *rq, const Pb__EnrollRequest *request, struct application *application)
{
    struct bytes der = message_bytes(request->csr);
    enum error error = request->sha1_proof ? csr_parse_legacy(rq, der, &application->csr) : csr_parse(rq, der, &application->csr);

    if (!error && !request->proof_is_checked)
        error = csr_verify(rq, &application->csr);
    if (error)
        return error;
    if (request->change_names) {
        bool changed;
        error = csr_change_names(rq, &application->csr, &changed);
        if (error)
            return error;
    }
    error = csr_check_wishes(rq, &application->csr);
    if (error)
        return error;
    application->san_count = application->csr.name_count;
    error = csr_all_names(rq, &application->csr, &application->asked, &application->asked_count);
    if (error || !request->names_are_proven)
        return error;
    return check_proven_names(rq, request, application);
}

/* The CSR's own common name when it is among the certified names, else the first DNS name that fits, else none. */
static const char *
choose_common_name(struct request *rq, const struct application *application)
{
    const char *asked = name_common_name(rq->arena, application->csr.subject);

    for (size_t i = 0; asked != NULL && i < application->name_count; i++) {
        if (text_equal_nocase(asked, application->names[i].value) && strlen(asked) <= COMMON_NAME_MAX)
            return application->names[i].value;
    }
    for (size_t i = 0; i < application->name_count; i++) {
        if (application->names[i].type == IDENTIFIER_DNS && strlen(application->names[i].value) <= COMMON_NAME_MAX)
            return application->names[i].value;
    }
    return NULL;
}

/* RFC 5280 §4.1.2.6: mail addresses belong into subjectAltName. One in the subject alone would be certified without that any layer judged it. */
static enum error
check_subject(struct request *rq, const struct application *application)
{
    size_t count;
    char **addresses = name_values(rq->arena, application->subject, OID_EMAIL_ADDRESS, &count);

    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        struct identifier address;
        if (identifier_read(rq->arena, IDENTIFIER_EMAIL, addresses[i], &address) != NULL)
            return fail(rq, ERR_BAD_CSR, "the subject's emailAddress is no mail address");
        while (k < application->asked_count && !identifier_equal(&application->asked[k], &address))
            k++;
        if (k == application->asked_count)
            return fail(rq, ERR_BAD_CSR, "the subject's emailAddress %s is not among the subject alternative names", address.value);
    }
    return name_check(rq, application->subject);
}

/* A channel that proves names proves no organisation, no country and no person: then the subject is a proven name, whatever the CSR asks. */
static enum error
resolve_subject(struct request *rq, struct application *application)
{
    const char *rule = application->template->subject;

    if (text_equal(rule, "csr") && !application->request->names_are_proven) {
        application->subject = name_respell(rq->arena, application->csr.subject);
        return check_subject(rq, application);
    }
    if (text_equal(rule, "none")) {
        application->subject = name_encode(rq->arena, NULL, 0);
        return OK;
    }
    if (!text_equal(rule, "csr") && !text_equal(rule, "common-name"))
        return fail(rq, ERR_INTERNAL, "template %s has an unknown rule for subjects", application->template->name);
    struct name_part common_name = {.type = OID_COMMON_NAME, .value = choose_common_name(rq, application)};
    application->subject = name_encode(rq->arena, &common_name, 1);
    return OK;
}

/* What is not asked follows the template and ends no later than the issuer; what is asked is kept, so that the layers can refuse it. */
static void
resolve_validity(struct application *application)
{
    const Pb__EnrollRequest *request = application->request;
    const struct issuer *issuer = application->issuer;
    int64_t backdate_s = application->template->backdate_s;

    application->now_s = clock_now_s();
    application->not_before_s = request->not_before_s != 0 ? request->not_before_s : application->now_s - backdate_s;
    if (request->not_before_s == 0 && application->not_before_s < issuer->not_before_s)
        application->not_before_s = issuer->not_before_s;
    int64_t latest_s = application->not_before_s + (int64_t)application->template->validity_days * SECONDS_A_DAY - 1;
    application->not_after_s = request->not_after_s != 0 ? request->not_after_s : latest_s;
    if (application->not_after_s > latest_s && application->not_after_s <= latest_s + backdate_s + VALIDITY_LEEWAY_S)
        application->not_after_s = latest_s;
    if (request->not_after_s == 0 && application->not_after_s > issuer->not_after_s)
        application->not_after_s = issuer->not_after_s;
}

void
application_digest(struct request *rq, const Pb__EnrollRequest *request, uint8_t ret_sha256[32])
{
    struct buffer all = buffer_in(rq->arena);

    buffer_append(&all, request->principal->kind, strlen(request->principal->kind) + 1);
    buffer_append(&all, request->principal->id, strlen(request->principal->id) + 1);
    buffer_append(&all, request->csr.data, request->csr.len);
    SHA256(all.at, all.len, ret_sha256);
}

static enum error
resolve_issuer(struct ra *ra, struct request *rq, struct application *application)
{
    const char *asked = application->request->issuer;
    enum error error = directory_find_issuer(ra, rq, !text_is_empty(asked) ? asked : application->template->issuer, &application->issuer);

    if (error)
        return error;
    if (!text_equal(application->issuer->ca->status, "active"))
        return fail(rq, ERR_NOT_FOUND, "the CA %s issues no certificates: it is %s", application->issuer->ca->name, application->issuer->ca->status);
    return OK;
}

static bool
template_has(const Pb__Template *template, enum identifier_type type)
{
    for (size_t i = 0; i < template->n_name_types; i++)
        if ((int)template->name_types[i] == (int)type)
            return true;
    return false;
}

/* Whether certificates tell of devices that their CSR leaves out, is the template's choice. */
static void
resolve_names(struct request *rq, struct application *application)
{
    size_t named = application->asked_count - application->unnamed_count;

    if (application->template->n_name_types == 0)
        return;
    application->names = arena_array(rq->arena, application->asked_count, sizeof *application->names);
    for (size_t i = 0; i < application->asked_count; i++)
        if (i < named || template_has(application->template, application->asked[i].type))
            application->names[application->name_count++] = application->asked[i];
}

enum error
application_read(struct ra *ra, struct request *rq, const Pb__EnrollRequest *request, struct application *ret_application)
{
    struct application application = {.request = request, .principal_kind = request->principal->kind, .principal_id = request->principal->id};
    enum error error = read_csr(rq, request, &application);

    if (request->on_behalf_of != NULL) {
        application.sponsor_kind = request->on_behalf_of->kind;
        application.sponsor_id = request->on_behalf_of->id;
    }
    application.owner = !text_is_empty(request->owner) ? request->owner : request->principal->id;
    if (!error)
        error = directory_find_template(ra, rq, request->template_, &application.template);
    if (!error)
        error = resolve_issuer(ra, rq, &application);
    if (error)
        return error;
    resolve_names(rq, &application);
    resolve_validity(&application);
    application_digest(rq, request, application.request_sha256);
    public_key_sha256(&application.csr.key, application.key_sha256);
    error = resolve_subject(rq, &application);
    if (error)
        return error;
    *ret_application = application;
    return OK;
}
