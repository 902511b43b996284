/*
 * The ways to prove a name: one table that says which type is for which kind of identifier, and what its challenge object shows beside the usual.
 * What a type means is the validator's business.
 */
#include "acme.h"

#define ISSUER_NAMES_MAX 10 /* draft-ietf-acme-dns-persist §3.1 */
#define DRAFT_WITH_PLAIN_URIS 1

static const struct challenge_type {
    const char *name;
    bool for_hosts, for_wildcards, for_addresses, for_devices, needs_issuer_names;
} types[] = {
    /* Clients have been seen to take the first one. */
    {"http-01", .for_hosts = true, .for_addresses = true},                                    /* RFC 8555 §8.3, RFC 8738 */
    {"dns-01", .for_hosts = true, .for_wildcards = true},                                     /* RFC 8555 §8.4 */
    {"tls-alpn-01", .for_hosts = true, .for_addresses = true},                                /* RFC 8737, RFC 8738 */
    {"dns-account-01", .for_hosts = true, .for_wildcards = true},                             /* draft-ietf-acme-dns-account-label */
    {"dns-persist-01", .for_hosts = true, .for_wildcards = true, .needs_issuer_names = true}, /* draft-ietf-acme-dns-persist */
    {DEVICE_ATTEST_01, .for_devices = true},                                                  /* draft-ietf-acme-device-attest */
};

char **
issuer_names(struct acme *acme, struct arena *arena, size_t *ret_count)
{
    return text_split(arena, acme->config.caa_identities, ',', ret_count);
}

bool
challenge_type_is_known(const char *type)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (text_equal(types[i].name, type))
            return true;
    return false;
}

enum error
challenge_types_check(struct request *rq, const struct acme_config *config)
{
    size_t count;
    char **words = text_split(rq->arena, config->challenges, ',', &count);
    struct identifier name;

    for (size_t i = 0; i < count; i++)
        if (!challenge_type_is_known(words[i]))
            return fail(rq, ERR_BAD_REQUEST, "SIGNET_ACME_CHALLENGES: there is no type of challenge \"%.40s\"", words[i]);
    words = text_split(rq->arena, config->caa_identities, ',', &count);
    if (count > ISSUER_NAMES_MAX)
        return fail(rq, ERR_BAD_REQUEST, "SIGNET_ACME_CAA_IDENTITIES: at most %d names can be given", ISSUER_NAMES_MAX);
    for (size_t i = 0; i < count; i++)
        if (identifier_read(rq->arena, IDENTIFIER_DNS, words[i], &name) != NULL || !text_equal(name.value, words[i]))
            return fail(rq, ERR_BAD_REQUEST, "SIGNET_ACME_CAA_IDENTITIES: \"%.100s\" is not a domain name in small letters without final dot",
                        words[i]);
    return OK;
}

const char *
account_hash_prefix(struct acme *acme, struct arena *arena)
{
    return acme->config.dns_persist_draft == DRAFT_WITH_PLAIN_URIS ? "" : acme_url(acme, arena, "account-hash", "");
}

static bool
is_for(const struct challenge_type *type, const struct identifier *name)
{
    if (identifier_is_device(name->type))
        return type->for_devices;
    if (name->type == IDENTIFIER_IP)
        return type->for_addresses;
    return text_starts_with(name->value, "*.") ? type->for_wildcards : type->for_hosts;
}

/* `list`: "http-01, dns-01"; an empty one has all. */
static bool
is_listed(struct arena *arena, const char *list, const char *name)
{
    size_t count;
    char **names = text_split(arena, text_is_empty(list) ? "" : list, ',', &count);

    for (size_t i = 0; i < count; i++)
        if (text_equal(names[i], name))
            return true;
    return count == 0;
}

const char *
challenge_types_offer(struct acme *acme, struct arena *arena, const struct identifier *name, const char *allowed)
{
    struct buffer offered = buffer_in(arena);

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (is_for(&types[i], name) && (!types[i].needs_issuer_names || !text_is_empty(acme->config.caa_identities)) &&
            is_listed(arena, acme->config.challenges, types[i].name) && is_listed(arena, allowed, types[i].name))
            buffer_append_format(&offered, "%s%s", offered.len == 0 ? "" : " ", types[i].name);
    return buffer_text(&offered);
}

static json_t *
issuer_names_json(struct acme *acme, struct arena *arena)
{
    json_t *list = json_array();
    size_t count;
    char **names = issuer_names(acme, arena, &count);

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_string(names[i]));
    return list;
}

void
challenge_types_show(struct acme *acme, struct arena *arena, const struct challenge *challenge, json_t *json)
{
    if (!text_equal(challenge->type, "dns-persist-01"))
        return;
    if (acme->config.dns_persist_draft == DRAFT_WITH_PLAIN_URIS) {
        (void)json_object_set_new(json, "issuer-domain-names", issuer_names_json(acme, arena));
        (void)json_object_set_new(json, "accounturi", json_string(acme_url(acme, arena, "account", challenge->account_id)));
    } else {
        (void)json_object_set_new(json, "issuerDomainNames", issuer_names_json(acme, arena));
    }
}

/* draft-ietf-acme-dns-persist-02 §3.2 and §4.1: records can be made before there is an order. */
void
challenge_types_add_meta(struct acme *acme, struct arena *arena, json_t *meta)
{
    const char *prefix = account_hash_prefix(acme, arena);

    if (text_is_empty(prefix) || text_is_empty(acme->config.caa_identities) || !is_listed(arena, acme->config.challenges, "dns-persist-01"))
        return;
    (void)json_object_set_new(meta, "issuerDomainNames", issuer_names_json(acme, arena));
    (void)json_object_set_new(meta, "accountHashPrefix", json_string(prefix));
}
