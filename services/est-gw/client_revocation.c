/*
 * What the CRLs of makers say of those who come. They are kept in memory, sorted, and read again when others are stored; authenticate.c asks at every
 * request. A certificate that a CRL of its issuer lists is refused, even when the CRL has ended: nobody takes a revocation back by being silent.
 */
#include "est.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "link/metrics.h"
#include "pki/name.h"

#define RELOAD_DEADLINE_MS 10000
#define RULE_REVOKED "client certificate revoked"
#define RULE_UNKNOWN "client revocation not known"

struct known_crl {
    struct client_crl crl;
    struct bytes *serials; /* sorted */
};

struct client_crls {
    const char *ids;
    struct known_crl *list;
    size_t count;
};

/* ---- what is in memory ---- */

static int
compare_serials(const void *a, const void *b)
{
    return client_crl_compare_numbers(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* They were checked when they were stored; what this build cannot read any more counts as none. */
static bool
read_known(struct request *rq, const struct db_rows *rows, size_t row, struct known_crl *ret_known)
{
    struct known_crl known = {.crl = {.profile = db_text(rows, row, 0)}};
    struct bytes issuer_id = db_bytes(rows, row, 1);
    struct crl_entry entry;

    if (issuer_id.len != sizeof known.crl.issuer_id || crl_parse(rq, db_bytes(rows, row, 2), &known.crl.list) != OK) {
        failure_clear(rq);
        return false;
    }
    memcpy(known.crl.issuer_id, issuer_id.at, issuer_id.len);
    known.serials = arena_array(rq->arena, known.crl.list.entry_count, sizeof *known.serials);
    struct der entries = der_of(known.crl.list.entries);
    for (size_t i = 0; i < known.crl.list.entry_count && crl_take_entry(&entries, &entry); i++)
        known.serials[i] = entry.serial;
    qsort(known.serials, known.crl.list.entry_count, sizeof *known.serials, compare_serials);
    *ret_known = known;
    return true;
}

/* When the first of a profile's CRLs ends, for whoever watches; 0 where there is none any more. */
static void
tell_ends(const struct client_crls *before, const struct client_crls *now)
{
    static const char name[] = "signet_est_client_crl_ends_at_seconds";
    static const char help[] = "when the first CRL of a profile's makers ends, in Unix time; 0: there is none";

    for (size_t i = 0; before != NULL && i < before->count; i++)
        metric_set(metric_gauge(name, help, "profile", before->list[i].crl.profile), 0);
    for (size_t i = 0; i < now->count; i++) {
        int64_t ends_s = now->list[i].crl.list.next_update_s;
        for (size_t k = 0; k < now->count; k++)
            if (text_equal(now->list[k].crl.profile, now->list[i].crl.profile) && now->list[k].crl.list.next_update_s < ends_s)
                ends_s = now->list[k].crl.list.next_update_s;
        metric_set(metric_gauge(name, help, "profile", now->list[i].crl.profile), ends_s);
    }
}

static enum error
load(struct est *est, struct request *rq, const struct client_crls *before, bool *ret_changed, struct client_crls **ret_crls)
{
    struct client_crls *crls = arena_alloc(rq->arena, sizeof *crls);
    struct db_rows *rows;

    /* The ids first: what is stored between the two statements is read twice, and never missed. */
    enum error error = store_find_client_crl_ids(est->db, rq, &crls->ids);
    if (error)
        return error;
    *ret_changed = before == NULL || !text_equal(before->ids, crls->ids);
    if (!*ret_changed)
        return OK;
    error = store_load_client_crls(est->db, rq, &rows);
    if (error)
        return error;
    crls->list = arena_array(rq->arena, db_count(rows), sizeof *crls->list);
    crls->count = 0;
    for (size_t i = 0; i < db_count(rows); i++)
        crls->count += read_known(rq, rows, i, &crls->list[crls->count]);
    *ret_crls = crls;
    return OK;
}

enum error
client_crls_reload(struct est *est, struct request *rq)
{
    AUTO_STRUCT(request, own) = request_new(); /* its arena becomes the snapshot's */
    const struct client_crls *before = snapshot_hold(est->client_crls, rq);
    struct client_crls *crls;
    bool changed;

    own->deadline_ms = clock_monotonic_ms() + RELOAD_DEADLINE_MS;
    enum error error = load(est, own, before, &changed, &crls);
    if (error) {
        rq->failure = own->failure;
        return error;
    }
    if (!changed)
        return OK;
    tell_ends(before, crls);
    snapshot_put(est->client_crls, TAKE(own->arena), crls);
    return OK;
}

/* ---- one who comes ---- */

struct question {
    const struct profile *profile;
    const struct client_crls *crls;
    bool required;
};

static struct bytes
serial_of(const X509 *certificate)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    return BYTES(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
}

static enum error
refuse_with(struct request *rq, const X509 *certificate, const char *rule, const char *message)
{
    request_note(rq, "client_serial", "%s", bytes_hex(rq->arena, serial_of(certificate), 0));
    request_note(rq, "client_issuer", "%.200s", name_format(rq->arena, x509_name_der(X509_get_issuer_name(certificate))));
    return refuse(rq, ERR_UNAUTHENTICATED, rule, "%s", message);
}

static bool
is_listed(const struct known_crl *known, const X509 *certificate)
{
    struct bytes serial = serial_of(certificate);

    return bsearch(&serial, known->serials, known->crl.list.entry_count, sizeof *known->serials, compare_serials) != NULL;
}

static bool
is_of_key(struct arena *arena, const struct client_crl *crl, X509 *issuer)
{
    uint8_t issuer_id[sizeof crl->issuer_id];

    client_crl_issuer_id(arena, issuer, issuer_id);
    return memcmp(crl->issuer_id, issuer_id, sizeof issuer_id) == 0;
}

/* A serial number is of an issuer's name (RFC 5280 §4.1.2.2); that nothing is listed is believed of the very key alone that signed the certificate,
 * because a CA that changed its key may keep a list for each. */
static enum error
check_one(struct request *rq, const struct question *question, X509 *certificate, X509 *issuer)
{
    struct bytes issuer_name = x509_name_der(X509_get_subject_name(issuer));
    int64_t now_s = clock_now_s();
    bool in_force = false;

    for (size_t i = 0; i < question->crls->count; i++) {
        const struct known_crl *known = &question->crls->list[i];
        if (!text_equal(known->crl.profile, question->profile->settings->name) || !bytes_equal(known->crl.list.issuer, issuer_name))
            continue;
        if (is_listed(known, certificate))
            return refuse_with(rq, certificate, RULE_REVOKED, "the client certificate is revoked by who issued it");
        in_force = in_force || (now_s <= known->crl.list.next_update_s && is_of_key(rq->arena, &known->crl, issuer));
    }
    if (in_force)
        return OK;
    if (question->required)
        return refuse_with(rq, certificate, RULE_UNKNOWN, "this profile has no CRL in force that tells whether the client certificate is revoked");
    request_note(rq, "revocation", "not known");
    return OK;
}

enum error
client_revocation_check(struct est *est, struct request *rq, const struct profile *profile, STACK_OF(X509) * path, bool leaf_is_ours)
{
    Pb__EstClientRevocation wanted = profile->settings->client_revocation;
    struct question question = {.profile = profile, .required = wanted == PB__EST_CLIENT_REVOCATION__EST_CLIENT_REVOCATION_REQUIRED};
    enum error error = OK;

    if (wanted == PB__EST_CLIENT_REVOCATION__EST_CLIENT_REVOCATION_NONE)
        return OK;
    question.crls = snapshot_hold(est->client_crls, rq);
    if (question.crls == NULL) {
        (void)fail(rq, ERR_UNAVAILABLE, "the CRLs have not been read yet");
        return fail_retry_after(rq, 5);
    }
    /* The last one is the anchor, which the operator trusts by having named it. */
    for (int i = leaf_is_ours ? 1 : 0; error == OK && i + 1 < sk_X509_num(path); i++)
        error = check_one(rq, &question, sk_X509_value(path, i), sk_X509_value(path, i + 1));
    return error;
}
