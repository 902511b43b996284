/*
 * rpc CreateCa: called by `signetctl ca create`. Check everything, commit the row with the name of the key, the serial number and the validity in it
 * ('creating'), make the key on the token, sign, make it active and announce it.
 *
 * If it breaks off in the middle, the same request again finishes it: the row says which key to look for and what to sign. The row of a request that
 * can never succeed (the token makes no such keys) is taken back, as long as there is no key.
 */
#include "signer.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "pki/csr.h"
#include "pki/serial.h"

#define SECONDS_A_DAY 86400
#define VALIDITY_DAYS_MOST 36500
#define PATH_LENGTH_MOST 10
#define BACKDATE_S 3600 /* for clocks that are late */
#define NAME_MAX_LEN 40

/* ---- what is asked ---- */

static enum error
check_request(struct request *rq, const Pb__CreateCaRequest *request)
{
    size_t len = strlen(request->name);

    if (len == 0 || len > NAME_MAX_LEN || strspn(request->name, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return fail(rq, ERR_BAD_REQUEST, "the name of a CA has 1 to %d characters of a-z, 0-9 and -", NAME_MAX_LEN);
    if (!hsm_key_type_is_known(request->key_type))
        return fail(rq, ERR_BAD_REQUEST, "there is no key type \"%s\"; rsa-2048 rsa-3072 rsa-4096 p256 p384 p521 are known", request->key_type);
    if (hsm_key_algorithm(request->key_type, request->digest) == SIG_UNKNOWN)
        return fail(rq, ERR_BAD_REQUEST, "there is no digest \"%s\"; sha256 sha384 sha512 are known", request->digest);
    if (request->validity_days == 0 || request->validity_days > VALIDITY_DAYS_MOST)
        return fail(rq, ERR_BAD_REQUEST, "a CA is valid for 1 to %d days", VALIDITY_DAYS_MOST);
    if (request->path_length < -1 || request->path_length > PATH_LENGTH_MOST)
        return fail(rq, ERR_BAD_REQUEST, "the path length is -1 (no limit) to %d", PATH_LENGTH_MOST);
    if (request->csr_only && !text_is_empty(request->parent))
        return fail(rq, ERR_BAD_REQUEST, "a CA is either below one of ours (parent), or for a foreign one (csr_only)");
    return OK;
}

/* "sha256" for the algorithm that was chosen. */
static const char *
digest_name(const Pb__CreateCaRequest *request)
{
    const EVP_MD *digest = signature_algorithm_digest(hsm_key_algorithm(request->key_type, request->digest));

    return EVP_MD_get_size(digest) == 32 ? "sha256" : EVP_MD_get_size(digest) == 48 ? "sha384" : "sha512";
}

static enum error
load_parent(struct signer *signer, struct request *rq, const char *name, const struct authority **ret_parent)
{
    const struct authority *parent;

    enum error error = authority_load(signer, rq, name, &parent);
    if (error != OK)
        return error;
    if (parent->row.status != AUTHORITY_ACTIVE)
        return fail(rq, ERR_DENIED, "the parent CA %s is %s", name, authority_status_name(parent->row.status));
    if (parent->path_length == 0)
        return fail(rq, ERR_DENIED, "the path length of %s allows no CA below it", name);
    if (parent->row.chain_count + 1 > CHAIN_MAX)
        return fail(rq, ERR_DENIED, "a chain has at most %d certificates above a CA", CHAIN_MAX);
    *ret_parent = parent;
    return OK;
}

/* The parent's limits: validity inside its own, path length below its own. */
static enum error
apply_parent(struct request *rq, const struct authority *parent, struct authority_row *row)
{
    /* It would look self-signed (RFC 5280 §3.2: self-issued), and nobody could tell its certificates and CRLs from its parent's. */
    if (bytes_equal(row->subject, parent->certificate.subject))
        return fail(rq, ERR_DENIED, "the CA would have the subject of its parent %s", parent->row.name);
    if (row->not_before_s < parent->certificate.not_before_s)
        row->not_before_s = parent->certificate.not_before_s;
    if (row->not_after_s > parent->certificate.not_after_s)
        return fail(rq, ERR_DENIED, "the CA would be valid longer than its parent %s, which ends on %s", parent->row.name,
                    clock_format_rfc3339(rq->arena, parent->certificate.not_after_s));
    if (parent->path_length > 0 && row->path_length >= parent->path_length)
        return fail(rq, ERR_DENIED, "the path length must be less than the %d of the parent %s", parent->path_length, parent->row.name);
    if (parent->path_length > 0 && row->path_length < 0)
        row->path_length = parent->path_length - 1;
    return OK;
}

static enum error
plan_row(struct signer *signer, struct request *rq, const Pb__CreateCaRequest *request, const struct authority *parent, struct authority_row *ret_row)
{
    struct serial *serial = arena_alloc(rq->arena, sizeof *serial);
    int64_t now_s = clock_now_s();
    struct authority_row row = {
        .name = request->name,
        .key_uri =
            !text_is_empty(request->key_uri) ? request->key_uri : hsm_key_new_uri(signer, rq, arena_format(rq->arena, "signet-ca-%s", request->name)),
        .key_type = request->key_type,
        .digest = digest_name(request),
        .parent = request->parent,
        .csr_only = request->csr_only,
        .path_length = request->path_length,
        .not_before_s = now_s - BACKDATE_S,
        .not_after_s = now_s + (int64_t)request->validity_days * SECONDS_A_DAY,
    };

    enum error error = ca_profile_subject(rq, request, &row.subject);
    if (error == OK && parent != NULL)
        error = apply_parent(rq, parent, &row);
    if (error != OK)
        return error;
    *serial = serial_new(row.not_after_s);
    row.serial = BYTES(serial->octets, SERIAL_LEN);
    *ret_row = row;
    return OK;
}

/* ---- the row ---- */

/* Key, names and place are what the row is; a repeat a minute later may of course ask for a validity that begins a minute later. */
static bool
asks_the_same(const Pb__CreateCaRequest *request, const struct authority_row *planned, const struct authority_row *stored)
{
    return bytes_equal(planned->subject, stored->subject) && text_equal(planned->key_type, stored->key_type) &&
           text_equal(planned->digest, stored->digest) && text_equal(planned->parent, stored->parent) && planned->csr_only == stored->csr_only &&
           planned->path_length == stored->path_length && (text_is_empty(request->key_uri) || text_equal(request->key_uri, stored->key_uri));
}

/* The row is there already: finish what broke off, or say why not. */
static enum error
resume(struct signer *signer, struct request *rq, const Pb__CreateCaRequest *request, struct authority_row *row)
{
    struct authority_row stored;
    bool found, ours;

    enum error error = store_find_authority(signer, rq, row->name, &found, &stored);
    if (error != OK)
        return error;
    if (!found)
        return fail(rq, ERR_CONFLICT, "the CA %s was being created and was given up just now; repeat the command", row->name);
    if (stored.status != AUTHORITY_CREATING)
        return fail(rq, ERR_CONFLICT, "the CA %s exists; it is %s", row->name, authority_status_name(stored.status));
    if (!asks_the_same(request, row, &stored))
        return fail(rq, ERR_CONFLICT, "the creation of a CA %s with other parameters broke off; repeat it with those, or choose another name",
                    row->name);
    error = store_resume_authority(signer, rq, row->name, &ours);
    if (error != OK)
        return error;
    if (!ours)
        return fail(rq, ERR_CONFLICT, "the CA %s is being created; if that broke off, repeat the command in 90 seconds", row->name);
    request_note(rq, "resumed", "true");
    *row = stored;
    return OK;
}

static enum error
begin(struct signer *signer, struct request *rq, const Pb__CreateCaRequest *request, struct authority_row *row)
{
    bool begun;
    enum error error = store_begin_authority(signer, rq, row, &begun);

    /* The name is not what conflicts, so it is the key. */
    if (error == ERR_CONFLICT) {
        failure_clear(rq);
        return fail(rq, ERR_CONFLICT, "the key %s belongs to another CA", row->key_uri);
    }
    if (error != OK || begun)
        return error;
    return resume(signer, rq, request, row);
}

/* ---- key and certificate ---- */

static enum error
make_key(struct signer *signer, struct request *rq, struct authority_row *row)
{
    struct made_key made;

    if (row->public_key.len > 0)
        return OK;
    enum error error = hsm_key_make(signer, rq, row->key_uri, row->key_type, HSM_FOR_SIGNING, &made);
    if (error == OK)
        error = store_set_authority_key(signer, rq, row->name, &made);
    if (error != OK)
        return error;
    row->public_key = made.spki;
    row->evidence = made.evidence;
    return OK;
}

static void
close_key(void *key)
{
    hsm_key_close(key);
}

static enum error
open_own_key(struct request *rq, const struct authority_row *row, struct token_key **ret_key)
{
    struct token_key *key = arena_alloc(rq->arena, sizeof *key);

    enum error error = hsm_key_open(rq, row->key_uri, row->public_key, hsm_key_algorithm(row->key_type, row->digest), key);
    if (error != OK)
        return error;
    arena_defer(rq->arena, close_key, key);
    *ret_key = key;
    return OK;
}

static void
copy_chain(const struct authority *parent, struct authority_row *row)
{
    row->chain[row->chain_count++] = parent->row.certificate;
    for (size_t i = 0; i < parent->row.chain_count; i++)
        row->chain[row->chain_count++] = parent->row.chain[i];
}

static enum error
certify(struct signer *signer, struct request *rq, struct authority_row *row, const struct authority *parent, const struct token_key *own_key)
{
    struct certificate_plan plan = ca_profile_plan(rq, row, &own_key->public_key, parent);

    enum error error = issue_certificate(signer, rq, &plan, parent != NULL ? &parent->key : own_key, &row->certificate);
    if (error != OK)
        return error;
    row->chain_count = 0;
    if (parent != NULL)
        copy_chain(parent, row);
    return OK;
}

static enum error
make_csr(struct signer *signer, struct request *rq, struct authority_row *row, const struct token_key *own_key)
{
    struct certificate_plan wanted = ca_profile_plan(rq, row, &own_key->public_key, NULL);
    struct bytes info = csr_encode_info(rq->arena, row->subject, row->public_key, certificate_encode_extensions(rq->arena, &wanted)), signature;
    bool found;

    enum error error = hsm_key_sign(signer, rq, own_key, info, &signature);
    if (error == OK)
        error = store_set_authority_csr(signer, rq, row->name, csr_join(rq->arena, info, own_key->algorithm, signature));
    if (error != OK)
        return error;
    return store_find_authority(signer, rq, row->name, &found, row);
}

static enum error
complete(struct signer *signer, struct request *rq, const Pb__CreateCaRequest *request, struct authority_row *row, const struct authority *parent)
{
    struct token_key *own_key = NULL;

    enum error error = make_key(signer, rq, row);
    if (error == OK)
        error = open_own_key(rq, row, &own_key);
    if (error != OK)
        return error;
    if (row->csr_only)
        return make_csr(signer, rq, row, own_key);
    error = certify(signer, rq, row, parent, own_key);
    return error != OK ? error : ca_profile_activate(signer, rq, request->operator_, row);
}

/* The next attempt need not wait; and a request that the token will never fulfil leaves its name free. The caller hears the first failure. */
static enum error
give_back(struct signer *signer, struct request *rq, const char *name, enum error error)
{
    struct failure first = rq->failure;
    enum error cleaned;

    failure_clear(rq);
    if (error == ERR_BAD_REQUEST || error == ERR_DENIED || error == ERR_NOT_FOUND)
        cleaned = store_abandon_authority(signer, rq, name);
    else
        cleaned = store_release_authority(signer, rq, name);
    if (cleaned != OK)
        request_note(rq, "cleanup", "%s", error_name(cleaned));
    rq->failure = first;
    return error;
}

enum error
create_ca(struct signer *signer, struct request *rq, const Pb__CreateCaRequest *request, Pb__CreateCaReply *ret_reply)
{
    const struct authority *parent = NULL;
    struct authority_row row;

    request_note(rq, "ca", "%s", request->name);
    enum error error = check_request(rq, request);
    if (error == OK && !text_is_empty(request->parent))
        error = load_parent(signer, rq, request->parent, &parent);
    if (error == OK)
        error = plan_row(signer, rq, request, parent, &row);
    if (error == OK)
        error = begin(signer, rq, request, &row);
    if (error != OK)
        return error;
    error = complete(signer, rq, request, &row, parent);
    if (error != OK)
        return give_back(signer, rq, request->name, error);
    request_note(rq, "key", "%s", row.key_uri);
    request_note(rq, "serial", "%s", bytes_hex(rq->arena, row.serial, 0));
    ret_reply->ca = ca_profile_message(rq, &row);
    return OK;
}
