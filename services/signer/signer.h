/* The signer's own header: its context, its nouns, and what each file offers the others. */
#ifndef SIGNET_SIGNER_H
#define SIGNET_SIGNER_H

#include <openssl/evp.h>
#include <stdatomic.h>

#include "base/request.h"
#include "hsm_pool.h"
#include "link/bus.h"
#include "link/configuration.h"
#include "link/db.h"
#include "link/message.h"
#include "link/metrics.h"
#include "link/outbox.h"
#include "link/workers.h"
#include "pki/certificate.h"
#include "pki/crl.h"
#include "pki/oid.h"
#include "signet/v1/event.pb-c.h"
#include "signet/v1/signer.pb-c.h"

#define CHAIN_MAX 8
#define ALTERNATES_MAX 4
#define WARRANT_KEYS_MAX 8
#define EXTENDED_KEY_USAGES_MAX 16

struct signer_config {
    const char *hsm_module, *hsm_token, *hsm_pin_file, *hsm_worker;
    int hsm_workers, hsm_queue, hsm_start_ms, hsm_operation_ms, hsm_generate_ms, hsm_retire_after;
    int threads, queue;
    const char *warrant_key_files;
    const char *ocsp_url, *publish_url;
    int responder_days;
};

struct signer {
    struct signer_config config;
    struct db *db;
    struct bus *bus;
    struct outbox *outbox;
    struct hsm_pool *hsm;
    EVP_PKEY *warrant_keys[WARRANT_KEYS_MAX];
    size_t warrant_key_count;
    struct authority_cache *authorities;
    struct template_cache *templates;
    struct template_use *template_use;
    struct delegates *responders, *scep_ras;
    struct workers *crew; /* of sign_certificates.c */
    struct metric *certificates, *crls, *ocsp_responses, *scep_replies, *lint_refusals, *bad_signatures;
};

/* ---- held.c: what is made once, never changed, and used by many requests at a time ---- */

/* The first member of what is held. */
struct held {
    atomic_int holders;
    struct arena *arena; /* it lies in it, and so does the name */
    const char *name;
    void (*close)(struct held *held); /* what the arena does not free */
    struct held *next;                /* the table's */
};

struct held_table *held_table_new(void);
void held_table_free(struct held_table *table);
/* NULL, or held until the request ends. */
const struct held *held_find(struct held_table *table, struct request *rq, const char *name);
/* In the place of the one with its name; held by rq, too. Takes its arena. */
void held_put(struct held_table *table, struct request *rq, struct held *held);

/* ---- keys on the token ---- */

/* How to sign with a key, and how to check what came of it. */
struct token_key {
    char label[HSM_LABEL_MAX];
    struct bytes id;
    struct public_key public_key;
    EVP_PKEY *verify; /* the same, imported once */
    enum signature_algorithm algorithm;
};

/* hsm_key.c. `uri` and `spki` must live as long as the key; the key is closed with hsm_key_close. */
enum error hsm_key_open(struct request *rq, const char *uri, struct bytes spki, enum signature_algorithm algorithm, struct token_key *ret_key)
    MUST_CHECK;
void hsm_key_close(struct token_key *key);
/* Hashes, signs on the HSM, and verifies before anybody sees the signature. */
enum error hsm_key_sign(struct signer *signer, struct request *rq, const struct token_key *key, struct bytes message, struct bytes *ret_signature)
    MUST_CHECK;
/* The same for many messages with few calls. All, or an error: then none of the signatures is to be used. */
enum error hsm_key_sign_all(struct signer *signer, struct request *rq, const struct token_key *key, const struct bytes *messages, size_t count,
                            struct bytes *ret_signatures) MUST_CHECK;

/* hsm_key_scep.c: what only the RA keys of SCEP do. ERR_BAD_REQUEST: the token did not open it, whatever was wrong with it. */
enum error hsm_key_decrypt(struct signer *signer, struct request *rq, const struct token_key *key, struct bytes ciphertext,
                           struct bytes *ret_plaintext) MUST_CHECK;
/* For devices that know no other digest; verified like every signature. */
enum error hsm_key_sign_sha1(struct signer *signer, struct request *rq, const struct token_key *key, struct bytes message,
                             struct bytes *ret_signature) MUST_CHECK;

/* hsm_key_make.c: the key that this URI names: generated, or found when an earlier attempt or somebody else made it. */
struct made_key {
    struct bytes spki;
    const char *evidence; /* JSON */
};
/* ERR_BAD_REQUEST: the HSM makes no such keys. ERR_DENIED: the key is not protected as a CA's must be. */
enum error hsm_key_make(struct signer *signer, struct request *rq, const char *uri, const char *key_type, enum hsm_usage usage,
                        struct made_key *ret_key) MUST_CHECK;
/* And is gone, if it was there. */
enum error hsm_key_destroy(struct signer *signer, struct request *rq, const char *uri) MUST_CHECK;
/* A new URI on the default token with a random id. */
const char *hsm_key_new_uri(struct signer *signer, struct request *rq, const char *label);
bool hsm_key_type_is_known(const char *key_type);
/* SIG_UNKNOWN when the digest has an unknown name; "" is the usual one of the key. */
enum signature_algorithm hsm_key_algorithm(const char *key_type, const char *digest);

/* evidence.c */
const char *evidence_format(struct signer *signer, struct request *rq, const struct hsm_key_facts *facts);

/* service_key.c: a key beside the CAs' own, made on first use; `name` is 'audit', 'ocsp:<CA>' or 'scep:<profile>'. P-256, but RSA-2048 for SCEP,
 * where it opens envelopes too. Its memory is the caller's arena. */
struct service_key {
    const char *uri;
    struct bytes spki;
};
enum error service_key_load(struct signer *signer, struct request *rq, const char *name, struct service_key *ret_key) MUST_CHECK;

/* ---- CAs ---- */

enum authority_status { AUTHORITY_CREATING, AUTHORITY_WAITING, AUTHORITY_ACTIVE, AUTHORITY_RETIRED };

/* A row of ca.authority. Texts and octets live in the arena it was read into. */
struct way_up {
    struct bytes certificates[CHAIN_MAX + 1]; /* the CA's own one first */
    size_t count;
};

struct authority_row {
    const char *name;
    enum authority_status status;
    struct bytes subject;
    const char *key_uri, *key_type, *digest, *parent, *evidence; /* parent: "" for none */
    const char *successor;                                       /* the CA that takes over from it; "" for none */
    bool csr_only, is_default, has_children;
    int id, path_length;
    struct bytes serial, public_key, csr, certificate; /* public_key, csr, certificate: none while they are not made */
    int64_t not_before_s, not_after_s, created_at_s;
    int64_t revoked_at_s; /* 0: not */
    int revocation_reason;
    struct bytes chain[CHAIN_MAX];
    size_t chain_count;
    struct way_up alternates[ALTERNATES_MAX];
    size_t alternate_count;
};

const char *authority_status_name(enum authority_status status);

/* A CA that can sign: from the cache, unchanging. */
struct authority {
    struct held held;
    int64_t read_ms; /* when, and in which epoch of the cache */
    unsigned epoch;
    struct authority_row row;
    struct certificate certificate;
    struct token_key key;
    struct bytes subject_key_id;
    bool is_self_signed;
    int path_length;                          /* of the certificate; -1: no limit */
    const char *crl_url, *aia_url, *ocsp_url; /* for what it issues; "" when not configured */
};

/* authority.c. The CA is held until the request ends. ERR_NOT_FOUND: no such CA, or it has no certificate yet. */
struct authority_cache *authority_cache_new(void);
void authority_cache_free(struct authority_cache *cache);
/* All of them are read anew: after a write. */
void authority_cache_forget(struct authority_cache *cache);
/* When another replica has written, a CA or a template. */
enum error authorities_follow(struct signer *signer, struct request *rq) MUST_CHECK;
enum error authority_load(struct signer *signer, struct request *rq, const char *name, const struct authority **ret_authority) MUST_CHECK;

/* ---- templates ---- */

struct template
{
    const Pb__Template *about;
    unsigned key_usage; /* bits of RFC 5280 */
    struct bytes extended_key_usage[EXTENDED_KEY_USAGES_MAX];
    size_t extended_key_usage_count;
};

/* template.c */
struct template_cache *template_cache_new(void);
void template_cache_free(struct template_cache *cache);
enum error template_load(struct signer *signer, struct request *rq, const char *name, uint32_t version, const struct template **ret_template)
    MUST_CHECK;
/* Strict: every field, and the fields among each other. ERR_BAD_REQUEST. What is resolved lives in `arena`, and borrows from `about`. */
enum error template_check(struct request *rq, struct arena *arena, const Pb__Template *about, struct template *ret_template) MUST_CHECK;
/* template_use.c: whether certificates may be issued from it, in any version. ERR_DENIED: its newest one is disabled. Costs no round trip. */
struct template_use *template_use_new(void);
void template_use_free(struct template_use *use);
enum error template_check_use(struct signer *signer, struct request *rq, const char *name) MUST_CHECK;
/* Read anew: after a write. */
void template_use_forget(struct template_use *use);
/* All changes until then have been heard of. */
void template_use_heard(struct template_use *use, int64_t until_ms);
/* How the key type is called in templates: "rsa", "p256", … */
const char *template_key_name(enum key_type type);

/* ---- certificates ---- */

/* warrant.c */
enum error warrant_keys_load(struct signer *signer, struct request *rq) MUST_CHECK;
void warrant_keys_free(struct signer *signer);
/* One for all of these intents, in this order. ERR_UNAUTHENTICATED. */
enum error warrant_check(struct signer *signer, struct request *rq, const struct bytes *intents, size_t count, struct bytes warrant) MUST_CHECK;

/* An intent, read and checked in its form. */
struct intent {
    const Pb__CertificateIntent *about;
    struct bytes serial, subject;
    struct public_key key;
    struct identifier *names;
    size_t name_count;
};

/* intent.c: form, then what CA and template allow. */
enum error intent_read(struct request *rq, struct bytes packed, struct intent *ret_intent) MUST_CHECK;
enum error intent_check(struct request *rq, const struct intent *intent, const struct template *template, const struct authority *authority)
    MUST_CHECK;

/* encode.c: the same intent, template and CA always give the same octets. */
/* The key usages of the template that this kind of key can have. */
unsigned encode_key_usage(const struct template *template, enum key_type type);
struct certificate_plan encode_plan(struct request *rq, const struct intent *intent, const struct template *template,
                                    const struct authority *authority);

/* lint.c: re-reads a TBS of ours and compares it with its plan, then applies the rules of the field. ERR_INTERNAL: it must never have been encoded.
 */
enum error lint_check(struct request *rq, struct bytes tbs, const struct certificate_plan *plan) MUST_CHECK;

/* issue.c: encode, lint, sign, verify; for every certificate that leaves here. `key` signs, and must be the key of plan->issuer. */
enum error issue_certificate(struct signer *signer, struct request *rq, const struct certificate_plan *plan, const struct token_key *key,
                             struct bytes *ret_certificate) MUST_CHECK;
/* Its first and its last step, for those who sign many at once. */
enum error issue_encode(struct signer *signer, struct request *rq, const struct certificate_plan *plan, struct bytes *ret_tbs) MUST_CHECK;
struct bytes issue_join(struct signer *signer, struct request *rq, struct bytes tbs, const struct token_key *key, struct bytes signature);

/* delegate.c: a certificate of the signer's own below a CA, with a key of its own, renewed by itself. Held until the request ends. */
#define DELEGATE_SECRET_LEN 32
struct delegate {
    struct held held;
    struct token_key key;
    struct certificate certificate;
    uint8_t key_id[20];                  /* SHA-1 */
    uint8_t secret[DELEGATE_SECRET_LEN]; /* what its kind derives from the key */
};

/* Whose it is: `name` is that of the SCEP profile, or once more that of the CA. */
struct delegate_place {
    const char *name;
    const struct authority *authority;
};

/* What is particular to OCSP responders, and to SCEP's RAs. */
struct delegate_kind {
    const char *note;        /* how log lines call it */
    const char *key_prefix;  /* its key is the service key "<prefix>:<name>" */
    const char *common_name; /* the name follows */
    const char *expired;     /* what that means for a CA that has expired */
    enum signature_algorithm algorithm;
    int (*life_days)(const struct signer *signer);
    /* Usages and extensions. */
    void (*fill)(const struct authority *authority, struct certificate_plan *plan);
    enum error (*find)(struct signer *signer, struct request *rq, const struct delegate_place *place, bool *ret_found, struct bytes *ret_certificate);
    enum error (*begin)(struct signer *signer, struct request *rq, const struct delegate_place *place, const struct certificate_plan *plan);
    enum error (*set)(struct signer *signer, struct request *rq, struct bytes serial, struct bytes certificate);
    /* With its key open; NULL: nothing more to do. */
    enum error (*finish)(struct signer *signer, struct request *rq, struct delegate *delegate);
};

struct delegates *delegates_new(const struct delegate_kind *kind);
void delegates_free(struct delegates *delegates);
enum error delegate_load(struct signer *signer, struct request *rq, struct delegates *delegates, const struct delegate_place *place,
                         const struct delegate **ret_delegate) MUST_CHECK;

/* responder.c: the delegated OCSP responder of a CA. */
extern const struct delegate_kind responder_kind;
enum error responder_load(struct signer *signer, struct request *rq, const struct authority *authority, const struct delegate **ret_responder)
    MUST_CHECK;

/* scep_ra.c: the RA certificate of a SCEP profile. Its secret is what keys for envelopes that do not open are made of. ERR_BAD_REQUEST: such a name
 * no profile has. */
extern const struct delegate_kind scep_ra_kind;
enum error scep_ra_check_name(struct request *rq, const char *profile) MUST_CHECK;
/* Of its row in ca.service_key. */
const char *scep_ra_key_name(struct arena *arena, const char *profile);
enum error scep_ra_of(struct signer *signer, struct request *rq, const char *profile, const char *issuer, const struct delegate **ret_ra) MUST_CHECK;

/* cms.c: SignedData with one signer (RFC 5652 §5). */
#define CMS_ATTRIBUTES_MAX 10
struct cms_attributes {
    struct arena *arena;
    struct bytes at[CMS_ATTRIBUTES_MAX];
    size_t count;
};
/* Content type, signing time and the content's digest. */
struct cms_attributes cms_attributes_of(struct arena *arena, struct bytes content, const EVP_MD *md);
void cms_add(struct cms_attributes *to, struct bytes type, unsigned tag, struct bytes content);
void cms_add_whole(struct cms_attributes *to, struct bytes type, struct bytes value);
struct bytes cms_to_sign(const struct cms_attributes *attributes);
struct cms_plan {
    struct bytes content;                  /* none: none */
    const struct certificate *certificate; /* the signer's */
    struct bytes digest;                   /* its OID */
    enum signature_algorithm algorithm;    /* where the key is no RSA key */
    const struct cms_attributes *attributes;
};
struct bytes cms_join(struct arena *arena, const struct cms_plan *plan, struct bytes signature);

/* ca_profile.c: the certificate of a CA, its request, and its contract form. */
enum error ca_profile_subject(struct request *rq, const Pb__CreateCaRequest *request, struct bytes *ret_subject) MUST_CHECK;
struct certificate_plan ca_profile_plan(struct request *rq, const struct authority_row *row, const struct public_key *key,
                                        const struct authority *parent);
Pb__Ca *ca_profile_message(struct request *rq, const struct authority_row *row);
/* Chain, default, event: everything that makes a CA active, in one transaction. */
enum error ca_profile_activate(struct signer *signer, struct request *rq, const char *by, struct authority_row *row) MUST_CHECK;

/* ---- store.c, store_authority.c, store_delegate.c, store_template.c: all SQL ---- */

/* The same again changes nothing. */
enum error store_add_alternate(struct db *db, struct request *rq, const char *name, const struct way_up *way, bool *ret_added) MUST_CHECK;
enum error store_find_authority(struct signer *signer, struct request *rq, const char *name, bool *ret_found, struct authority_row *ret_row)
    MUST_CHECK;
enum error store_list_authorities(struct signer *signer, struct request *rq, const char *name, struct authority_row **ret_rows, size_t *ret_count)
    MUST_CHECK;
/* Those that this CA has succeeded and that are not revoked, the latest first. */
enum error store_list_predecessors(struct signer *signer, struct request *rq, const char *name, struct authority_row **ret_rows, size_t *ret_count)
    MUST_CHECK;
/* "": none any more. False in ret_named: `successor` has `name` for a successor of its own. Else ret_before is the one until now. */
enum error store_name_successor(struct db *db, struct request *rq, const char *name, const char *successor, bool *ret_named, const char **ret_before)
    MUST_CHECK;
enum error store_begin_authority(struct signer *signer, struct request *rq, const struct authority_row *row, bool *ret_begun) MUST_CHECK;
/* True when an attempt that broke off is now ours to finish. */
enum error store_resume_authority(struct signer *signer, struct request *rq, const char *name, bool *ret_ours) MUST_CHECK;
/* The attempt has ended without success; the next one need not wait. */
enum error store_release_authority(struct signer *signer, struct request *rq, const char *name) MUST_CHECK;
/* Only while there is no key. */
enum error store_abandon_authority(struct signer *signer, struct request *rq, const char *name) MUST_CHECK;
enum error store_set_authority_key(struct signer *signer, struct request *rq, const char *name, const struct made_key *key) MUST_CHECK;
enum error store_set_authority_csr(struct signer *signer, struct request *rq, const char *name, struct bytes csr) MUST_CHECK;
enum error store_activate_authority(struct signer *signer, struct request *rq, const struct authority_row *row, const char *event_id,
                                    const ProtobufCMessage *event) MUST_CHECK;

enum error store_next_crl_number(struct signer *signer, struct request *rq, const char *authority, int64_t after, int64_t *ret_number) MUST_CHECK;
/* In the order of their serial numbers, those behind `after`; fewer than `most` are the last. */
enum error store_list_revoked(struct signer *signer, struct request *rq, const char *authority, int64_t alive_at_s, struct bytes after, size_t most,
                              struct crl_entry **ret_entries, size_t *ret_count) MUST_CHECK;
/* Unless one with a greater number is there. */
enum error store_put_crl(struct signer *signer, struct request *rq, const char *authority, int64_t number, struct bytes sha256, struct bytes der)
    MUST_CHECK;

enum error store_find_service_key(struct signer *signer, struct request *rq, const char *name, bool *ret_found, struct service_key *ret_key)
    MUST_CHECK;
struct retired_key {
    const char *uri; /* "": none was ever made */
    bool being_made, destroyed;
};
/* From now on it is found by nobody, and claimed by nobody. */
enum error store_retire_service_key(struct signer *signer, struct request *rq, const char *name, struct retired_key *ret_key) MUST_CHECK;
/* False in ret_destroyed: it was already. */
enum error store_destroy_service_key(struct db *db, struct request *rq, const char *name, const char *profile, bool *ret_destroyed) MUST_CHECK;
/* The key is ours to make, under new_uri or the URI of an attempt that broke off. NULL in ret_uri: somebody else's. */
enum error store_claim_service_key(struct signer *signer, struct request *rq, const char *name, const char *new_uri, const char **ret_uri) MUST_CHECK;
enum error store_set_service_key(struct signer *signer, struct request *rq, const char *name, const char *uri, const struct made_key *key) MUST_CHECK;

/* store_delegate.c: the newest of the place; a row that is begun, and what it becomes. */
enum error store_find_responder(struct signer *signer, struct request *rq, const struct delegate_place *place, bool *ret_found,
                                struct bytes *ret_certificate) MUST_CHECK;
enum error store_begin_responder(struct signer *signer, struct request *rq, const struct delegate_place *place, const struct certificate_plan *plan)
    MUST_CHECK;
enum error store_set_responder(struct signer *signer, struct request *rq, struct bytes serial, struct bytes certificate) MUST_CHECK;
enum error store_find_scep_ra(struct signer *signer, struct request *rq, const struct delegate_place *place, bool *ret_found,
                              struct bytes *ret_certificate) MUST_CHECK;
enum error store_begin_scep_ra(struct signer *signer, struct request *rq, const struct delegate_place *place, const struct certificate_plan *plan)
    MUST_CHECK;
enum error store_set_scep_ra(struct signer *signer, struct request *rq, struct bytes serial, struct bytes certificate) MUST_CHECK;

/* version 0: the newest. `name` "": the newest of each. */
enum error store_list_templates(struct db *db, struct request *rq, const char *name, uint32_t version, Pb__Template ***ret_templates,
                                size_t *ret_count) MUST_CHECK;
/* Those whose newest version is disabled. */
enum error store_list_disabled_templates(struct db *db, struct request *rq, const char *const **ret_names, size_t *ret_count) MUST_CHECK;
enum error store_add_template(struct db *db, struct request *rq, const Pb__Template *template, uint32_t *ret_version) MUST_CHECK;

/* context.c: caches and metrics of a signer whose config is filled; the rest is main's. */
void signer_init(struct signer *signer);
void signer_free(struct signer *signer);

/* ---- contracts: one file each ---- */

enum error sign_certificates(struct signer *signer, struct request *rq, const Pb__SignCertificatesRequest *request,
                             Pb__SignCertificatesReply *ret_reply);
enum error sign_crl(struct signer *signer, struct request *rq, const Pb__SignCrlRequest *request, Pb__SignCrlReply *ret_reply);
enum error sign_ocsp(struct signer *signer, struct request *rq, const Pb__SignOcspRequest *request, Pb__SignOcspReply *ret_reply);
enum error sign_audit_head(struct signer *signer, struct request *rq, const Pb__SignAuditHeadRequest *request, Pb__SignAuditHeadReply *ret_reply);
enum error create_ca(struct signer *signer, struct request *rq, const Pb__CreateCaRequest *request, Pb__CreateCaReply *ret_reply);
enum error import_ca(struct signer *signer, struct request *rq, const Pb__ImportCaRequest *request, Pb__ImportCaReply *ret_reply);
enum error name_successor(struct signer *signer, struct request *rq, const Pb__NameSuccessorRequest *request, Pb__NameSuccessorReply *ret_reply);
enum error list_cas(struct signer *signer, struct request *rq, const Pb__ListCasRequest *request, Pb__ListCasReply *ret_reply);
enum error list_templates(struct signer *signer, struct request *rq, const Pb__ListTemplatesRequest *request, Pb__ListTemplatesReply *ret_reply);
enum error import_template(struct signer *signer, struct request *rq, const Pb__ImportTemplateRequest *request, Pb__ImportTemplateReply *ret_reply);
enum error get_scep_ra(struct signer *signer, struct request *rq, const Pb__GetScepRaRequest *request, Pb__GetScepRaReply *ret_reply);
enum error open_scep_envelope(struct signer *signer, struct request *rq, const Pb__OpenScepEnvelopeRequest *request,
                              Pb__OpenScepEnvelopeReply *ret_reply);
enum error sign_scep_reply(struct signer *signer, struct request *rq, const Pb__SignScepReplyRequest *request, Pb__SignScepReplyReply *ret_reply);
enum error destroy_scep_ra(struct signer *signer, struct request *rq, const Pb__DestroyScepRaRequest *request, Pb__DestroyScepRaReply *ret_reply);
enum error sign_scep_next_ca(struct signer *signer, struct request *rq, const Pb__SignScepNextCaRequest *request, Pb__SignScepNextCaReply *ret_reply);

/* handlers.c: the contract bound to those files. */
ProtobufCService *signer_handlers(void);

#endif
