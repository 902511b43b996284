/*
 * serverkeygen (RFC 7030 §4.4): key and certificate for a device that cannot make a key, in a message of two parts. The device may ask for the key to
 * be encrypted to the key of its client certificate; symmetric keys that only the two would know there are none. The answer is wiped when it was
 * written.
 */
#include "est.h"

#include <string.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "pki/oid.h"

#define LINE_OCTETS 48
#define LINE_COLUMNS 64
#define BOUNDARY_OCTETS 16

/* ---- whether and for whom the key is encrypted ---- */

static bool
certificate_has_key_id(const struct certificate *certificate, struct bytes wanted)
{
    const struct extension *extension = certificate_extension(certificate, OID_SUBJECT_KEY_IDENTIFIER);
    struct bytes stated = BYTES_NONE;
    uint8_t computed[20];

    if (extension != NULL) {
        struct der in = der_of(extension->value);
        if (der_take(&in, DER_OCTET_STRING, &stated) && bytes_equal(stated, wanted))
            return true;
    }
    public_key_identifier(&certificate->key, computed);
    return bytes_equal(BYTES(computed, sizeof computed), wanted);
}

/* None: the key goes in the clear, within TLS. RFC 7030 §4.4.1: who asks for encryption must not get the key without. */
static enum error
find_recipient(struct request *rq, const struct csr *csr, const struct client *client, struct bytes *ret_certificate)
{
    struct der values;
    struct bytes key_id;

    *ret_certificate = BYTES_NONE;
    if (csr_attribute(csr, OID_DECRYPT_KEY_ID, &values))
        return refuse(rq, ERR_BAD_CSR, "key encryption",
                      "there are no symmetric keys between this server and devices: ask with AsymmetricDecryptKeyIdentifier, or without encryption");
    if (!csr_attribute(csr, OID_ASYMM_DECRYPT_KEY_ID, &values))
        return OK;
    if (!der_take(&values, DER_OCTET_STRING, &key_id) || !der_at_end(&values))
        return refuse(rq, ERR_BAD_CSR, "key encryption", "the AsymmetricDecryptKeyIdentifier is malformed");
    if (client->certificate == NULL || !certificate_has_key_id(client->certificate, key_id))
        return refuse(rq, ERR_BAD_CSR, "key encryption", "the AsymmetricDecryptKeyIdentifier does not name the key of the client certificate");
    *ret_certificate = client->certificate->der;
    return OK;
}

/* ---- the answer ---- */

static size_t
columns_of(size_t len)
{
    return (len + 2) / 3 * 4 + 2 * ((len + LINE_OCTETS - 1) / LINE_OCTETS);
}

/* Base64 in lines, straight into its place: the key must not stay behind in an arena. */
static uint8_t *
put_base64(uint8_t *at, struct bytes der)
{
    for (size_t i = 0; i < der.len; i += LINE_OCTETS) {
        uint8_t line[LINE_COLUMNS + 1];
        size_t len = der.len - i < LINE_OCTETS ? der.len - i : LINE_OCTETS;
        int columns = EVP_EncodeBlock(line, der.at + i, (int)len);
        memcpy(at, line, (size_t)columns);
        wipe(line, sizeof line);
        at += columns;
        *at++ = '\r';
        *at++ = '\n';
    }
    return at;
}

static uint8_t *
put_text(uint8_t *at, const char *text)
{
    struct bytes octets = bytes_of_text(text);

    memcpy(at, octets.at, octets.len);
    return at + octets.len;
}

/* RFC 2046 §5.1.1, with exactly two parts and a boundary without quotes, as the readers there are want it. */
static struct secret *
two_parts(struct arena *arena, const char *boundary, const char *key_type, const struct secret *key, struct bytes certificates)
{
    static const char head[] = "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    const char *first = arena_format(arena, head, boundary, key_type);
    const char *second = arena_format(arena, head, boundary, "application/pkcs7-mime; smime-type=certs-only");
    const char *end = arena_format(arena, "--%s--\r\n", boundary);
    struct secret *body = secret_new(strlen(first) + columns_of(key->len) + strlen(second) + columns_of(certificates.len) + strlen(end));

    uint8_t *at = put_text(body->at, first);
    at = put_base64(at, BYTES(key->at, key->len));
    at = put_text(at, second);
    at = put_base64(at, certificates);
    (void)put_text(at, end);
    return body;
}

static void
release_secret(void *held)
{
    secret_free(held);
}

static enum error
answer(struct http_exchange *x, const char *key_type, const struct secret *key, const Pb__EnrollReply *reply)
{
    struct arena *arena = x->rq.arena;
    struct bytes certificate = message_bytes(reply->certificate);
    uint8_t octets[BOUNDARY_OCTETS];

    random_bytes(octets, sizeof octets);
    const char *boundary = arena_format(arena, "est%s", bytes_hex(arena, BYTES(octets, sizeof octets), 0));
    struct secret *body = two_parts(arena, boundary, key_type, key, cms_certs_only(arena, &certificate, 1, BYTES_NONE));
    x->answer.held = body;
    x->answer.release = release_secret;
    http_header_out(x, "Cache-Control", "no-store");
    return http_answer(x, 200, arena_format(arena, "multipart/mixed; boundary=%s", boundary), BYTES(body->at, body->len));
}

/* ---- the request ---- */

static enum error
refuse_to_wait(struct request *rq)
{
    return refuse(rq, ERR_DENIED, "approval",
                  "the certificate waits for an approval, and a key that was made here is never stored: make one yourself");
}

static enum error
make_and_answer(struct est *est, struct http_exchange *x, const struct profile *profile, const struct client *client, const struct csr *asked,
                struct bytes recipient)
{
    struct request *rq = &x->rq;
    AUTO(EVP_PKEY, key) = NULL;
    AUTO_STRUCT(secret, pkcs8) = NULL;
    AUTO_STRUCT(secret, envelope) = NULL;
    const Pb__EnrollReply *reply = NULL;
    struct bytes csr = BYTES_NONE;

    enum error error = server_key_new(rq, profile->settings->server_key_type, &key);
    if (!error)
        error = server_key_csr(rq, key, asked, &csr);
    if (!error)
        error = server_key_pkcs8(rq, key, &pkcs8);
    /* Before anything is issued for a key that could not be delivered. */
    if (!error && recipient.len > 0)
        error = server_key_envelope(est, rq, recipient, pkcs8, &envelope);
    if (!error)
        error = enroll_ask(est, x, profile, client, csr, &reply);
    if (error)
        return error;
    if (reply->status != PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED)
        return refuse_to_wait(rq);
    if (envelope != NULL)
        return answer(x, "application/pkcs7-mime; smime-type=server-generated-key", envelope, reply);
    return answer(x, "application/pkcs8", pkcs8, reply);
}

enum error
server_key_gen(void *context, struct http_exchange *x)
{
    struct est *est = context;
    struct request *rq = &x->rq;
    const struct profile *profile;
    struct client client;
    struct bytes recipient;
    struct csr csr;

    enum error error = profile_find(est, x, &profile);
    if (!error)
        error = authenticate(est, x, profile, false, &client);
    if (!error && profile->settings->server_key_type[0] == '\0')
        error = refuse(rq, ERR_DENIED, "server key generation", "no keys are made here for this profile");
    /* Else a person would be asked about a key that nobody has any more. */
    if (!error && waiting_is_sure(est, rq, profile))
        error = refuse_to_wait(rq);
    if (!error)
        error = body_check_type(x, "application/pkcs10");
    /* RFC 7030 §4.4.1: key and signature of this CSR mean nothing. */
    if (!error)
        error = enroll_read_csr(rq, x->body, &csr);
    if (!error)
        error = names_check_csr(rq, profile, &client, &csr);
    if (!error)
        error = proof_check(x, rq, profile, &csr);
    if (!error)
        error = find_recipient(rq, &csr, &client, &recipient);
    return error ? error : make_and_answer(est, x, profile, &client, &csr, recipient);
}
