/*
 * Who asks: the device by the certificate that it came with, or a user by name and password, or both (RFC 7030 §3.3, §3.2.3). TLS has proven that
 * the client has the certificate's key and that some profile trusts its issuer; whether this profile does, is asked here, at every request. What this
 * profile has issued itself is looked up, so that a revocation holds at once; of others the CRLs are asked that operators gave.
 */
#include "est.h"

#include <string.h>

#include <openssl/x509_vfy.h>

#include "base/clock.h"
#include "base/drawn_secret.h"
#include "link/http_basic.h"
#include "pki/name.h"
#include "pki/serial.h"

#define PRINCIPAL_ID_MAX 200 /* ra's */

DEFINE_AUTO(X509, X509_free);
DEFINE_AUTO(X509_STORE_CTX, X509_STORE_CTX_free);

/* ---- certificates ---- */

static void
free_chain(STACK_OF(X509) * *chain)
{
    sk_X509_pop_free(*chain, X509_free);
}

static enum error
check_anchors(struct est *est, const struct http_exchange *x, struct request *rq, const struct profile *profile, bool is_ours)
{
    __attribute__((cleanup(free_chain))) STACK_OF(X509) *chain = sk_X509_new_null();
    AUTO(X509_STORE_CTX, verification) = X509_STORE_CTX_new();
    AUTO(X509, leaf) = x509_read(x->client_cert);
    size_t count;
    const struct bytes *sent = http_client_chain(x, &count);

    if (profile->anchor_count == 0)
        return refuse(rq, ERR_UNAUTHENTICATED, "client certificate", "this profile trusts no CA for client certificates but what it issued itself");
    for (size_t i = 0; i < count; i++) {
        X509 *certificate = x509_read(sent[i]);
        if (certificate != NULL && !sk_X509_push(chain, certificate))
            X509_free(certificate);
    }
    if (leaf == NULL || chain == NULL || verification == NULL || X509_STORE_CTX_init(verification, profile->store, leaf, chain) != 1)
        return refuse(rq, ERR_UNAUTHENTICATED, "client certificate", "the client certificate cannot be read");
    (void)X509_STORE_CTX_set_default(verification, "ssl_client");
    if (X509_verify_cert(verification) == 1)
        return client_revocation_check(est, rq, profile, X509_STORE_CTX_get0_chain(verification), is_ours);
    return refuse(rq, ERR_UNAUTHENTICATED, "client certificate", "the client certificate is not one that this profile trusts: %s",
                  X509_verify_cert_error_string(X509_STORE_CTX_get_error(verification)));
}

/* The row of a certificate of ours; NULL for those of others, whatever their serial number looks like. */
static enum error
find_ours(struct est *est, struct request *rq, const struct certificate *certificate, const struct enrolled **ret_enrolled)
{
    const struct enrolled *enrolled = NULL;
    int month;

    if (serial_parse(certificate->serial, &month)) {
        enum error error = store_find_enrolled(est, rq, certificate->serial, month, &enrolled);
        if (error)
            return error;
        if (enrolled != NULL && !bytes_equal(enrolled->certificate, certificate->der))
            enrolled = NULL;
    }
    *ret_enrolled = enrolled;
    return OK;
}

static const char *
principal_id(struct arena *arena, const struct certificate *certificate)
{
    const char *subject = name_format(arena, certificate->subject);
    uint8_t sha256[32];

    if (subject[0] != '\0' && strlen(subject) <= PRINCIPAL_ID_MAX)
        return subject;
    certificate_sha256(certificate->der, sha256);
    return arena_format(arena, "sha256:%s", bytes_hex(arena, BYTES(sha256, sizeof sha256), 0));
}

static enum error
check_trust(struct est *est, const struct http_exchange *x, struct request *rq, const struct profile *profile, const struct client *client)
{
    const struct enrolled *ours = client->enrolled;
    int64_t now_s = clock_now_s();

    if (ours != NULL && ours->revoked)
        return refuse(rq, ERR_UNAUTHENTICATED, "client certificate", "the client certificate is revoked");
    if (now_s < client->certificate->not_before_s || now_s > client->certificate->not_after_s)
        return refuse(rq, ERR_UNAUTHENTICATED, "client certificate", "the client certificate has expired or is not valid yet");
    if (ours != NULL && text_equal(ours->channel, profile_channel(rq->arena, profile)) && incarnation_has(profile->incarnation, ours->key))
        return OK;
    enum error error = check_anchors(est, x, rq, profile, ours != NULL);
    return error ? error : names_check_device(rq, profile, client->certificate);
}

static enum error
check_certificate(struct est *est, const struct http_exchange *x, struct request *rq, const struct profile *profile, struct client *ret_client)
{
    struct client client = *ret_client;

    if (x->client_cert.len == 0 && http_client_refusal(x) != NULL)
        return refuse(rq, ERR_UNAUTHENTICATED, "client certificate", "the client certificate is not one that is trusted here: %s",
                      http_client_refusal(x));
    if (x->client_cert.len == 0)
        return refuse(rq, ERR_UNAUTHENTICATED, "client certificate", "a client certificate is needed here");
    client.certificate = arena_alloc(rq->arena, sizeof *client.certificate);
    enum error error = certificate_parse(rq, x->client_cert, client.certificate);
    if (!error)
        error = find_ours(est, rq, client.certificate, &client.enrolled);
    if (!error)
        error = check_trust(est, x, rq, profile, &client);
    if (error)
        return error;
    client.kind = "est-certificate";
    client.id = principal_id(rq->arena, client.certificate);
    *ret_client = client;
    return OK;
}

/* ---- passwords ---- */

static enum error
refuse_password(struct request *rq, const char *message)
{
    (void)refuse(rq, ERR_UNAUTHENTICATED, "password", "%s", message);
    return fail_reason(rq, "password");
}

static enum error
check_password(struct est *est, const struct http_exchange *x, struct request *rq, const struct profile *profile, struct client *ret_client)
{
    const char *header = http_header_in(x, "Authorization");
    struct bytes name, password;

    if (header == NULL)
        return refuse_password(rq, "name and password are needed here");
    if (!http_basic_read(rq->arena, header, &name, &password) || !text_is_utf8(name))
        return refuse_password(rq, "the Authorization header holds no Basic credentials");
    const char *user = bytes_text(rq->arena, name);
    struct login login = {.rq = rq, .profile = profile->settings->name, .user = user};
    const char *whom = arena_format(rq->arena, "%s/%s", login.profile, user);
    enum error error = request_limit_check_failures(est->limit, rq, x->peer, whom);
    if (!error)
        error = logins_find(est->logins, &login);
    if (error)
        return error;
    request_note(rq, "user", "%.100s", user);
    bool right = drawn_secret_is(login.hash, password);
    wipe((void *)password.at, password.len); /* ours, in the arena */
    if (!right) {
        request_limit_count_failure(est->limit, rq, x->peer, whom);
        return refuse_password(rq, "the name or the password is wrong");
    }
    ret_client->user = user;
    if (ret_client->kind == NULL) {
        ret_client->kind = "est-user";
        ret_client->id = user;
    }
    return OK;
}

/* ---- together ---- */

/* A certificate that does not do is no reason against a password: many devices show one wherever they come. */
static enum error
check_either(struct est *est, struct http_exchange *x, const struct profile *profile, struct client *client)
{
    struct request *rq = &x->rq;
    enum error error = check_certificate(est, x, rq, profile, client);

    if (error == OK || error_is_retriable(error) || error == ERR_INTERNAL)
        return error;
    bool shown = x->client_cert.len > 0 || http_client_refusal(x) != NULL;
    if (shown && http_header_in(x, "Authorization") == NULL) {
        (void)fail_reason(rq, "password");
        return error;
    }
    failure_clear(rq);
    return check_password(est, x, rq, profile, client);
}

static enum error
check_both(struct est *est, struct http_exchange *x, const struct profile *profile, struct client *client)
{
    enum error error = check_certificate(est, x, &x->rq, profile, client);
    return error ? error : check_password(est, x, &x->rq, profile, client);
}

static enum error
check(struct est *est, struct http_exchange *x, const struct profile *profile, bool renewing, struct client *client)
{
    switch (profile->settings->authentication) {
    case PB__EST_AUTHENTICATION__EST_AUTHENTICATION_CERTIFICATE:
        return check_certificate(est, x, &x->rq, profile, client);
    case PB__EST_AUTHENTICATION__EST_AUTHENTICATION_BASIC:
        /* What is renewed is the credential, and password holders get theirs anew as often as they like. */
        return renewing ? check_certificate(est, x, &x->rq, profile, client) : check_password(est, x, &x->rq, profile, client);
    case PB__EST_AUTHENTICATION__EST_AUTHENTICATION_EITHER:
        return renewing ? check_certificate(est, x, &x->rq, profile, client) : check_either(est, x, profile, client);
    case PB__EST_AUTHENTICATION__EST_AUTHENTICATION_BOTH:
        return check_both(est, x, profile, client);
    case PB__EST_AUTHENTICATION__EST_AUTHENTICATION_UNSPECIFIED:
    case _PB__EST_AUTHENTICATION_IS_INT_SIZE:
        break;
    }
    return refuse(&x->rq, ERR_DENIED, "profile", "this EST profile lets nobody in");
}

enum error
authenticate(struct est *est, struct http_exchange *x, const struct profile *profile, bool renewing, struct client *ret_client)
{
    struct client client = {.user = "", .renews = renewing};
    enum error error = check(est, x, profile, renewing, &client);

    if (error)
        return error;
    request_note(&x->rq, "principal", "%s:%s", client.kind, client.id);
    *ret_client = client;
    return OK;
}
