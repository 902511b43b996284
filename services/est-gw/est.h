/*
 * The EST gateway (RFC 7030, RFC 8951, RFC 9908): its context, its nouns, and who defines what. Handlers are in routes.c's table; all SQL is in
 * store.c.
 *
 * A handler finds its profile, knows who asks (authenticate.c), reads the body (body.c), checks what the profile demands (names.c, proof.c), makes
 * the one call to ra (enroll.c) and answers. Everything a handler makes lives in the request's arena. `rule` names, for the log, the rule that
 * refused.
 */
#ifndef SIGNET_EST_GW_EST_H
#define SIGNET_EST_GW_EST_H

#include <openssl/cms.h>
#include <openssl/x509.h>

#include "base/incarnation.h"
#include "base/snapshot.h"
#include "base/text.h"
#include "link/commit_queue.h"
#include "link/configuration.h"
#include "link/db.h"
#include "link/http_server.h"
#include "link/message.h"
#include "link/prune.h"
#include "link/request_limit.h"
#include "link/rpc_gather.h"
#include "link/service.h"
#include "pki/certificate.h"
#include "pki/cms.h"
#include "pki/crl.h"
#include "pki/csr.h"
#include "signet/v1/est_gw.pb-c.h"
#include "signet/v1/ra.pb-c.h"
#include "signet/v1/signer.pb-c.h"

#define EST_BODY_MAX (128 * 1024)
#define EST_DEFAULT_PROFILE "default"
#define EST_RETRY_AFTER_S 60
#define ANCHORS_MAX 64
#define ANCHORS_PEM_MAX (512 * 1024)
#define CLIENT_CRL_MAX (32 * 1024 * 1024)
#define CLIENT_CRL_PART_MAX (900 * 1024) /* a message of the bus carries it */
#define PATTERNS_MAX 100
#define PATTERN_MAX 300
#define PROFILE_NAME_MAX 40
#define USER_NAME_MAX 100

struct est_config {
    const char *listen;
    const char *tls_cert_file;
    const char *tls_key_file;
    const char *proxy_networks;
    int loops;
    int workers;
    int refresh_s;
    int keep_days;
    struct request_limit_config limit;
};

struct est {
    struct est_config config;
    struct proxies proxies;
    struct request_limit *limit;
    struct service *service;
    struct db *db;
    struct bus *bus;
    struct outbox *outbox;
    struct http_server *http;
    struct snapshot_slot *profiles;
    struct snapshot_slot *authorities;
    struct snapshot_slot *client_crls;
    struct service_loop *profiles_loop;
    struct trust *trust;
    struct logins *logins;
    struct rpc_gather *enrolments;
    struct prune prune;
};

/* ---- nouns ---- */

struct profile {
    const Pb__EstProfile *settings;
    const char *incarnation;
    const struct bytes *anchors; /* DER */
    size_t anchor_count;
    X509_STORE *store; /* of the anchors; NULL: none */
};

struct profiles {
    struct profile *list;
    size_t count;
};

/* The signer's CAs and templates, as this process last heard them. */
struct authorities {
    const Pb__ListCasReply *cas;
    const Pb__ListTemplatesReply *templates;
};

/* A certificate of ours, as ra keeps it. */
struct enrolled {
    const char *issuer;
    const char *channel;
    const char *key; /* of the request; NULL: it is kept no more */
    struct bytes certificate;
    bool revoked;
};

/* Which generation of a request is asked for. */
struct delivery {
    struct bytes request_sha256;
    int generation, step; /* to the next one that may be free */
    bool waited;          /* for a person, until now */
};

/* One who may have to wait for a person, or waits already. */
struct waiting {
    struct bytes likeness_sha256; /* by which it is known again; none: nobody waits here */
    struct bytes csr;             /* that it waits with */
};

/* What became of a generation, and what is known of its request. */
struct past {
    bool is_good;   /* its certificate is not revoked, and was made or delivered lately, or waits to be delivered */
    int generation; /* the last that was recorded; -1: none */
    bool waits;     /* that one, for a person or to be delivered */
};

/* Who logs in, and what is kept of the password: none when there is no such user. */
struct login {
    struct request *rq;
    const char *profile, *user;
    struct bytes hash;
};

/* A CRL of a CA that a profile trusts, its signature verified. */
struct client_crl {
    const char *profile;
    uint8_t issuer_id[32]; /* of the CA whose key signed it */
    struct crl list;
};

/* Who asks. */
struct client {
    const char *kind, *id;           /* of the principal */
    bool renews;                     /* a certificate of its own */
    const char *user;                /* who logged in by password, or "" */
    struct certificate *certificate; /* the client certificate, or NULL */
    const struct enrolled *enrolled; /* when that is one of ours */
};

/* The gateway with the database of a transaction, for a configuration_writer. */
static inline struct est
est_within(const struct est *est, struct db *db)
{
    struct est within = *est;
    within.db = db;
    return within;
}

/* ---- routes.c, problem.c ---- */

extern const struct http_route est_routes[];
extern const size_t est_route_count;
/* fail(), with the rule that refused, for the log. */
enum error refuse(struct request *rq, enum error kind, const char *rule, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The HTTP status of a failure. */
int problem_status(const struct failure *failure);
const char *problem_text(struct arena *arena, const struct failure *failure);
/* Text for people, or what cmc_response_keep has kept, with the status and the headers that a client needs. */
void problem_render(void *context, struct http_exchange *x);

/* ---- body.c: what travels ---- */

/* Base64 in any layout, with PEM armour, or plain DER: RFC 8951 §3 leaves transfer encodings behind. ERR_BAD_REQUEST. */
enum error body_decode(struct request *rq, struct bytes body, struct bytes *ret_der) MUST_CHECK;
/* The media type of the request, when there is one, must be `wanted`; parameters are not looked at. */
enum error body_check_type(struct http_exchange *x, const char *wanted) MUST_CHECK;
/* Base64 in lines of 64 columns. */
const char *body_encode(struct arena *arena, struct bytes der);
enum error body_answer(struct http_exchange *x, int status, const char *content_type, struct bytes der);

/* ---- attributes.c ---- */

/* The one text of an attribute that is a DirectoryString; ret_text is none when it is absent. ERR_BAD_CSR. */
enum error attribute_text(struct request *rq, const struct csr *csr, struct bytes oid, struct bytes *ret_text) MUST_CHECK;

/* ---- profile.c ---- */

/* Of the request's label; notes it for the log. ERR_NOT_FOUND. */
enum error profile_find(struct est *est, struct http_exchange *x, const struct profile **ret_profile) MUST_CHECK;
const char *profile_channel(struct arena *arena, const struct profile *profile);
/* Settings as an operator wrote them: ERR_BAD_REQUEST says what is wrong. */
enum error profile_check(struct request *rq, const Pb__EstProfile *settings) MUST_CHECK;
/* Reads them all again. */
enum error profiles_reload(struct est *est, struct request *rq) MUST_CHECK;
/* After a change that was made here. */
void profiles_changed(struct est *est, struct request *rq);
enum error profiles_follow(struct est *est, struct request *rq) MUST_CHECK;
enum error profiles_ready(void *context, struct request *rq);
/* "certificate", "basic" … of the column, and back. */
const char *authentication_name(Pb__EstAuthentication authentication);
Pb__EstAuthentication authentication_of(const char *name);

const char *client_revocation_name(Pb__EstClientRevocation revocation);
Pb__EstClientRevocation client_revocation_of(const char *name);

/* ---- OpenSSL's certificates ---- */

/* NULL: it is none. X509_free. */
static inline X509 *
x509_read(struct bytes der)
{
    const unsigned char *at = der.at;
    return d2i_X509(NULL, &at, (long)der.len);
}

/* Its DER, as long as the certificate lives. */
static inline struct bytes
x509_name_der(const X509_NAME *name)
{
    const unsigned char *der = NULL;
    size_t len = 0;

    (void)X509_NAME_get0_der(name, &der, &len);
    return BYTES(der, len);
}

/* ---- client_crl.c: a CRL as operators give it ---- */

/* Its name and its key: a CA may have had others. */
void client_crl_issuer_id(struct arena *arena, X509 *issuer, uint8_t ret_id[32]);
/* Of all anchors that this build can read. */
enum error client_crl_anchor_ids(struct request *rq, const Pb__EstProfile *profile, struct bytes **ret_ids, size_t *ret_count) MUST_CHECK;
/* Signed by one of the profile's anchors. ERR_BAD_REQUEST says what is wrong. */
enum error client_crl_read(struct request *rq, const Pb__EstProfile *profile, struct bytes der, struct client_crl *ret_crl) MUST_CHECK;
/* ERR_CONFLICT: it is older than the other. */
enum error client_crl_check_newer(struct request *rq, const struct client_crl *crl, struct bytes number, int64_t this_update_s) MUST_CHECK;
Pb__EstCrl *client_crl_about(struct arena *arena, const struct crl *list);
/* Of DER INTEGERs that are not negative: numbers of CRLs, serial numbers. Less than, equal to, greater than 0. */
int client_crl_compare_numbers(struct bytes a, struct bytes b);

/* ---- client_revocation.c: what they say of those who come ---- */

/* Reads them again if there are others than those in memory. */
enum error client_crls_reload(struct est *est, struct request *rq) MUST_CHECK;
/* The certificates from the client's (which is left out when we issued it ourselves, and so is looked up) to an anchor. */
enum error client_revocation_check(struct est *est, struct request *rq, const struct profile *profile, STACK_OF(X509) * path, bool leaf_is_ours)
    MUST_CHECK;

/* ---- authorities.c ---- */

void authorities_follow(struct est *est);
enum error authorities_ready(void *context, struct request *rq);
enum error authorities_hold(struct est *est, struct request *rq, const struct authorities **ret_authorities) MUST_CHECK;
/* The CA that issues for this profile. */
enum error authorities_issuer(struct est *est, struct request *rq, const struct profile *profile, const Pb__Ca **ret_ca) MUST_CHECK;

/* ---- trust.c: whose certificates are taken in a handshake ---- */

struct trust *trust_new(void);
void trust_free(struct trust *trust);
/* In the drain, before the server closes: profiles may still be changed by calls that are under way. */
void trust_stop(void *context);
/* The anchors of all profiles and our own CAs, given to the server when they have changed. */
enum error trust_apply(struct est *est, struct request *rq) MUST_CHECK;

/* ---- authenticate.c ---- */

/* By client certificate, password or both, as the profile says; with `renewing` a certificate that the profile issued is one of its own. */
enum error authenticate(struct est *est, struct http_exchange *x, const struct profile *profile, bool renewing, struct client *ret_client) MUST_CHECK;

/* ---- logins.c: what is kept of passwords, remembered ---- */

struct logins *logins_new(struct est *est);
void logins_free(struct logins *logins);
/* Fills in the hash. Those that log in at one moment are read together. */
enum error logins_find(struct logins *logins, struct login *login) MUST_CHECK;
/* After a change that was made here. */
void logins_forget(struct logins *logins);
enum error logins_follow(struct est *est, struct request *rq) MUST_CHECK;

/* ---- names.c ---- */

/* The names of a certificate as csr_all_names gives those of a CSR. */
enum error certificate_all_names(struct request *rq, const struct certificate *certificate, struct identifier **ret_names, size_t *ret_count)
    MUST_CHECK;
enum error names_check_device(struct request *rq, const struct profile *profile, const struct certificate *certificate) MUST_CHECK;
enum error names_check_csr(struct request *rq, const struct profile *profile, const struct client *client, const struct csr *csr) MUST_CHECK;

/* ---- proof.c ---- */

/* RFC 7030 §3.5: the CSR was made for this very connection. */
enum error proof_check(const struct http_exchange *x, struct request *rq, const struct profile *profile, const struct csr *csr) MUST_CHECK;

/* ---- enroll.c ---- */

http_handler simple_enroll;
http_handler simple_reenroll;
/* What ra says to this CSR; a reply that is OK may be pending. */
enum error enroll_ask(struct est *est, struct http_exchange *x, const struct profile *profile, const struct client *client, struct bytes csr,
                      const Pb__EnrollReply **ret_reply) MUST_CHECK;
/* 202, or the certificate. */
enum error enroll_answer(struct http_exchange *x, const struct profile *profile, const Pb__EnrollReply *reply) MUST_CHECK;
enum error enroll_read_csr(struct request *rq, struct bytes body, struct csr *ret_csr) MUST_CHECK;
/* For digests: who asks, of which profile. */
void enroll_put_asker(struct buffer *all, const struct profile *profile, const struct client *client);

/* ---- waiting.c ---- */

/* Whoever enrols here must, as far as is known. */
bool waiting_is_sure(struct est *est, struct request *rq, const struct profile *profile);
/* With the CSR that this very device waits with for this key and these names, or did until lately; else with `csr`. */
enum error waiting_find(struct est *est, struct request *rq, const struct profile *profile, const struct client *client, struct bytes csr,
                        struct waiting *ret_waiting) MUST_CHECK;

http_handler ca_certs;
http_handler csr_attrs;
http_handler server_key_gen;
http_handler full_cmc;

/* ---- pki_data.c ---- */

/* The one PKCS#10 request of a PKIData. ERR_BAD_REQUEST. */
enum error pki_data_read(struct request *rq, struct bytes pki_data, struct bytes *ret_csr) MUST_CHECK;

/* ---- cmc_response.c ---- */

/* What a failed request is answered with, of what the client sent: PKIResponse, to be signed. */
struct bytes cmc_response_encode(struct arena *arena, struct bytes pki_data, const struct failure *failure);
/* Keeps it, signed, for problem_render; `pki_data` is none when that could not be read. The failure stays as it is. */
void cmc_response_keep(struct est *est, struct http_exchange *x, struct bytes pki_data);

/* ---- server_signature.c ---- */

/* SignedData over content of this type, by the certificate and key of HTTPS. CMS_ContentInfo_free. ERR_UNAVAILABLE. */
enum error server_sign(struct est *est, struct request *rq, struct bytes type, struct bytes content, CMS_ContentInfo **ret_signed) MUST_CHECK;

/* ---- server_key.c: keys that are made here ---- */

enum error server_key_new(struct request *rq, const char *type, EVP_PKEY **ret_key) MUST_CHECK;
/* Subject and extensions of what was asked, with this key. */
enum error server_key_csr(struct request *rq, EVP_PKEY *key, const struct csr *asked, struct bytes *ret_csr) MUST_CHECK;
enum error server_key_pkcs8(struct request *rq, EVP_PKEY *key, struct secret **ret_der) MUST_CHECK;
/* EnvelopedData for the key of this certificate, of SignedData by this server, of an AsymmetricKeyPackage. */
enum error server_key_envelope(struct est *est, struct request *rq, struct bytes recipient_der, const struct secret *pkcs8, struct secret **ret_der)
    MUST_CHECK;

/* ---- csr_attributes.c ---- */

/* CsrAttrs (RFC 8951 §3.5, RFC 9908); none when the profile has nothing to say. */
enum error csr_attributes_encode(struct request *rq, const Pb__EstProfile *settings, struct bytes *ret_der) MUST_CHECK;

/* ---- store.c ---- */

/* With their incarnations; NULL: they are not wanted. */
enum error store_load_profiles(struct db *db, struct request *rq, Pb__EstProfile ***ret_profiles, const char ***ret_incarnations, size_t *ret_count)
    MUST_CHECK;
/* NULL when there is none of this name. */
enum error store_find_profile(struct est *est, struct request *rq, const char *name, const Pb__EstProfile **ret_profile) MUST_CHECK;
enum error store_put_profile(struct est *est, struct request *rq, const Pb__EstProfile *profile, bool create, bool *ret_created) MUST_CHECK;
enum error store_delete_profile(struct est *est, struct request *rq, const char *name) MUST_CHECK;
/* "profile<TAB>user" in the order of both. */
enum error store_list_users(struct est *est, struct request *rq, struct db_rows **ret_rows) MUST_CHECK;
enum error store_put_user(struct est *est, struct request *rq, const char *profile, const char *user, struct bytes hash, bool *ret_created)
    MUST_CHECK;
enum error store_delete_user(struct est *est, struct request *rq, const char *profile, const char *user) MUST_CHECK;
/* Of many at once; the items are struct login. */
commit_batch store_find_users;
/* NULL when the serial number is none of ours. */
enum error store_find_enrolled(struct est *est, struct request *rq, struct bytes serial, int expiry_month, const struct enrolled **ret_enrolled)
    MUST_CHECK;
/* Of the generation `delivery`, whose certificate has this serial number; none when it is kept no more. */
enum error store_find_past(struct est *est, struct request *rq, const struct delivery *delivery, struct bytes serial, struct past *ret_past)
    MUST_CHECK;
/* That it waits, or was delivered. */
enum error store_record_delivery(struct est *est, struct request *rq, const struct delivery *delivery, const struct waiting *waiting, bool waits)
    MUST_CHECK;
/* ret_csr stays as it is when nobody alike waits. */
enum error store_find_waiting(struct est *est, struct request *rq, struct bytes likeness_sha256, struct bytes *ret_csr) MUST_CHECK;
/* A person has refused it. */
enum error store_end_waiting(struct est *est, struct request *rq, const struct delivery *delivery) MUST_CHECK;
extern const struct db_statement store_forget_deliveries;

/* Of all CRLs, as one text: what is stored anew has another. */
enum error store_find_client_crl_ids(struct db *db, struct request *rq, const char **ret_ids) MUST_CHECK;
/* profile, issuer_id, crl */
enum error store_load_client_crls(struct db *db, struct request *rq, struct db_rows **ret_rows) MUST_CHECK;
/* profile, issuer, number, this_update, next_update, entries */
enum error store_list_client_crls(struct est *est, struct request *rq, struct db_rows **ret_rows) MUST_CHECK;
/* ERR_CONFLICT: there is a newer one. */
enum error store_put_client_crl(struct est *est, struct request *rq, const struct client_crl *crl, bool *ret_changed) MUST_CHECK;
/* Those of CAs that are no anchors of the profile any more. */
enum error store_keep_client_crls(struct est *est, struct request *rq, const char *profile, const struct bytes *issuer_ids, size_t count) MUST_CHECK;
/* Parts that nobody has put together for a while go. */
enum error store_put_crl_part(struct est *est, struct request *rq, const char *upload, uint32_t part, struct bytes octets) MUST_CHECK;
/* Those from 0 to `count`, one after the other. ERR_BAD_REQUEST: some are missing. */
enum error store_join_crl_parts(struct est *est, struct request *rq, const char *upload, uint32_t count, struct buffer *joined) MUST_CHECK;
enum error store_forget_crl_parts(struct est *est, struct request *rq, const char *upload) MUST_CHECK;
enum error store_delete_client_crls(struct est *est, struct request *rq, const char *profile, size_t *ret_deleted) MUST_CHECK;

/* ---- handlers.c, and one file per rpc ---- */

ProtobufCService *est_handlers(void);
enum error store_est_profile(struct est *est, struct request *rq, const Pb__StoreEstProfileRequest *input, Pb__StoreEstProfileReply *ret_reply)
    MUST_CHECK;
enum error list_est_profiles(struct est *est, struct request *rq, const Pb__ListEstProfilesRequest *input, Pb__ListEstProfilesReply *ret_reply)
    MUST_CHECK;
enum error delete_est_profile(struct est *est, struct request *rq, const Pb__DeleteEstProfileRequest *input, Pb__DeleteEstProfileReply *ret_reply)
    MUST_CHECK;
enum error reset_est_password(struct est *est, struct request *rq, const Pb__ResetEstPasswordRequest *input, Pb__ResetEstPasswordReply *ret_reply)
    MUST_CHECK;
enum error delete_est_user(struct est *est, struct request *rq, const Pb__DeleteEstUserRequest *input, Pb__DeleteEstUserReply *ret_reply) MUST_CHECK;
enum error store_est_crl(struct est *est, struct request *rq, const Pb__StoreEstCrlRequest *input, Pb__StoreEstCrlReply *ret_reply) MUST_CHECK;
enum error delete_est_crls(struct est *est, struct request *rq, const Pb__DeleteEstCrlsRequest *input, Pb__DeleteEstCrlsReply *ret_reply) MUST_CHECK;

#endif
