/*
 * dns-persist-01 (draft-ietf-acme-dns-persist-02): a lasting TXT record at _validation-persist.NAME that names this CA and, by a hash over domain,
 * account key and account URL, one account. By draft -01 the record has the account's URL itself; which of the two is asked for is said by the
 * request.
 *
 * A record at a domain above the name does, too, when it says policy=wildcard (§5.1, §6); how far up, is said by the request. The name's own records
 * are looked at first, so that who has one costs others no question.
 */
#include "validator.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"

#define HASH_ALGORITHM "sha-256/"
#define ABOVE_MAX 8                       /* domains above a name, the nearest ones */
#define UNTIL_MAX_S INT64_C(253402300799) /* the year 9999; later ones mean the same, and databases cannot hold them all */

static bool
is_one_of(struct bytes text, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (text.len == strlen(names[i]) && strncasecmp((const char *)text.at, names[i], text.len) == 0)
            return true;
    return false;
}

/* §4.1: H(length_of_domain || domain_name || key || account_URL) */
static const char *
hashed_uri(struct arena *arena, const struct proof *proof, const char *domain, const char *thumbprint)
{
    struct buffer hashed = buffer_in(arena);
    uint8_t digest[SHA256_DIGEST_LENGTH], len = (uint8_t)strlen(domain);

    buffer_append(&hashed, &len, 1);
    buffer_append_text(&hashed, domain);
    buffer_append_text(&hashed, thumbprint);
    buffer_append_text(&hashed, proof->account_uri);
    (void)SHA256(hashed.at, hashed.len, digest);
    return arena_format(arena, "%s" HASH_ALGORITHM "%s", proof->account_hash_prefix, base64url_encode(arena, BYTES(digest, sizeof digest)));
}

static bool
is_of_account(struct arena *arena, struct bytes uri, const struct proof *proof)
{
    if (text_is_empty(proof->account_hash_prefix))
        return bytes_equal(uri, bytes_of_text(proof->account_uri));
    for (size_t i = 0; i < proof->thumbprint_count; i++)
        if (bytes_equal(uri, bytes_of_text(hashed_uri(arena, proof, proof->name.value, proof->thumbprints[i]))) ||
            bytes_equal(uri, bytes_of_text(hashed_uri(arena, proof, "*", proof->thumbprints[i]))))
            return true;
    return false;
}

static bool
is_well_formed(struct arena *arena, struct bytes uri, const struct proof *proof)
{
    const char *begin = arena_format(arena, "%s" HASH_ALGORITHM, proof->account_hash_prefix);
    size_t len = strlen(begin);
    struct bytes digest;

    if (text_is_empty(proof->account_hash_prefix))
        return true;
    return uri.len > len && memcmp(uri.at, begin, len) == 0 && base64url_decode(arena, BYTES(uri.at + len, uri.len - len), &digest) &&
           digest.len == SHA256_DIGEST_LENGTH;
}

static enum error
check_until(struct request *rq, const struct issue_value *value, int64_t now_s, int64_t *ret_until_s)
{
    struct bytes text = BYTES_NONE;
    int64_t until_s = 0;

    size_t count = issue_value_find(value, "persistUntil", &text);
    if (count > 1 || (count == 1 && !text_parse_number(bytes_text(rq->arena, text), 1, INT64_MAX, &until_s)))
        return found(rq, "malformed", "its persistUntil is twice there, or no number of seconds");
    if (count == 1 && until_s < now_s)
        return found(rq, "unauthorized", "its persistUntil has passed, at %s", clock_format_rfc3339(rq->arena, until_s));
    *ret_until_s = until_s < UNTIL_MAX_S ? until_s : UNTIL_MAX_S;
    return OK;
}

enum error
dns_persist_01_check(struct request *rq, struct bytes text, const struct proof *proof, int64_t now_s, int64_t *ret_until_s)
{
    struct issue_value value;
    struct bytes uri = BYTES_NONE, policy = BYTES_NONE;
    int64_t until_s = 0;

    if (!issue_value_parse(text, &value))
        return found(rq, "malformed", "it is no issuer's name with parameters (RFC 8659 §4.2)");
    if (!is_one_of(value.issuer, proof->issuer_names, proof->issuer_name_count))
        return found(rq, "unauthorized", "it does not name this CA, which is %s", proof->issuer_names[0]);
    if (issue_value_find(&value, "accounturi", &uri) != 1 || issue_value_find(&value, "policy", &policy) > 1 ||
        !is_well_formed(rq->arena, uri, proof))
        return found(rq, "malformed", "it must have exactly one accounturi of the form that this CA documents, and at most one policy");
    if (!is_of_account(rq->arena, uri, proof))
        return found(rq, "unauthorized", "its accounturi is not that of this account");
    if (proof->wildcard && !is_one_of(policy, (const char *const[]){"wildcard"}, 1))
        return found(rq, "unauthorized", "it does not say policy=wildcard");
    enum error error = check_until(rq, &value, now_s, &until_s);
    if (!error)
        *ret_until_s = until_s;
    return error;
}

/* OK: one of them authorises. Else what is wrong with the last one, or that there is none. */
static enum error
check_records(struct request *rq, const struct lookup *lookup, const struct proof *proof, int64_t *ret_until_s)
{
    const char *problem = "unauthorized", *why = "it is longer than a record may be";

    if (lookup->why != NULL)
        return found(rq, "dns", "looking up TXT of %.253s: %s", lookup->name, lookup->why);
    if (lookup->count == 0)
        return found(rq, "unauthorized", "there is no TXT record at %.253s", lookup->name);
    for (size_t i = 0; i < lookup->count; i++) {
        struct bytes text;
        if (!txt_decode(rq->arena, lookup->records[i], &text))
            continue;
        if (dns_persist_01_check(rq, text, proof, clock_now_s(), ret_until_s) == OK)
            return OK;
        problem = arena_text(rq->arena, rq->failure.reason);
        why = arena_format(rq->arena, "%s: %s", shown_text(rq->arena, lookup, text), rq->failure.message);
        failure_clear(rq);
    }
    return found(rq, problem, "of %zu TXT records at %.253s none authorises this account; the last one, %s", lookup->count, lookup->name, why);
}

static const char *
place_of_records(struct arena *arena, const char *domain)
{
    return arena_format(arena, "_validation-persist.%s", domain);
}

/* The domains above the name, the nearest first, none higher than the top. */
static size_t
domains_above(const struct proof *proof, const char *domains[ABOVE_MAX])
{
    const char *name = proof->name.value;
    size_t count = 0;

    while (count < ABOVE_MAX && !text_is_empty(proof->top_domain)) {
        const char *dot = strchr(name, '.');
        name = dot == NULL ? "" : dot + 1;
        if (!text_equal(name, proof->top_domain) && !dns_name_is_below(name, proof->top_domain))
            break;
        domains[count++] = name;
    }
    return count;
}

/* §6.2: policy=wildcard is a must there, and the hash is over the domain where the record stands. What is wrong with records that there are says more
 * than that the name itself has none. */
static enum error
check_above(struct resolver *resolver, struct request *rq, struct proof *proof, bool name_has_records)
{
    const char *domains[ABOVE_MAX];
    struct lookup lookups[ABOVE_MAX];
    struct failure failure = rq->failure;
    size_t count = domains_above(proof, domains);

    failure_clear(rq);
    for (size_t i = 0; i < count; i++)
        lookups[i] = (struct lookup){.name = place_of_records(rq->arena, domains[i]), .type = RRTYPE_TXT};
    look_up(resolver, rq, lookups, count);
    for (size_t i = 0; i < count; i++) {
        struct proof above = *proof;
        above.name.value = domains[i];
        above.wildcard = true;
        if (check_records(rq, &lookups[i], &above, &proof->valid_until_s) == OK)
            return OK;
        if (lookups[i].count > 0 && !name_has_records) {
            failure = rq->failure;
            name_has_records = true;
        }
        failure_clear(rq);
    }
    rq->failure = failure;
    return failure.kind;
}

enum error
dns_persist_01(struct resolver *resolver, struct request *rq, struct proof *proof)
{
    struct lookup lookup = {.name = place_of_records(rq->arena, proof->name.value), .type = RRTYPE_TXT};

    look_up(resolver, rq, &lookup, 1);
    enum error error = check_records(rq, &lookup, proof, &proof->valid_until_s);
    return error ? check_above(resolver, rq, proof, lookup.count > 0) : OK;
}
