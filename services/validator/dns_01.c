/*
 * dns-01 (RFC 8555 §8.4): a TXT record at _acme-challenge.NAME, aliases followed, any one of several. dns-account-01
 * (draft-ietf-acme-dns-account-label): the same below a label made of the account's URL, so that several accounts do not meet at one name.
 */
#include "validator.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/base64.h"

#define LABEL_OCTETS 10 /* 16 characters of base32 */

static const char base32_alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

static enum error
find_text(struct resolver *resolver, struct request *rq, const char *name, const char *expected)
{
    struct lookup lookup = {.name = name, .type = RRTYPE_TXT};
    struct bytes text = BYTES_NONE;

    look_up(resolver, rq, &lookup, 1);
    if (lookup.why != NULL)
        return found(rq, "dns", "looking up TXT of %.253s: %s", name, lookup.why);
    if (lookup.count == 0)
        return found(rq, "incorrectResponse", "there is no TXT record at %.253s; one with \"%s\" was expected", name, expected);
    for (size_t i = 0; i < lookup.count; i++)
        if (txt_decode(rq->arena, lookup.records[i], &text) && bytes_equal(text, bytes_of_text(expected)))
            return OK;
    return found(rq, "incorrectResponse", "a TXT record \"%s\" was expected at %.253s, of %zu none is that; the last one is %s", expected, name,
                 lookup.count, shown_text(rq->arena, &lookup, text));
}

static enum error
find_digest(struct resolver *resolver, struct request *rq, const struct proof *proof, const char *label)
{
    const char *name = arena_format(rq->arena, "%s.%s", label, proof->name.value);

    return find_text(resolver, rq, name, base64url_encode(rq->arena, BYTES(proof->digest, sizeof proof->digest)));
}

enum error
dns_01(struct resolver *resolver, struct request *rq, struct proof *proof)
{
    return find_digest(resolver, rq, proof, "_acme-challenge");
}

const char *
dns_account_01_label(struct arena *arena, const char *account_uri)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char text[LABEL_OCTETS * 8 / 5 + 1] = "";

    (void)SHA256((const uint8_t *)account_uri, strlen(account_uri), digest);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        size_t bit = i * 5;
        unsigned two = (unsigned)digest[bit / 8] << 8 | digest[bit / 8 + 1];
        text[i] = base32_alphabet[two >> (11 - bit % 8) & 31];
    }
    return arena_format(arena, "_%s._acme-challenge", text);
}

enum error
dns_account_01(struct resolver *resolver, struct request *rq, struct proof *proof)
{
    return find_digest(resolver, rq, proof, dns_account_01_label(rq->arena, proof->account_uri));
}
