/*
 * Accounts (RFC 8555 §7.3): the noun, its resources, its memory, its rows.
 */
#ifndef SIGNET_ACME_GW_ACCOUNT_H
#define SIGNET_ACME_GW_ACCOUNT_H

#include "signed_request.h"
#include "signet/v1/acme_gw.pb-c.h"
#include "signet/v1/event.pb-c.h"

struct account_cache;

#define CONTACTS_MAX 10
#define CONTACT_MAX 320

enum account_status { ACCOUNT_VALID = 1, ACCOUNT_DEACTIVATED, ACCOUNT_REVOKED };

struct account {
    const char *id;
    enum account_status status;
    const char *const *contacts; /* NULL-terminated */
    size_t contact_count;
    bool terms_agreed;
    int64_t created_at_s;
    const char *client_address;
    const char *policy;  /* that it is bound to */
    const char *binding; /* its external account binding as the client sent it, JSON; "", none */
    const char *owner;   /* the rest is what that says; "", none */
    const char *principal;
    const char *const *allowed_names;
    size_t allowed_name_count;
    const char *const *allowed_templates;
    size_t allowed_template_count;
    struct jwk jwk;
};

/* ---- one file per resource ---- */

http_handler new_account;
http_handler account;
http_handler account_orders;
http_handler key_change;
enum error account_answer(struct acme *acme, struct http_exchange *x, int status, const struct account *account) MUST_CHECK;
/* The "contact" member: unsupportedContact, invalidContact. */
enum error contacts_check(struct request *rq, const json_t *payload, const char *const **ret_contacts, size_t *ret_count) MUST_CHECK;

/* ---- account_cache.c: verified keys, remembered until they change ---- */

struct account_cache *account_cache_new(void);
void account_cache_free(struct account_cache *cache);
DEFINE_AUTO_STRUCT(account_cache, account_cache_free);
/* One that is remembered; false: it has to be loaded. Held until rq ends. */
bool account_cache_find(struct account_cache *cache, struct request *rq, const char *id, const struct account **ret_account);
/* Held until rq ends. ERR_NOT_FOUND when there is no such account. */
enum error account_cache_load(struct acme *acme, struct request *rq, const char *id, const struct account **ret_account) MUST_CHECK;
/* As store_insert_account: who makes an account will ask for something next. */
enum error account_cache_insert(struct acme *acme, struct request *rq, const struct account *wanted, struct account *ret_account, bool *ret_created)
    MUST_CHECK;
void account_cache_forget(struct account_cache *cache, const char *id);
/* Forgets those that change, wherever that happens. */
enum error accounts_follow(struct acme *acme, struct request *rq) MUST_CHECK;

/* ---- account_event.c: the life of an account goes on record ---- */

/* The end of a statement WITH `changed`, which has a row when something was changed: it is announced in the same moment. `id` and `body` are its
 * parameters, in this order the values of ACCOUNT_EVENT_VALUES. */
#define ANNOUNCE_ACCOUNT(changed, id, body) \
    " INSERT INTO acme.outbox (event_id, subject, body) SELECT " id ", 'signet.event.account.changed', " body " FROM " changed
#define ACCOUNT_EVENT_VALUES(arena, event) DB_TEXT(account_event_id(arena)), DB_BYTES(message_pack((arena), &(event)->base))
const char *account_event_id(struct arena *arena);
/* The account as it is, and which client has done what; the rest is up to who knows it. */
Pb__AccountChanged account_event(struct arena *arena, const struct account *account, const char *action, const char *client_address);
/* base64url, as RFC 7638 has it. */
const char *account_thumbprint(struct arena *arena, const struct account *account);

/* ---- store.c: each change is announced; outbox_wake_soon comes after it ---- */

enum error store_load_account(struct acme *acme, struct request *rq, const char *id, struct account *ret_account) MUST_CHECK;
enum error store_find_account_by_key(struct acme *acme, struct request *rq, const struct jwk *jwk, struct account *ret_account) MUST_CHECK;
/* The account that this key has afterwards, old or new. */
enum error store_insert_account(struct acme *acme, struct request *rq, const struct account *wanted, struct account *ret_account, bool *ret_created)
    MUST_CHECK;
/* `ret_account` as it is afterwards. */
enum error store_update_contacts(struct acme *acme, struct request *rq, const char *id, const char *const *contacts, size_t count,
                                 const char *client_address, struct account *ret_account) MUST_CHECK;
enum error store_deactivate_account(struct acme *acme, struct request *rq, const struct account *account, const char *client_address) MUST_CHECK;
/* From the key that `account` has here to another one; ret_in_use: another account has that. */
enum error store_change_key(struct acme *acme, struct request *rq, const struct account *account, const struct jwk *key, const char *client_address,
                            bool *ret_in_use) MUST_CHECK;
/* Of all keys that the account has had, the present one first, base64url. ERR_DENIED: the account is not valid any more. */
enum error store_load_thumbprints(struct acme *acme, struct request *rq, const char *account_id, const char ***ret_thumbprints, size_t *ret_count)
    MUST_CHECK;

/* ---- store_accounts.c: accounts as operators see and end them ---- */

#define ACCOUNTS_PAGE_MAX 100
#define REVOKE_ACCOUNTS_MAX 1000 /* by one call */

/* Of the accounts $1 with the problem $2, for the transaction that ends them: open orders end, those in work have their next turn at once, and come
 * to nothing there (finalize.c). The orders that ended are the affected rows. */
extern const struct db_statement store_end_orders;
/* The place of the last one of a page; whatever comes after it is older. */
struct page_place {
    int64_t created_at_us;
    const char *id;
    struct bytes serial;
};
/* "<microseconds>.<id>", of certificates "….<serial>"; "" : from the newest. ERR_BAD_REQUEST. */
enum error page_place_parse(struct request *rq, const char *cursor, struct page_place *ret_place) MUST_CHECK;
/* One more than a page tells that there are others. */
enum error store_list_accounts(struct acme *acme, struct request *rq, const Pb__ListAcmeAccountsRequest *filter, const struct page_place *after,
                               int most, Pb__ListAcmeAccountsReply *ret_reply) MUST_CHECK;
enum error store_show_account(struct acme *acme, struct request *rq, const char *id, Pb__ShowAcmeAccountReply *ret_reply) MUST_CHECK;
/* The id of an account that is named by its id, its URL, or the thumbprint of its key. ERR_BAD_REQUEST, ERR_NOT_FOUND. */
enum error store_find_account_named(struct acme *acme, struct request *rq, const char *name, const char **ret_id) MUST_CHECK;

/* Whose word ends accounts, for the record. */
struct account_end {
    const char *operator_name, *why;
    size_t accounts, orders; /* that ended */
};
/* In a transaction of the caller's. Those that are valid: the one with this id, or those that came with this credential, at most REVOKE_ACCOUNTS_MAX.
 */
enum error store_revoke_account(struct acme *within, struct request *rq, const char *id, struct account_end *end) MUST_CHECK;
enum error store_revoke_bound_accounts(struct acme *within, struct request *rq, const char *eab, struct account_end *end) MUST_CHECK;
/* Has any account ever been made with it? */
enum error store_is_bound_by(struct acme *acme, struct request *rq, const char *eab, bool *ret_is) MUST_CHECK;
enum error store_list_account_certificates(struct acme *acme, struct request *rq, const char *id, const struct page_place *after, int most,
                                           Pb__ListAcmeAccountCertificatesReply *ret_reply) MUST_CHECK;

/* ---- one file per rpc of AcmeAdmin ---- */

/* So many are asked for at once; 0: as many as there may be. */
int account_page(uint32_t limit);
enum error list_acme_accounts(struct acme *acme, struct request *rq, const Pb__ListAcmeAccountsRequest *input, Pb__ListAcmeAccountsReply *ret_reply)
    MUST_CHECK;
enum error show_acme_account(struct acme *acme, struct request *rq, const Pb__ShowAcmeAccountRequest *input, Pb__ShowAcmeAccountReply *ret_reply)
    MUST_CHECK;
enum error revoke_acme_account(struct acme *acme, struct request *rq, const Pb__RevokeAcmeAccountRequest *input,
                               Pb__RevokeAcmeAccountReply *ret_reply) MUST_CHECK;
enum error list_acme_account_certificates(struct acme *acme, struct request *rq, const Pb__ListAcmeAccountCertificatesRequest *input,
                                          Pb__ListAcmeAccountCertificatesReply *ret_reply) MUST_CHECK;

#endif
