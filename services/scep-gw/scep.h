/*
 * The SCEP gateway's own nouns, and what its files offer each other, grouped by the file that defines it.
 *
 * The way of a request: routes.c → pki_operation.c (read by pki_message.c, opened by envelope.c) → enroll.c (authorised by authorize.c, then ra) →
 * reply.c. Everything that is refused is refused in one place, reply_failure, which also says so in the log.
 */
#ifndef SIGNET_SCEP_GW_SCEP_H
#define SIGNET_SCEP_GW_SCEP_H

#include <jansson.h>
#include <pthread.h>

#include "base/config.h"
#include "base/incarnation.h"
#include "base/network.h"
#include "base/request.h"
#include "base/snapshot.h"
#include "link/bus.h"
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
#include "pki/csr.h"
#include "signet/v1/ra.pb-c.h"
#include "signet/v1/scep_gw.pb-c.h"
#include "signet/v1/signer.pb-c.h"

/* ---- bounds of what comes from outside ---- */

#define SCEP_BODY_MAX (256 * 1024)
#define TRANSACTION_ID_MAX 128
#define NONCE_MAX 64
#define CHALLENGE_MAX 2048 /* Intune's are long */
#define NETWORKS_MAX 64
#define CA_CHAIN_MAX 10
#define PREDECESSORS_MAX 8

struct scep_config {
    const char *listen, *tls_listen, *tls_cert_file, *tls_key_file;
    int loops, workers, keep_days;
    const char *http_ca_file, *proxy_networks, *secrets;
    struct request_limit_config limit;
};

struct scep {
    struct scep_config config;
    struct proxies proxies;
    struct request_limit *limit;
    struct db *db;
    struct bus *bus;
    struct outbox *outbox;
    struct snapshot_slot *profiles;
    struct service_loop *profile_loop;
    struct ra_cache *ras;
    struct intune_cache *intune;
    struct commit_queue *admissions;
    struct rpc_gather *enrolments, *openings, *replies;
    struct lease *pulls; /* of revocations */
    struct lease *retired_ras;
    struct prune prune;
};

/* The gateway with the database of a transaction, for a configuration_writer. */
static inline struct scep
scep_within(const struct scep *scep, struct db *db)
{
    struct scep within = *scep;
    within.db = db;
    return within;
}

/* ---- profiles.c ---- */

enum authorization { BY_PASSPHRASE, BY_CHALLENGE, BY_WEBHOOK, BY_INTUNE, BY_APPROVAL };

struct profile {
    const Pb__ScepProfile *about;
    const char *incarnation;
    const char *ra; /* what the signer calls its RA */
    enum authorization authorization;
    bool ca_only_ra; /* GetCACert gives the RA certificate alone */
    struct network *request_networks, *admin_networks;
    size_t request_network_count, admin_network_count;
    struct bytes passphrase, admin_password; /* salted hashes; none: there is none */
    struct bytes challenge_salt;
    int64_t changed_at_s;
};

struct profiles {
    struct profile *at;
    size_t count;
};

/* Strict: every field, and the fields among each other. What is resolved lives in rq's arena and borrows from `about`. ERR_BAD_REQUEST. */
enum error profile_check(struct request *rq, const Pb__ScepProfile *about, struct profile *ret_profile) MUST_CHECK;
/* What the signer calls the RA of a profile. */
const char *profile_ra(struct arena *arena, const char *name, const char *incarnation);
/* Reads all of them anew. */
enum error profiles_refresh(struct scep *scep, struct request *rq) MUST_CHECK;
/* After a change that was made here. What is stored is stored: when the database is away now, the next look finds it. */
void profiles_changed(struct scep *scep, struct request *rq);
/* By NOTIFY, and by a slow timer. */
enum error profiles_follow(struct service *service, struct scep *scep, struct request *rq) MUST_CHECK;
/* Held until the request ends; noted for the log. ERR_NOT_FOUND, also for one that is disabled; ERR_UNAVAILABLE until they were read once. */
enum error profile_find(struct scep *scep, struct request *rq, const char *name, const struct profile **ret_profile) MUST_CHECK;
enum error profile_find_ndes(struct scep *scep, struct request *rq, const struct profile **ret_profile) MUST_CHECK;
enum error profiles_hold(struct scep *scep, struct request *rq, const struct profiles **ret_profiles) MUST_CHECK;

/* ---- ra_cache.c: the RA certificate of a profile and the CAs above it ---- */

struct profile_ca {
    const char *name;
    struct certificate certificate;
};

struct ra_certificates {
    struct certificate ra;
    struct certificate issuer;
    struct bytes chain[CA_CHAIN_MAX]; /* the issuer first, the root included */
    size_t chain_count;
    const char *successor;  /* of the issuer; "": none */
    struct profile_ca *cas; /* the issuer, and those that it has succeeded */
    size_t ca_count;
};

struct ra_cache *ra_cache_new(void);
void ra_cache_free(struct ra_cache *cache);
/* In rq's arena. */
enum error ra_certificates_load(struct scep *scep, struct request *rq, const struct profile *profile, struct ra_certificates *ret_certificates)
    MUST_CHECK;
/* The signed message that names the CA after this one. ERR_NOT_FOUND: none is named. */
enum error next_ca_load(struct scep *scep, struct request *rq, const struct profile *profile, struct bytes *ret_message) MUST_CHECK;

/* ---- authorities.c ---- */

/* Who has issued this certificate; NULL: none of them. */
const struct profile_ca *authorities_find_issuer(const struct ra_certificates *ras, struct bytes der);
const struct profile_ca *authorities_find_name(const struct ra_certificates *ras, const char *name);
bool authorities_have_subject(const struct ra_certificates *ras, struct bytes subject);

/* ---- ber.c: what devices send, as DER ---- */

/* Indefinite and long-winded lengths become the shortest, octet strings in pieces become one. Lengths and depth are bounded by those of the input.
 * False when it is not exactly one value. */
bool ber_to_der(struct arena *arena, struct bytes ber, struct bytes *ret_der);

/* ---- cms.c: the two shapes of CMS that SCEP uses (RFC 5652 §5, §6), from DER ---- */

#define RECIPIENTS_MAX 16

struct cms_signed {
    struct bytes content;                      /* none when there is none */
    struct bytes certificates;                 /* one after the other */
    struct bytes signer_issuer, signer_serial; /* or */
    struct bytes signer_key_id;
    struct bytes digest_oid;
    struct bytes attributes; /* the elements of the SET */
    struct bytes signature_oid, signature;
};

struct cms_recipient {
    struct bytes issuer, serial; /* or */
    struct bytes key_id;
    struct bytes key_algorithm;
    struct bytes encrypted_key;
};

struct cms_enveloped {
    struct cms_recipient recipients[RECIPIENTS_MAX];
    size_t recipient_count;
    struct bytes cipher_oid, iv;
    struct bytes content;
};

/* NULL, or what is wrong. */
const char *cms_read_signed(struct bytes der, struct cms_signed *ret_signed);
const char *cms_read_enveloped(struct arena *arena, struct bytes der, struct cms_enveloped *ret_enveloped);

/* ---- pki_message.c: a request of RFC 8894 §3.2, its envelope not opened yet ---- */

enum message_type { RENEWAL_REQ = 17, PKCS_REQ = 19, CERT_POLL = 20, GET_CERT = 21, GET_CRL = 22 };

/* The certificate that a request is signed with. Devices make their own, of any version; of it, only this is looked at. */
struct peer {
    struct bytes der;
    struct bytes serial, issuer, subject;
    int64_t not_before_s, not_after_s;
    struct public_key key;
    EVP_PKEY *imported; /* by peer_import; NULL before */
};

struct pki_message {
    enum message_type type; /* or a number that is none of them */
    const char *transaction_id;
    struct bytes sender_nonce;
    Pb__ScepDigest digest; /* of the request, and so of the reply; SHA-256 where the request's is not known here */
    struct peer signer;
    struct cms_signed signed_data;
};

/* What a reply needs; nothing is verified yet. ERR_BAD_REQUEST: nothing can be said to who sent this, in SCEP. */
enum error pki_message_read(struct request *rq, struct bytes ber, struct pki_message *ret_message) MUST_CHECK;
/* The signature. ERR_BAD_REQUEST, with the failInfo. */
enum error pki_message_verify(struct request *rq, struct pki_message *message) MUST_CHECK;
/* A certificate of any version; false when it is none. */
bool peer_read(struct bytes der, struct peer *ret_peer);
/* The key that a request is verified and its answer encrypted with, made once; it lives as long as the arena. NULL: it cannot be used. */
EVP_PKEY *peer_import(struct arena *arena, struct peer *peer);

/* ---- envelope.c ---- */

/* The content of the envelope, which is rubbish where it does not open, and the cipher that it was encrypted with. The refusals have the reasons of
 * fail_info.c. */
enum error envelope_open(struct scep *scep, struct request *rq, const struct profile *profile, const struct certificate *ra, struct bytes envelope,
                         struct bytes *ret_content, Pb__ScepCipher *ret_cipher) MUST_CHECK;
/* For the key of `peer`; where that only signs, for who knows the password. ERR_BAD_REQUEST: there is none. */
enum error envelope_seal(struct request *rq, struct peer *peer, struct bytes password, Pb__ScepCipher cipher, struct bytes content,
                         struct bytes *ret_envelope) MUST_CHECK;
/* The same with a content key that is known already, for the two above and for tests. */
enum error envelope_decrypt(struct request *rq, const struct cms_enveloped *enveloped, Pb__ScepCipher cipher, struct bytes key,
                            struct bytes *ret_content) MUST_CHECK;
Pb__ScepCipher envelope_cipher(struct bytes oid);

/* ---- password_recipient.c ---- */

/* One RecipientInfo. The key is wrapped with the cipher that it is for. */
bool password_recipient_put(struct buffer *out, struct bytes password, struct bytes cipher_oid, const EVP_CIPHER *cipher, struct bytes content_key);

/* ---- fail_info.c: the only place that turns our kinds of error into SCEP's ---- */

enum fail_info { FAIL_BAD_ALG, FAIL_BAD_MESSAGE_CHECK, FAIL_BAD_REQUEST, FAIL_BAD_TIME, FAIL_BAD_CERT_ID };

/* Refuses with a failInfo of its own. `rule` is a short word for the log: "challenge", "network", … */
enum error refuse(struct request *rq, enum error kind, enum fail_info info, const char *rule, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
enum fail_info fail_info_of(const struct failure *failure);
/* The rule that refused: the one that `refuse` named, or the layer, or the kind. */
const char *fail_info_rule(const struct failure *failure);

/* ---- one request under way ---- */

struct conversation {
    struct scep *scep;
    struct http_exchange *x;
    struct request *rq;
    const struct profile *profile;
    struct ra_certificates ras;
    struct pki_message message;
    Pb__ScepCipher cipher;
    struct bytes content;  /* of the envelope */
    struct bytes password; /* of the certification request: what a key that only signs is answered under; or none */
};

/* routes.c */
extern const struct http_route scep_routes[];
extern const size_t scep_route_count;
void scep_render_failure(void *context, struct http_exchange *x);
/* For the log, before anything can be refused. */
void note_client(struct http_exchange *x);

/* get.c: `message` of a GET request, escaped or not, as octets. */
enum error get_message_decode(struct request *rq, const char *query, struct bytes *ret_message) MUST_CHECK;

/* get_ca.c */
enum error get_ca_caps(struct scep *scep, struct http_exchange *x, const struct profile *profile) MUST_CHECK;
enum error get_ca_cert(struct scep *scep, struct http_exchange *x, const struct profile *profile) MUST_CHECK;
enum error get_next_ca_cert(struct scep *scep, struct http_exchange *x, const struct profile *profile) MUST_CHECK;

/* pki_operation.c */
enum error pki_operation(struct scep *scep, struct http_exchange *x, const struct profile *profile, struct bytes message) MUST_CHECK;

/* reply.c */
enum error reply_check_readable(struct conversation *c, struct bytes password) MUST_CHECK;
enum error reply_certificates(struct conversation *c, const struct bytes *certificates, size_t count, struct bytes crl) MUST_CHECK;
enum error reply_pending(struct conversation *c) MUST_CHECK;
/* Tells the device what rq's failure is, and the log. What may be repeated is an HTTP status instead. */
enum error reply_failure(struct conversation *c) MUST_CHECK;

/* enroll.c: PKCSReq, RenewalReq; CertPoll */
enum error enroll_request(struct conversation *c) MUST_CHECK;
enum error enroll_poll(struct conversation *c) MUST_CHECK;

/* certificates.c: GetCert and GetCRL */
enum error give_certificate(struct conversation *c) MUST_CHECK;
enum error give_crl(struct conversation *c) MUST_CHECK;

/* ---- authorize.c ---- */

struct transaction {
    const char *transaction_id;
    struct bytes csr;
    uint8_t request_sha256[32];
    uint8_t signer_key_sha256[32];
    int round;
    const char *principal_kind, *principal_id;
    bool needs_approval;
    bool notified; /* whoever vouched for the device knows that it has its certificate */
};

/* Whether this new request may go to ra; says who asks. When it was a one-time challenge, `ret_challenge` is its hash and is used up by the statement
 * that stores the transaction. */
enum error authorize(struct conversation *c, const struct csr *csr, struct transaction *transaction, struct bytes *ret_challenge) MUST_CHECK;

/* renewal.c */
enum error renewal_authorize(struct conversation *c, const struct csr *csr, struct transaction *transaction) MUST_CHECK;

/* outside.c */
struct outside_answer {
    int status;
    json_t *json; /* NULL when the body is none; lives as long as the request */
};
/* ERR_UNAVAILABLE when there is no answer. */
enum error outside_get(struct scep *scep, struct request *rq, const char *url, const char *const *headers, struct outside_answer *ret_answer)
    MUST_CHECK;
enum error outside_post(struct scep *scep, struct request *rq, const char *url, const char *const *headers, const char *body,
                        struct outside_answer *ret_answer) MUST_CHECK;
/* The JSON as text in the arena; takes it. */
const char *outside_text(struct arena *arena, json_t *take);
/* Profiles name files of SIGNET_SCEP_SECRETS and no others: who may write profiles says where a secret is sent, too. */
bool outside_secret_is_named(const char *file);
/* The text of such a file, in the request's arena; "" when no file is named. */
enum error outside_secret(const struct scep *scep, struct request *rq, const char *file, const char **ret_secret) MUST_CHECK;

/* webhook.c, intune_session.c, intune.c, intune_revocation.c */
enum error webhook_ask(struct conversation *c, const struct csr *csr) MUST_CHECK;
struct intune_cache *intune_cache_new(void);
void intune_cache_free(struct intune_cache *cache);
/* Who asks Intune, for which profile. */
struct intune {
    struct scep *scep;
    struct request *rq;
    const struct profile *profile;
};
enum intune_service { INTUNE_VALIDATION, INTUNE_CONNECTOR, INTUNE_SERVICE_COUNT };
/* What the member of this name is in the answer, which lives as long as the request. ERR_UNAVAILABLE: everything else that may happen. */
enum error intune_post(const struct intune *intune, enum intune_service service, const char *action, const char *body, const char *member,
                       const json_t **ret_value) MUST_CHECK;
/* ERR_UNAVAILABLE, with the reason in the log; what was kept of the session is forgotten. */
enum error intune_unreachable(const struct intune *intune, const char *what, const char *why);
/* Does what Intune asks for now, and tells it. */
enum error intune_revocations(const struct intune *intune, const struct profiles *profiles) MUST_CHECK;
/* From now on, for all profiles that say so. */
enum error intune_pull(struct service *service, struct request *rq, struct scep *scep) MUST_CHECK;
enum error intune_validate(struct conversation *c) MUST_CHECK;
enum error intune_tell_success(struct conversation *c, const Pb__EnrollReply *reply) MUST_CHECK;
/* What went wrong stays as it is: the device is refused in any case. */
void intune_tell_failure(struct conversation *c);

/* retire_ra.c: from now on, keys of deleted profiles are destroyed */
enum error retire_ras(struct service *service, struct request *rq, struct scep *scep) MUST_CHECK;

/* mscep_admin.c: the NDES page */
http_handler mscep_admin, mscep_admin_of_profile;

/* ---- store.c ---- */

/* Those that this build can read; of others a note says so. */
enum error store_list_profiles(struct scep *scep, struct request *rq, struct profiles *ret_profiles) MUST_CHECK;
/* False in ret_changed: it was so already. ERR_CONFLICT when it exists and shall not, or when another profile has the NDES paths. */
/* A new one gets the incarnation, one that is there keeps its own. */
enum error store_save_profile(struct scep *scep, struct request *rq, const Pb__ScepProfile *profile, const char *incarnation, bool create,
                              bool *ret_changed) MUST_CHECK;
/* With everything that refers to it. ERR_NOT_FOUND. */
enum error store_delete_profile(struct scep *scep, struct request *rq, const char *name, const char *operator_) MUST_CHECK;
/* NULL: there is no such profile. */
enum error store_find_incarnation(struct scep *scep, struct request *rq, const char *profile, const char **ret_incarnation) MUST_CHECK;
/* Before an RA's key is made: that it is to be destroyed then, unless store_keep_ra says otherwise with its profile. */
enum error store_announce_ra(struct scep *scep, struct request *rq, const char *name, const char *operator_, int seconds) MUST_CHECK;
enum error store_keep_ra(struct scep *scep, struct request *rq, const char *name) MUST_CHECK;
extern const struct db_statement store_take_retired_ras;
enum error store_forget_retired_ra(struct scep *scep, struct request *rq, const char *name, const char *holder) MUST_CHECK;
enum error store_delay_retired_ra(struct scep *scep, struct request *rq, const char *name, const char *holder, int seconds) MUST_CHECK;
/* With 0 minutes the profile pulls no revocations; else the first ones at once. */
enum error store_set_pull(struct scep *scep, struct request *rq, const char *profile, int minutes) MUST_CHECK;
extern const struct db_statement store_take_pulls;
enum error store_end_pull(struct scep *scep, struct request *rq, const char *profile, const char *holder, int minutes) MUST_CHECK;
enum error store_set_passphrase(struct scep *scep, struct request *rq, const char *profile, struct bytes hash, bool *ret_found) MUST_CHECK;
enum error store_set_admin_password(struct scep *scep, struct request *rq, const char *profile, struct bytes hash, bool *ret_found) MUST_CHECK;

/* False in ret_added: there are too many that nobody has used. */
enum error store_add_challenge(struct scep *scep, struct request *rq, const struct profile *profile, struct bytes mac, bool *ret_added) MUST_CHECK;
enum error store_find_transaction(struct scep *scep, struct request *rq, const char *profile, struct transaction *transaction, bool *ret_found)
    MUST_CHECK;
/* The newest with this id and this key. */
enum error store_find_polled(struct scep *scep, struct request *rq, const char *profile, struct transaction *transaction, bool *ret_found) MUST_CHECK;
extern const struct db_statement store_forget_transactions;
/* One more round of a transaction of this very moment. */
enum error store_next_round(struct scep *scep, struct request *rq, const char *profile, const struct transaction *transaction) MUST_CHECK;
enum error store_set_notified(struct scep *scep, struct request *rq, const char *profile, const struct transaction *transaction) MUST_CHECK;
/* With `challenge`: uses it up in the same statement, and ret_added is false when it is not to be had. False, too, when too many wait for a person.
 */
enum error store_add_transaction(struct scep *scep, struct request *rq, const char *profile, const struct transaction *transaction,
                                 struct bytes challenge, bool *ret_added) MUST_CHECK;

/* Of scep->admissions, whose items are struct admission. */
struct admission {
    const char *profile;
    const struct transaction *transaction;
    bool added;
};
commit_batch store_add_transactions;

/* A certificate of one of the profile's CAs. None when that has not issued it. */
struct enrolled {
    struct bytes certificate;
    bool is_of_profile, is_revoked;
};
enum error store_find_certificate(struct scep *scep, struct request *rq, const struct profile *profile, const char *issuer, struct bytes serial,
                                  struct enrolled *ret_enrolled) MUST_CHECK;
/* Of any profile or protocol; all NULL when the serial number is none of ours. */
struct issued {
    const char *issuer, *channel;
};
enum error store_find_issued(struct scep *scep, struct request *rq, struct bytes serial, struct issued *ret_issued) MUST_CHECK;
enum error store_find_crl(struct scep *scep, struct request *rq, const char *issuer, int most, int64_t *ret_len, struct bytes *ret_crl) MUST_CHECK;

/* ---- contracts: one file each ---- */

enum error save_scep_profile(struct scep *scep, struct request *rq, const Pb__SaveScepProfileRequest *request, Pb__SaveScepProfileReply *ret_reply);
enum error list_scep_profiles(struct scep *scep, struct request *rq, const Pb__ListScepProfilesRequest *request,
                              Pb__ListScepProfilesReply *ret_reply);
enum error delete_scep_profile(struct scep *scep, struct request *rq, const Pb__DeleteScepProfileRequest *request,
                               Pb__DeleteScepProfileReply *ret_reply);
enum error rotate_scep_secret(struct scep *scep, struct request *rq, const Pb__RotateScepSecretRequest *request,
                              Pb__RotateScepSecretReply *ret_reply);

/* handlers.c */
ProtobufCService *scep_handlers(void);

#endif
