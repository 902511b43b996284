/*
 * One attempt at one challenge. Called by acme-gw's lease loop; the answer is a fact (valid, or which problem was found where), and an error is
 * returned only when no fact could be found, so that the caller asks again later.
 */
#include "validator.h"

#include <openssl/sha.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "link/message.h"

/* Less than validator.proto gives, so that the answer still arrives. */
#define TOTAL_MS 18000
#define TOKEN_MIN 22
#define TOKEN_MAX 128
#define KEY_AUTHORIZATION_MAX BODY_MAX
#define URI_MAX 1024
#define ISSUER_NAMES_MAX 10
#define THUMBPRINTS_MAX 100
#define ATTESTATION_MAX (32 * 1024)
#define ATTESTATION_FORMATS_MAX 8
#define ATTESTATION_ROOTS_MAX (256 * 1024) /* PEM */

static const char token_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum error
found(struct request *rq, const char *problem, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    const char *message = arena_vformat(rq->arena, format, values);
    va_end(values);
    (void)fail(rq, ERR_CONFLICT, "%s", message);
    return fail_reason(rq, problem);
}

static enum error
check_token(struct request *rq, const char *token)
{
    size_t len = strlen(token);

    if (len < TOKEN_MIN || len > TOKEN_MAX || strspn(token, token_alphabet) != len)
        return fail(rq, ERR_BAD_REQUEST, "the token is not %d to %d characters of base64url", TOKEN_MIN, TOKEN_MAX);
    return OK;
}

static enum error
check_key_authorization(struct request *rq, const char *token, const char *text)
{
    size_t len = strlen(token);

    if (strlen(text) > KEY_AUTHORIZATION_MAX || !text_starts_with(text, token) || text[len] != '.' ||
        strspn(text + len + 1, token_alphabet) != strlen(text + len + 1))
        return fail(rq, ERR_BAD_REQUEST, "the key authorization is not the token, a dot and a thumbprint");
    return OK;
}

enum error
take_name(struct request *rq, const Pb__Name *name, struct identifier *ret_name, bool *ret_wildcard)
{
    struct identifier identifier;

    if (name == NULL || name->type <= PB__NAME_TYPE__NAME_TYPE_UNSPECIFIED || name->type > PB__NAME_TYPE__NAME_TYPE_HARDWARE_MODULE ||
        name->type == PB__NAME_TYPE__NAME_TYPE_EMAIL || name->type == PB__NAME_TYPE__NAME_TYPE_URI)
        return fail(rq, ERR_BAD_REQUEST, "the identifier is neither a DNS name nor an IP address nor a device");
    enum error error = identifier_parse(rq, (enum identifier_type)name->type, name->value, &identifier);
    if (error)
        return error;
    *ret_wildcard = identifier.type == IDENTIFIER_DNS && text_starts_with(identifier.value, "*.");
    if (*ret_wildcard)
        identifier.value += strlen("*.");
    *ret_name = identifier;
    return OK;
}

const char *
proof_note_tried(struct request *rq, struct proof *proof, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];

    address_format(address, text);
    const char *dialled = arena_text(rq->arena, text);
    if (proof->tried_count < TRIED_MAX)
        proof->tried[proof->tried_count++] = dialled;
    return dialled;
}

static enum error
take_networks(struct request *rq, size_t count, const char *const *texts, struct networks *ret_networks)
{
    if (count > NETWORKS_MAX)
        return fail(rq, ERR_TOO_LARGE, "there are %zu networks; at most %d can be given", count, NETWORKS_MAX);
    struct network *networks = arena_array(rq->arena, count, sizeof *networks);
    for (size_t i = 0; i < count; i++)
        if (!network_parse(texts[i], &networks[i]))
            return fail(rq, ERR_BAD_REQUEST, "\"%.60s\" is not a network", texts[i]);
    *ret_networks = (struct networks){networks, count};
    return OK;
}

enum error
check_issuer_names(struct request *rq, size_t count)
{
    if (count > ISSUER_NAMES_MAX)
        return fail(rq, ERR_BAD_REQUEST, "this CA has more than %d names for CAA and dns-persist-01 records", ISSUER_NAMES_MAX);
    return OK;
}

static const struct type {
    const char *name;
    prove *prove;
    bool for_hosts, for_wildcards, for_addresses, for_devices, needs_account, needs_issuer_names;
} types[] = {
    {"http-01", http_01, .for_hosts = true, .for_addresses = true},
    {"tls-alpn-01", tls_alpn_01, .for_hosts = true, .for_addresses = true},
    {"dns-01", dns_01, .for_hosts = true, .for_wildcards = true},
    {"dns-account-01", dns_account_01, .for_hosts = true, .for_wildcards = true, .needs_account = true},
    {"dns-persist-01", dns_persist_01, .for_hosts = true, .for_wildcards = true, .needs_account = true, .needs_issuer_names = true},
    {"device-attest-01", device_attest_01, .for_devices = true},
};

static const struct type *
find_type(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (text_equal(types[i].name, name))
            return &types[i];
    return NULL;
}

static bool
is_for(const struct type *type, const struct proof *proof)
{
    if (identifier_is_device(proof->name.type))
        return type->for_devices;
    return proof->name.type == IDENTIFIER_IP ? type->for_addresses : proof->wildcard ? type->for_wildcards : type->for_hosts;
}

static enum error
check_attestation(struct request *rq, const Pb__ValidateChallengeRequest *input)
{
    if (input->attestation.len > ATTESTATION_MAX || input->n_attestation_roots > ATTESTATION_FORMATS_MAX)
        return fail(rq, ERR_TOO_LARGE, "the attestation is longer than %d octets, or there are too many formats", ATTESTATION_MAX);
    for (size_t i = 0; i < input->n_attestation_roots; i++)
        if (strnlen(input->attestation_roots[i]->pem, ATTESTATION_ROOTS_MAX + 1) > ATTESTATION_ROOTS_MAX)
            return fail(rq, ERR_TOO_LARGE, "the roots of a format are longer than %d octets", ATTESTATION_ROOTS_MAX);
    return OK;
}

static enum error
check_type(struct request *rq, const struct type *type, const Pb__ValidateChallengeRequest *input, const struct proof *proof)
{
    if (!is_for(type, proof))
        return fail(rq, ERR_BAD_REQUEST, "%s cannot prove such a name", type->name);
    if ((type->needs_account || input->check_caa) && (text_is_empty(input->account_uri) || strlen(input->account_uri) > URI_MAX))
        return fail(rq, ERR_BAD_REQUEST, "the account's URL is missing, or too long");
    if (strlen(input->account_hash_prefix) > URI_MAX || input->n_thumbprints > THUMBPRINTS_MAX)
        return fail(rq, ERR_TOO_LARGE, "the account has too many keys, or the prefix of its hash is too long");
    if (type->needs_issuer_names && input->n_issuer_names == 0)
        return fail(rq, ERR_BAD_REQUEST, "this CA has no name that records of %s could have", type->name);
    return check_issuer_names(rq, input->n_issuer_names);
}

static enum error
check_request(struct request *rq, const Pb__ValidateChallengeRequest *input, struct proof *proof, const struct type **ret_type)
{
    *ret_type = find_type(input->type);
    if (*ret_type == NULL)
        return fail(rq, ERR_BAD_REQUEST, "challenges of type \"%.30s\" are not known here", input->type);
    enum error error = take_name(rq, input->identifier, &proof->name, &proof->wildcard);
    if (!error)
        error = check_type(rq, *ret_type, input, proof);
    if (!error)
        error = check_token(rq, input->token);
    if (!error)
        error = check_key_authorization(rq, input->token, input->key_authorization);
    if (!error)
        error = check_attestation(rq, input);
    if (!error)
        error = take_networks(rq, input->n_allowed_networks, (const char *const *)input->allowed_networks, &proof->rules.only);
    if (!error)
        error = take_networks(rq, input->n_denied_networks, (const char *const *)input->denied_networks, &proof->rules.not_to);
    return error;
}

static struct proof
proof_of(struct validator *validator, struct request *rq, const Pb__ValidateChallengeRequest *input)
{
    struct proof proof = {.token = input->token,
                          .key_authorization = input->key_authorization,
                          .account_uri = input->account_uri,
                          .issuer_names = (const char *const *)input->issuer_names,
                          .issuer_name_count = input->n_issuer_names,
                          .account_hash_prefix = input->account_hash_prefix,
                          .thumbprints = (const char *const *)input->thumbprints,
                          .thumbprint_count = input->n_thumbprints,
                          .top_domain = input->top_domain,
                          .attestation = message_bytes(input->attestation),
                          .attestation_roots = input->attestation_roots,
                          .attestation_root_count = input->n_attestation_roots,
                          .rules = validator->rules,
                          .tried = arena_array(rq->arena, TRIED_MAX, sizeof *proof.tried)};

    (void)SHA256((const uint8_t *)input->key_authorization, strlen(input->key_authorization), proof.digest);
    return proof;
}

/* RFC 8659 §3: as near to the issuance as possible; after the proof, so that nobody's DNS is asked for names that are not his. */
static enum error
check_caa_of(struct validator *validator, struct request *rq, const Pb__ValidateChallengeRequest *input, const struct proof *proof)
{
    struct caa_subject subject = {.name = proof->name.value,
                                  .wildcard = proof->wildcard,
                                  .method = input->type,
                                  .account_uri = proof->account_uri,
                                  .issuer_names = proof->issuer_names,
                                  .issuer_name_count = proof->issuer_name_count};

    if (!input->check_caa || proof->name.type != IDENTIFIER_DNS) /* CAA is about domains alone */
        return OK;
    return caa_check(validator->resolver, rq, &subject, 1, &(size_t){0});
}

enum error
validate_challenge(struct validator *validator, struct request *rq, const Pb__ValidateChallengeRequest *input, Pb__ValidateChallengeReply *ret_reply)
{
    struct proof proof = proof_of(validator, rq, input);
    const struct type *type;

    enum error error = check_request(rq, input, &proof, &type);
    if (error)
        return error;
    request_note(rq, "name", "%s%s", proof.wildcard ? "*." : "", proof.name.value);
    request_note(rq, "type", "%s", type->name);
    rq->deadline_ms = clock_monotonic_ms() + request_time_left_ms(rq, TOTAL_MS);
    error = type->prove(validator->resolver, rq, &proof);
    if (!error)
        error = check_caa_of(validator, rq, input, &proof);
    bool is_fact = error == OK || rq->failure.reason[0] != '\0';
    if (!is_fact)
        return error;
    ret_reply->valid = error == OK;
    ret_reply->problem = error == OK ? "" : arena_text(rq->arena, rq->failure.reason);
    ret_reply->detail = error == OK ? "" : arena_text(rq->arena, rq->failure.message);
    ret_reply->perspective = validator->config.perspective;
    ret_reply->addresses = (void *)proof.tried;
    ret_reply->n_addresses = proof.tried_count;
    ret_reply->valid_until_s = proof.valid_until_s;
    if (error == OK && proof.attestation_text != NULL) {
        ret_reply->attested_key = message_data(bytes_copy(rq->arena, BYTES(proof.attested_key, sizeof proof.attested_key)));
        ret_reply->attestation = proof.attestation_text;
        request_note(rq, "attestation", "%s", proof.attestation_text);
    }
    request_note(rq, "found", "%s", error == OK ? "valid" : ret_reply->detail);
    failure_clear(rq);
    return OK;
}
