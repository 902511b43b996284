/*
 * The registration authority's own nouns, and what its files offer each other, grouped by the file that defines it.
 *
 * The way of an enrolment: enroll.c → application.c (read and resolve) → layers.c (judge) → intent.c (what becomes of the intent) →
 * link/commit_queue.c (with others that come at the same moment) → issue.c (commit the intents, have them signed, close them) → store.c (all SQL).
 * recover.c finishes the intents of processes that died.
 */
#ifndef SIGNET_RA_H
#define SIGNET_RA_H

#include <stdatomic.h>

#include "base/request.h"
#include "base/snapshot.h"
#include "link/commit_queue.h"
#include "link/db.h"
#include "link/events.h"
#include "link/message.h"
#include "link/metrics.h"
#include "link/outbox.h"
#include "link/rpc.h"
#include "link/service.h"
#include "pki/certificate.h"
#include "pki/csr.h"
#include "pki/serial.h"
#include "signet/v1/event.pb-c.h"
#include "signet/v1/ra.pb-c.h"
#include "signet/v1/signer.pb-c.h"

/* ---- bounds of what comes from outside ---------------------------------------------------------------------------------------------- */

#define CHANNEL_MAX 64
#define IDEMPOTENCY_KEY_MAX 240
#define TEMPLATE_NAME_MAX 100
#define ISSUER_NAME_MAX 40
#define PRINCIPAL_KIND_MAX 40
#define PRINCIPAL_ID_MAX 200
#define OWNER_MAX 200
#define ATTESTED_MAX 2000
#define ASSET_MAX 200
#define CLIENT_ADDRESS_MAX 64
#define INTENT_ID_LEN 16
#define CHAIN_MAX 16
#define MONTHS_MAX (12 * 100) /* serial_month_of counts from 2000: nothing is issued beyond 2099 */

/* Gateways and ra read different clocks: a wish that is later than allowed by so little is granted as the latest that is allowed. */
#define VALIDITY_LEEWAY_S 300

struct ra_config {
    int workers;
    int queue_limit;
    const char *warrant_key_file;
    int recover_after_s;
    int seal_pause_ms;
    int refresh_s;
};

struct ra {
    struct ra_config config;
    struct service *service;
    struct bus *bus;
    struct db *db;
    struct outbox *outbox;
    struct warrant_key *warrant_key;
    struct snapshot_slot *policy;
    struct snapshot_slot *directory;
    struct service_loop *policy_loop;
    struct commit_queue *commits;
    atomic_bool known_months[MONTHS_MAX]; /* months of expiry whose partition is there */
};

/* ---- policy.c: roles, names, assets ----------------------------------------------------------------------------------------------------- */

struct role_member {
    const char *kind, *id; /* patterns */
};

struct role_name {
    const char *pattern;
    bool allow;
};

struct role {
    const char *name;
    bool asset_required;
    struct role_member *members;
    size_t member_count;
    const char **templates; /* patterns */
    size_t template_count;
    struct role_name *names;
    size_t name_count;
};

struct asset_owner {
    const char *asset, *owner;
};

struct policy {
    struct role *roles;
    size_t role_count;
    struct asset_owner *owners; /* sorted by asset, octet by octet */
    size_t owner_count;
};

enum error policy_load(struct request *rq, struct db *db, const struct policy **ret_policy) MUST_CHECK;
/* Keeps the snapshot fresh: by NOTIFY, and by a slow timer. */
enum error policy_follow(struct ra *ra, struct request *rq) MUST_CHECK;
/* The policy in force. ERR_UNAVAILABLE until it was read once: nothing is allowed by default. */
enum error policy_hold(struct ra *ra, struct request *rq, const struct policy **ret_policy) MUST_CHECK;

/* ---- directory.c: the signer's CAs and templates ---------------------------------------------------------------------------------------- */

struct issuer {
    const Pb__Ca *ca;
    bool is_above_others; /* a root of ours, with CAs of ours below it */
    int64_t not_before_s, not_after_s;
    struct bytes chain[CHAIN_MAX]; /* its certificate first, without the root */
    size_t chain_count;
    Pb__CertificateChain **alternates; /* to other roots, without those */
    size_t alternate_count;
};

struct directory {
    struct issuer *issuers; /* those that have a certificate */
    size_t issuer_count;
    Pb__Template *const *templates;
    size_t template_count;
};

enum error directory_refresh(struct ra *ra, struct request *rq) MUST_CHECK;
void directory_follow(struct ra *ra);
/* Both look again at the signer's when the name is not known, but not more than ten times a second. ERR_NOT_FOUND, ERR_UNAVAILABLE. */
enum error directory_find_template(struct ra *ra, struct request *rq, const char *name, const Pb__Template **ret_template) MUST_CHECK;
/* Name "": the default. */
enum error directory_find_issuer(struct ra *ra, struct request *rq, const char *name, const struct issuer **ret_issuer) MUST_CHECK;

/* ---- application.c: a request for a certificate, read and resolved ---------------------------------------------------------------------- */

struct application {
    const Pb__EnrollRequest *request;
    const char *principal_kind, *principal_id, *owner;
    const char *sponsor_kind, *sponsor_id; /* whom the principal acts for; NULL: nobody */
    struct csr csr;
    struct identifier *asked; /* subjectAltName and common name; behind them devices that were attested without that the CSR names them */
    size_t asked_count, san_count, unnamed_count;
    struct identifier *names; /* those that the certificate will carry: all, or none when the template has no subjectAltName */
    size_t name_count;
    struct bytes subject;
    const Pb__Template *template;
    const struct issuer *issuer;
    int64_t now_s, not_before_s, not_after_s;
    uint8_t request_sha256[32];
    uint8_t key_sha256[32]; /* of the SubjectPublicKeyInfo */
};

/* Least and most octets of a text in a message. ERR_BAD_REQUEST, ERR_TOO_LARGE. */
struct text_bound {
    const char *what, *text;
    size_t least, most;
};
enum error check_text_bounds(struct request *rq, const struct text_bound *bounds, size_t count) MUST_CHECK;
/* Bounds and enums of the message. ERR_BAD_REQUEST, ERR_TOO_LARGE. */
enum error application_check(struct request *rq, const Pb__EnrollRequest *request) MUST_CHECK;
/* Of the CSR and the principal: the same idempotency key must come with the same. */
void application_digest(struct request *rq, const Pb__EnrollRequest *request, uint8_t ret_sha256[32]);
/* Parses and verifies the CSR, compares the names, finds template and issuer, and works out subject and validity. No policy. */
enum error application_read(struct ra *ra, struct request *rq, const Pb__EnrollRequest *request, struct application *ret_application) MUST_CHECK;

/* ---- callers.c: which service speaks for whom --------------------------------------------------------------------------------------------- */

/* ERR_DENIED: the service that calls (rq->caller, which the bus vouches for) has no say on this channel, or for such principals. `sponsor` may be
 * NULL. */
enum error caller_check_enroll(struct request *rq, const char *channel, const Pb__Principal *principal, const Pb__Principal *sponsor) MUST_CHECK;
/* The same of a revocation, with that authority, of a certificate that was issued to a principal of this kind. */
enum error caller_check_revoke(struct request *rq, const Pb__RevokeRequest *request, const char *holder_kind) MUST_CHECK;

/* ---- layers.c: the four layers, pure ---------------------------------------------------------------------------------------------------- */

enum layer { LAYER_IDENTITY, LAYER_NAMES, LAYER_RESOURCE, LAYER_TEMPLATE, LAYER_COUNT };

struct verdict {
    bool passed;
    const char *message;
    const char *reason; /* NULL, or a word by which gateways know a refusal that their protocols tell apart */
};

const char *layer_name(enum layer layer); /* "identity" */
const char *layer_code(enum layer layer); /* "AUTH-001" */
void layers_judge(struct arena *arena, const struct policy *policy, const struct application *application, struct verdict ret_verdicts[LAYER_COUNT]);

/* ---- warrant.c -------------------------------------------------------------------------------------------------------------------------- */

#define WARRANT_LEN 64

enum error warrant_key_load(struct request *rq, const char *file, struct warrant_key **ret_key) MUST_CHECK;
void warrant_key_free(struct warrant_key *key);
/* One for all of these intents: Ed25519 over "signet-warrant-v2" NUL, and the SHA-256 of each, in this order. */
void warrant_sign(struct request *rq, const struct warrant_key *key, const struct bytes *intents, size_t count, uint8_t ret_signature[WARRANT_LEN]);

/* ---- intent.c: from the decision to the certificate ------------------------------------------------------------------------------------- */

enum intent_status { INTENT_OPEN = 1, INTENT_PENDING, INTENT_ISSUED, INTENT_REFUSED };

struct intent {
    struct bytes id;
    enum intent_status status;
    const char *channel, *idempotency_key;
    const char *principal_kind, *principal_id, *owner, *client_address;
    const char *preapproved;  /* those of the names that nobody had to prove, separated by blanks */
    const char *on_behalf_of; /* "kind:id"; "": nobody */
    const char *attested;     /* of devices, in words; "": nothing */
    struct bytes request_sha256;
    struct bytes csr;
    struct bytes packed;                /* CertificateIntent: the octets that the warrant signs */
    const Pb__CertificateIntent *plan;  /* the same, unpacked */
    const char *refusal_kind, *refusal; /* when refused */
};

/* Fixes serial, subject, names, validity and key. Nothing is stored yet. */
void intent_plan(struct request *rq, const struct application *application, struct intent *ret_intent);
struct issue;
/* Commits a planned one, and goes on with it as far as issue.c comes: intent_finish tells what became of it. Or finds the one that was committed
 * before under the same key (then issue->intent becomes that one). ERR_CONFLICT when that is another request's; ERR_BAD_CSR when the key is blocked.
 */
enum error intent_commit(struct ra *ra, struct request *rq, const struct application *application, struct issue *issue) MUST_CHECK;
/* Finds what was committed under the key of this request. ERR_CONFLICT as above. */
enum error intent_find(struct ra *ra, struct request *rq, const Pb__EnrollRequest *request, bool *ret_found, struct intent *ret_intent) MUST_CHECK;
/* Finishes an open intent, unless intent_commit has. Loads the certificate of an issued one. A refused one is refused again. Safe to run twice at
 * once: one certificate is stored, and both callers get it. */
enum error intent_finish(struct ra *ra, struct request *rq, struct issue *issue, struct bytes *ret_certificate) MUST_CHECK;
/* Gives an open intent up for the reason in rq's failure, and returns that; when somebody has closed it before, what intent_finish would. */
enum error intent_refuse(struct ra *ra, struct request *rq, const struct intent *intent, struct bytes *ret_certificate) MUST_CHECK;

/* ---- announce.c ------------------------------------------------------------------------------------------------------------------------- */

struct announcement {
    const char *event_id;
    const char *subject;
    struct bytes body;
};

/* A part of a bundle: certificates are announced as they are stored, many at once. */
struct bytes announce_issued(struct request *rq, const struct intent *intent, const struct certificate *certificate, int64_t issued_at_s);

struct revocation;
struct announcement announce_revoked(struct request *rq, const struct revocation *revocation);

/* ---- audit.c: the text of a record -------------------------------------------------------------------------------------------------------- */

#define AUDIT_BODY_MAX 8192

const char *audit_issued(struct request *rq, const struct intent *intent, struct bytes certificate, const char *not_granted);
const char *audit_pending(struct request *rq, const struct intent *intent);
/* Of an intent that cannot be finished; the refusal is rq's failure. */
const char *audit_intent_refused(struct request *rq, const struct intent *intent);
/* Of a request that got no intent; the refusal is rq's failure. Never reads more than bounded parts of the request. */
const char *audit_enroll_refused(struct request *rq, const Pb__EnrollRequest *request);
const char *audit_revoked(struct request *rq, const struct revocation *revocation);
const char *audit_reason_changed(struct request *rq, const struct revocation *revocation);
const char *audit_revoke_refused(struct request *rq, const Pb__RevokeRequest *request, struct bytes serial);
const char *audit_ca_created(struct request *rq, const Pb__CaCreated *created);
const char *audit_configuration_changed(struct request *rq, const Pb__ConfigurationChanged *changed);
const char *audit_account_changed(struct request *rq, const Pb__AccountChanged *changed);
/* What an operator decided about a pending one. */
const char *audit_decided(struct request *rq, const struct intent *intent, const Pb__ApproveRequest *request);
/* What its gateway has taken back. */
const char *audit_withdrawn(struct request *rq, const struct intent *intent, const char *reason);
/* An approval that is refused; why is rq's failure. */
const char *audit_approval_refused(struct request *rq, const struct intent *intent, const Pb__ApproveRequest *request);
const char *audit_key_blocked(struct request *rq, const struct revocation *revocation);

/* ---- wishes.c --------------------------------------------------------------------------------------------------------------------------- */

/* The extensions, usages and purposes that a CSR which csr_parse has accepted asks for, and the certificate does not have, in words; "": none. */
const char *wishes_not_granted(struct arena *arena, struct bytes csr, const struct certificate *certificate);

/* ---- issue.c: many intents on their way to their certificates ------------------------------------------------------------------------------- */

enum issue_progress { ISSUE_PLANNED, ISSUE_COMMITTED, ISSUE_SIGNED, ISSUE_STORED };

/* One of them. What becomes of it, and its failure, lives with the request that it is for, which waits meanwhile. */
struct issue {
    struct request *rq;
    struct intent intent;
    struct bytes key_sha256;
    enum issue_progress progress;
    bool taken;       /* instead of a step: the idempotency key is, or the public key is blocked; somebody else has closed the intent */
    bool repeated;    /* the intent was committed by an earlier call */
    enum error error; /* why the next step failed */
    struct bytes certificate;
    const char *record; /* of a pending one, with its intent; of an issued one, with its certificate */
    struct bytes announcement;
};

/* Does what is left to do for this one, together with others that come at the same time. The result is in `issue`. */
void issue_run(struct ra *ra, struct issue *issue);

commit_batch issue_batch; /* issue.c: items are struct issue, context is struct ra */

/* ---- store.c: all SQL ------------------------------------------------------------------------------------------------------------------- */

/* Both: one statement, one commit. They go one step further, or are `taken`. */
enum error store_intents(struct ra *ra, struct request *rq, struct issue *const *issues, size_t count) MUST_CHECK;
enum error store_certificates(struct ra *ra, struct request *rq, struct issue *const *issues, size_t count) MUST_CHECK;

enum error store_find_intent(struct ra *ra, struct request *rq, const char *channel, const char *idempotency_key, bool *ret_found,
                             struct intent *ret_intent) MUST_CHECK;
enum error store_load_intent(struct ra *ra, struct request *rq, struct bytes id, struct intent *ret_intent) MUST_CHECK;
/* False in ret_refused: it was closed before. */
enum error store_refuse_intent(struct ra *ra, struct request *rq, struct bytes id, const struct failure *why, const char *record, bool *ret_refused)
    MUST_CHECK;
enum error store_is_blocked(struct ra *ra, struct request *rq, const uint8_t key_sha256[32], bool *ret_blocked) MUST_CHECK;
enum error store_load_certificate(struct ra *ra, struct request *rq, int expiry_month, struct bytes serial, struct bytes *ret_certificate) MUST_CHECK;
/* Puts the refusal in rq on record, and returns it; or why that could not be done. */
enum error store_refusal(struct ra *ra, struct request *rq, const char *record) MUST_CHECK;

/* store_heard.c: the record of an event, once however often it comes */
enum error store_heard(struct ra *ra, struct request *rq, const char *event_id, const char *record) MUST_CHECK;

/* on_ca_created.c */
events_handler on_ca_created;
/* on_configuration_changed.c */
events_handler on_configuration_changed;

/* on_account_changed.c */
events_handler on_account_changed;

/* A row taken by recover.c. */
extern const struct db_statement store_take_intents;
struct taken_intent {
    struct intent intent;
    int attempts; /* this one counted */
    const char *holder;
};
enum error store_taken_intent(struct request *rq, const struct db_rows *rows, size_t row, struct taken_intent *ret_taken) MUST_CHECK;
enum error store_postpone_intent(struct ra *ra, struct request *rq, struct bytes id, const char *holder, int pause_s) MUST_CHECK;

struct counts {
    int64_t open_intents, unsealed_records;
};
enum error store_count(struct ra *ra, struct request *rq, struct counts *ret_counts) MUST_CHECK;

/* The month's partition is there, or made now. Known months cost nothing. */
enum error store_ensure_partition(struct ra *ra, struct request *rq, int month) MUST_CHECK;

/* ---- revoke.c, store_revocation.c ---------------------------------------------------------------------------------------------------------- */

/* A certificate of ours, and its revocation when there is one. */
struct revocation {
    struct bytes serial;
    int expiry_month;
    const char *issuer;
    struct bytes certificate;
    int64_t not_after_s;
    const char *holder_kind, *holder_id; /* whom it was issued to */
    bool revoked;
    int64_t revoked_at_s;
    int reason;
    bool reason_changed; /* just now; until then it was the former one */
    int former_reason;
    int64_t invalidity_s; /* 0: none */
    const char *channel, *principal_kind, *principal_id, *authority, *client_address;
    uint8_t key_sha256[32];
};

enum error store_find_certificate(struct ra *ra, struct request *rq, int expiry_month, struct bytes serial, bool *ret_found,
                                  struct revocation *ret_revocation) MUST_CHECK;
struct revocation_records {
    const char *revoked;     /* or that the reason was changed */
    const char *key_blocked; /* NULL: the key is not to be blocked */
};
/* Revocation, blocked key, audit records and event in one; false in ret_stored: it was revoked before. */
enum error store_revoke(struct ra *ra, struct request *rq, const struct revocation *revocation, const struct revocation_records *records,
                        const struct announcement *announcement, bool *ret_stored) MUST_CHECK;
/* Another reason for what was revoked before. False in ret_stored: its reason is not former_reason. */
enum error store_change_reason(struct ra *ra, struct request *rq, const struct revocation *revocation, const struct revocation_records *records,
                               const struct announcement *announcement, bool *ret_stored) MUST_CHECK;
enum error store_block_key(struct ra *ra, struct request *rq, const struct revocation *revocation, const char *record) MUST_CHECK;

/* ---- the rest ------------------------------------------------------------------------------------------------------------------------------ */

enum error enroll(struct ra *ra, struct request *rq, const Pb__EnrollRequest *request, Pb__EnrollReply *ret_reply) MUST_CHECK;
enum error revoke_certificate(struct ra *ra, struct request *rq, const Pb__RevokeRequest *request, Pb__RevokeReply *ret_reply) MUST_CHECK;
enum error explain(struct ra *ra, struct request *rq, const Pb__ExplainRequest *request, Pb__ExplainReply *ret_reply) MUST_CHECK;

/* withdraw.c, store_approval.c */
enum error withdraw(struct ra *ra, struct request *rq, const Pb__WithdrawRequest *request, Pb__WithdrawReply *ret_reply) MUST_CHECK;
/* Changes nothing where the certificate is there, or is being made. */
enum error store_withdraw_intent(struct ra *ra, struct request *rq, struct bytes id, const char *reason, const char *record, bool *ret_changed)
    MUST_CHECK;

/* approve.c, list_pending.c, store_approval.c: what waits for a person */
struct waiting {
    struct bytes id, packed;
    const char *channel, *principal_kind, *principal_id, *client_address;
    int64_t created_at_s;
};
enum error approve(struct ra *ra, struct request *rq, const Pb__ApproveRequest *request, Pb__ApproveReply *ret_reply) MUST_CHECK;
enum error list_pending(struct ra *ra, struct request *rq, const Pb__ListPendingRequest *request, Pb__ListPendingReply *ret_reply) MUST_CHECK;
enum error store_find_intent_by_id(struct ra *ra, struct request *rq, struct bytes id, bool *ret_found) MUST_CHECK;
/* False in ret_changed: it was not pending any more. */
/* Changes nothing for a key that is blocked. */
enum error store_approve_intent(struct ra *ra, struct request *rq, struct bytes id, const uint8_t key_sha256[32], const char *record,
                                bool *ret_changed) MUST_CHECK;
enum error store_deny_intent(struct ra *ra, struct request *rq, struct bytes id, const char *reason, const char *record, bool *ret_changed)
    MUST_CHECK;
enum error store_list_pending(struct ra *ra, struct request *rq, int most, struct waiting **ret_waiting, size_t *ret_count) MUST_CHECK;

/* handlers.c */
enum error handlers_serve(struct ra *ra, struct request *rq) MUST_CHECK;

/* recover.c */
enum error recover_open(struct ra *ra, struct request *rq) MUST_CHECK;

/* store_seal.c: batches of the audit chain */
struct seal {
    int64_t number, first_position, last_position, sealed_at_us;
    struct bytes root, previous_head, head; /* head: none while it is not signed */
};
struct unsealed {
    const int64_t *ids;
    const struct bytes *bodies;
    size_t count;
};
/* These four in one transaction of the given db. */
enum error store_lock_seals(struct db *db, struct request *rq, bool *ret_locked) MUST_CHECK;
enum error store_last_seal(struct db *db, struct request *rq, struct seal *ret_seal) MUST_CHECK; /* number 0: none yet */
enum error store_unsealed(struct db *db, struct request *rq, struct unsealed *ret_unsealed) MUST_CHECK;
enum error store_seal(struct db *db, struct request *rq, const struct seal *seal, const struct unsealed *records) MUST_CHECK;
enum error store_signed_seal(struct db *db, struct request *rq, int64_t number, const Pb__SignAuditHeadReply *signed_head) MUST_CHECK;

/* seal.c */
#define SEAL_BATCH_MAX 4096
void seal_open(struct ra *ra);
/* One turn: seals what is unsealed. ret_sealed counts the records. */
enum error seal_turn(struct ra *ra, struct request *rq, size_t *ret_sealed) MUST_CHECK;

/* figures.c: metrics */
void figures_follow(struct ra *ra);
void figures_issued(const char *template);
void figures_refused(enum error kind);
void figures_revoked(int reason);
void figures_signed(int64_t us);

#endif
