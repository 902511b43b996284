/*
 * simplereenroll (RFC 7030 §4.2.2): a certificate of ours is renewed by its holder. The CSR has its subject and its names, and may ask for others by
 * an attribute; the key may be a new one. That it is ours, not revoked and still valid, authenticate.c has seen.
 */
#include "est.h"

#include "pki/name.h"

DEFINE_AUTO(X509_NAME, X509_NAME_free);

/* RFC 5280 §7.1: as names are compared, because clients write the same text in other string types. */
static bool
subjects_are_equal(struct bytes a, struct bytes b)
{
    const unsigned char *at_a = a.at, *at_b = b.at;
    AUTO(X509_NAME, name_a) = d2i_X509_NAME(NULL, &at_a, (long)a.len);
    AUTO(X509_NAME, name_b) = d2i_X509_NAME(NULL, &at_b, (long)b.len);

    return name_a != NULL && name_b != NULL && X509_NAME_cmp(name_a, name_b) == 0;
}

static enum error
check_same(struct request *rq, const struct certificate *certificate, const struct csr *csr)
{
    struct identifier *has, *asks;
    size_t has_count, asks_count;

    if (!subjects_are_equal(certificate->subject, csr->subject))
        return refuse(rq, ERR_BAD_CSR, "reenroll", "the subject of the certification request is not that of the certificate: %s",
                      name_format(rq->arena, certificate->subject));
    enum error error = certificate_all_names(rq, certificate, &has, &has_count);
    if (!error)
        error = csr_all_names(rq, csr, &asks, &asks_count);
    if (error)
        return error;
    if (!identifiers_equal(has, has_count, asks, asks_count))
        return refuse(rq, ERR_BAD_CSR, "reenroll", "the names of the certification request are not those of the certificate");
    return OK;
}

/* RFC 6402 §2.8: other names than those of the certificate are asked for by an attribute, and allowed like those of a new device. */
static enum error
check_change(struct request *rq, const struct profile *profile, const struct client *client, const struct csr *csr)
{
    struct csr changed_csr = *csr;
    bool changed;
    enum error error = csr_change_names(rq, &changed_csr, &changed);

    if (error || !changed)
        return error;
    request_note(rq, "renamed", "%s", name_format(rq->arena, changed_csr.subject));
    return names_check_csr(rq, profile, client, &changed_csr);
}

enum error
simple_reenroll(void *context, struct http_exchange *x)
{
    struct est *est = context;
    struct request *rq = &x->rq;
    const struct profile *profile;
    const Pb__EnrollReply *reply;
    struct client client;
    struct csr csr = {0};

    enum error error = profile_find(est, x, &profile);
    if (!error)
        error = authenticate(est, x, profile, true, &client);
    if (!error && client.enrolled == NULL)
        error = refuse(rq, ERR_DENIED, "reenroll", "the client certificate was not issued here, so it cannot be renewed here");
    if (!error)
        error = body_check_type(x, "application/pkcs10");
    if (!error)
        error = enroll_read_csr(rq, x->body, &csr);
    if (!error)
        error = check_same(rq, client.certificate, &csr);
    if (!error)
        error = check_change(rq, profile, &client, &csr);
    if (!error)
        error = proof_check(x, rq, profile, &csr);
    if (!error)
        error = enroll_ask(est, x, profile, &client, csr.der, &reply);
    return error ? error : enroll_answer(x, profile, reply);
}
