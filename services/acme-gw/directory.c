/* The first thing a client asks for: where everything is (RFC 8555 §7.1.1). Made whenever policies are read, answered from memory. */
#include "acme.h"

#include <string.h>

static json_t *
caa_identities(struct acme *acme, struct arena *arena)
{
    json_t *list = json_array();
    size_t count;
    char **names = text_split(arena, acme->config.caa_identities, ',', &count);

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_string(names[i]));
    return list;
}

/* draft-ietf-acme-profiles: a name, and words for people. */
static json_t *
profiles(struct arena *arena, const struct policy *policy)
{
    json_t *object = json_object();

    for (size_t i = 0; i < policy->profile_count; i++) {
        const struct profile *profile = &policy->profiles[i];
        const char *words = profile->validity_days == 0 ? arena_format(arena, "%s, as long as it allows", profile->template_name)
                                                        : arena_format(arena, "%s, %d days", profile->template_name, profile->validity_days);
        (void)json_object_set_new(object, profile->name, json_string(words));
    }
    return object;
}

/* All members of meta, always: clients have been broken by each that was missing. */
static json_t *
meta(struct acme *acme, struct arena *arena, const struct policy *policy)
{
    const char *website = text_is_empty(acme->config.website) ? acme->base_url : acme->config.website;
    json_t *json = json_pack("{s:s, s:s, s:o, s:b}", "termsOfService", acme->terms_url, "website", website, "caaIdentities",
                             caa_identities(acme, arena), "externalAccountRequired", policy->eab == EAB_REQUIRED);
    challenge_types_add_meta(acme, arena, json);
    if (policy->star_max_duration_s > 0) /* RFC 8739 §3.2 */
        (void)json_object_set_new(json, "auto-renewal", star_meta(policy));
    if (policy->subdomain_auth)
        (void)json_object_set_new(json, "subdomainAuthAllowed", json_true()); /* RFC 9444 §4.4 */
    if (policy->profile_count > 0)
        (void)json_object_set_new(json, "profiles", profiles(arena, policy));
    return json;
}

char *
policy_url(struct acme *acme, struct arena *arena, const char *policy_name, const char *path)
{
    if (text_equal(policy_name, DEFAULT_POLICY))
        return arena_format(arena, "%s/acme/%s", acme->base_url, path);
    return arena_format(arena, "%s/acme/%s/%s", acme->base_url, policy_name, path);
}

static void
put_url(json_t *object, const char *member, const char *url)
{
    (void)json_object_set_new(object, member, json_string(url));
}

/* Accounts and orders are made under a policy; what is done with them later knows it from them. */
struct bytes
directory_of_policy(struct acme *acme, struct arena *arena, const struct policy *policy)
{
    AUTO(json_t, object) = json_object();

    put_url(object, "newNonce", policy_url(acme, arena, DEFAULT_POLICY, "new-nonce"));
    put_url(object, "newAccount", policy_url(acme, arena, policy->name, "new-account"));
    put_url(object, "newOrder", policy_url(acme, arena, policy->name, "new-order"));
    put_url(object, "revokeCert", policy_url(acme, arena, DEFAULT_POLICY, "revoke-cert"));
    put_url(object, "keyChange", policy_url(acme, arena, DEFAULT_POLICY, "key-change"));
    put_url(object, "newAuthz", policy_url(acme, arena, policy->name, "new-authz"));
    put_url(object, "renewalInfo", policy_url(acme, arena, DEFAULT_POLICY, "renewal-info"));
    (void)json_object_set_new(object, "meta", meta(acme, arena, policy));
    return bytes_of_text(json_format(arena, object));
}

bool
is_web_address(const char *text)
{
    const char *host = strstr(text, "://");

    return (text_starts_with(text, "https://") || text_starts_with(text, "http://")) && strchr("/?#", host[3]) == NULL;
}

enum error
acme_check_urls(struct request *rq, const struct acme_config *config)
{
    const struct {
        const char *setting, *value;
    } urls[] = {{"SIGNET_ACME_URL", config->url}, {"SIGNET_ACME_TERMS_URL", config->terms_url}, {"SIGNET_ACME_WEBSITE", config->website}};

    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++)
        if (!text_is_empty(urls[i].value) && (!is_web_address(urls[i].value) || strpbrk(urls[i].value, " \"<>") != NULL))
            return fail(rq, ERR_BAD_REQUEST, "%s: \"%.200s\" is not a URL as clients follow it; write https://acme.example.org", urls[i].setting,
                        urls[i].value);
    if (!text_is_empty(config->url) && strpbrk(config->url, "?#@") != NULL)
        return fail(rq, ERR_BAD_REQUEST, "SIGNET_ACME_URL: \"%.200s\" has more than a host, a port and a path", config->url);
    return OK;
}

/* "" when the URL names no domain. */
static const char *
domain_of_url(struct arena *arena, const char *url)
{
    const char *host = strstr(url, "://");
    struct identifier domain;

    host = host == NULL ? url : host + 3;
    host = bytes_text(arena, BYTES((const uint8_t *)host, strcspn(host, ":/")));
    if (address_parse(host, &(struct address){0}) || identifier_read(arena, IDENTIFIER_DNS, host, &domain) != NULL)
        return "";
    return domain.value;
}

void
acme_name_urls(struct acme *acme, struct arena *arena)
{
    const struct acme_config *config = &acme->config;
    const char *scheme = text_is_empty(config->tls_cert_file) ? "http" : "https";
    char *url = text_is_empty(config->url) ? arena_format(arena, "%s://%s", scheme, config->listen) : arena_text(arena, config->url);
    size_t len = strlen(url);

    if (len > 0 && url[len - 1] == '/')
        url[len - 1] = '\0';
    acme->base_url = url;
    if (text_is_empty(config->caa_identities))
        acme->config.caa_identities = domain_of_url(arena, url);
    acme->terms_url = text_is_empty(config->terms_url) ? arena_format(arena, "%s/acme/terms", url) : config->terms_url;
}

enum error
directory(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    const struct policy *policy;

    if (x->on_loop && !policies_are_known(acme, &x->rq))
        return http_defer(x);
    enum error error = policy_of_path(acme, x, &policy);
    return error ? error : http_answer(x, 200, "application/json", policy->directory);
}

/* RFC 8555 §6.3: what may be had by GET may be had by POST-as-GET, too. */
enum error
directory_by_post(void *context, struct http_exchange *x)
{
    struct signed_request signed_;

    enum error error = post_as_get_check(context, x, &signed_);
    return error ? error : directory(context, x);
}

enum error
terms(void *context, struct http_exchange *x)
{
    return http_answer_text(x, 200, "text/plain; charset=utf-8",
                            "Certificates of this service are for systems of the organisation that runs it.\n"
                            "Whoever registers an account may ask for certificates for names that he controls, keeps the private keys to himself,\n"
                            "and has a certificate revoked when its key is lost or its content is no longer true.\n");
}
