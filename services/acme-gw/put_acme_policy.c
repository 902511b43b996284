/* Checks and writes a policy: what comes in here is what requests rely on later. */
#include "acme.h"

#include <string.h>

#define VALIDITY_DAYS_MAX 3650

/* "intra" would be served under /acme/intra/…: not when the gateway has a resource there. */
static bool
is_resource(const char *name)
{
    const char *prefix = "/acme/";
    size_t len = strlen(name);

    for (size_t i = 0; i < acme_route_count; i++) {
        const char *path = acme_routes[i].path;
        if (!text_starts_with(path, prefix) || strncmp(path + strlen(prefix), name, len) != 0)
            continue;
        char next = path[strlen(prefix) + len];
        if (next == '\0' || next == '/')
            return true;
    }
    return false;
}

static bool
is_label(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > POLICY_NAME_MAX || name[0] == '-' || name[len - 1] == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

enum error
policy_name_check(struct request *rq, const char *name)
{
    if (!is_label(name))
        return fail(rq, ERR_BAD_REQUEST, "a name has at most %d lower-case letters, digits and inner hyphens", POLICY_NAME_MAX);
    return OK;
}

static enum error
check_name(struct request *rq, const char *name)
{
    enum error error = policy_name_check(rq, name);

    if (error)
        return error;
    if (is_resource(name))
        return fail(rq, ERR_BAD_REQUEST, "\"%s\" cannot be a policy's name: the gateway has a resource of that name", name);
    return OK;
}

static enum error
check_texts(struct request *rq, const Pb__AcmePolicy *policy)
{
    const char *const texts[] = {policy->description, policy->template_, policy->issuer, policy->limits};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strlen(texts[i]) > POLICY_TEXT_MAX)
            return fail(rq, ERR_TOO_LARGE, "\"%.40s…\" is longer than %d octets", texts[i], POLICY_TEXT_MAX);
    return OK;
}

static enum error
check_networks(struct request *rq, const char *what, const char *const *texts, size_t count)
{
    struct network network;

    if (count > POLICY_LIST_MAX)
        return fail(rq, ERR_TOO_LARGE, "%s: at most %d can be given", what, POLICY_LIST_MAX);
    for (size_t i = 0; i < count; i++)
        if (!network_parse(texts[i], &network))
            return fail(rq, ERR_BAD_REQUEST, "%s: \"%.60s\" is not a network; write 10.0.0.0/8 or fd00::/8", what, texts[i]);
    return OK;
}

static enum error
check_challenges(struct request *rq, const Pb__AcmePolicy *policy)
{
    if (policy->n_challenge_types > POLICY_LIST_MAX)
        return fail(rq, ERR_TOO_LARGE, "challenge_types: at most %d can be given", POLICY_LIST_MAX);
    for (size_t i = 0; i < policy->n_challenge_types; i++)
        if (!challenge_type_is_known(policy->challenge_types[i]))
            return fail(rq, ERR_BAD_REQUEST, "challenge_types: \"%.40s\" is not known here", policy->challenge_types[i]);
    return OK;
}

static enum error
check_profiles(struct request *rq, const Pb__AcmePolicy *policy)
{
    struct profile *profiles;

    if (policy->n_profiles > POLICY_LIST_MAX)
        return fail(rq, ERR_TOO_LARGE, "profiles: at most %d can be given", POLICY_LIST_MAX);
    for (size_t i = 0; i < policy->n_profiles; i++)
        if (strlen(policy->profiles[i]) > POLICY_TEXT_MAX)
            return fail(rq, ERR_TOO_LARGE, "profiles: \"%.40s…\" is longer than %d octets", policy->profiles[i], POLICY_TEXT_MAX);
    return profiles_parse(rq, "profiles", (char *const *)policy->profiles, policy->n_profiles, &profiles);
}

/* With CAA on and no name of ours every CAA record forbids. */
static enum error
check_caa_can_allow(const struct acme *acme, struct request *rq, const Pb__AcmePolicy *policy)
{
    if (!policy->caa || !text_is_empty(acme->config.caa_identities))
        return OK;
    return fail(rq, ERR_BAD_REQUEST,
                "caa: this CA has no name that CAA records could allow; the gateway's setting SIGNET_ACME_CAA_IDENTITIES gives it one");
}

/* Attestation binds the key; what is approved beforehand would be any key's. */
static enum error
check_preapproved(struct request *rq, const Pb__AcmePolicy *policy)
{
    enum error error = name_patterns_check(rq, "preapproved_names", policy->preapproved_names, policy->n_preapproved_names);

    for (size_t i = 0; error == OK && i < policy->n_preapproved_names; i++)
        if (name_pattern_is_device(policy->preapproved_names[i]))
            return fail(rq, ERR_BAD_REQUEST, "preapproved_names: %.60s: devices attest themselves, they are not approved beforehand",
                        policy->preapproved_names[i]);
    return error;
}

static enum error
check_numbers(struct request *rq, const Pb__AcmePolicy *policy)
{
    enum eab_rule rule;

    if (policy->validity_days < -1 || policy->validity_days > VALIDITY_DAYS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "validity_days is a number from 1 to %d, 0 for the gateway's setting, -1 for the template's",
                    VALIDITY_DAYS_MAX);
    if (policy->identifiers_max > IDENTIFIERS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "identifiers_max is at most %d", IDENTIFIERS_MAX);
    if (policy->orders_per_account > INT32_MAX || policy->certificates_per_account > INT32_MAX)
        return fail(rq, ERR_BAD_REQUEST, "a quota is at most %d", INT32_MAX);
    if (policy->star_max_duration_s < 0 || policy->star_min_lifetime_s < 0)
        return fail(rq, ERR_BAD_REQUEST, "star_max_duration_s and star_min_lifetime_s are seconds");
    if (!text_is_empty(policy->eab) && !eab_rule_find(policy->eab, &rule))
        return fail(rq, ERR_BAD_REQUEST, "eab is none, optional or required, not \"%.40s\"", policy->eab);
    return OK;
}

#define NETWORKS(field) check_networks(rq, #field, (const char *const *)policy->field, policy->n_##field)

static enum error
check_policy(const struct acme *acme, struct request *rq, const Pb__AcmePolicy *policy)
{
    enum error error = check_name(rq, policy->name);

    if (!error)
        error = check_texts(rq, policy);
    if (!error)
        error = NETWORKS(client_networks);
    if (!error)
        error = NETWORKS(allowed_networks);
    if (!error)
        error = NETWORKS(denied_networks);
    if (!error)
        error = check_preapproved(rq, policy);
    if (!error)
        error = check_challenges(rq, policy);
    if (!error)
        error = attestation_check_policy(rq, policy);
    if (!error)
        error = check_caa_can_allow(acme, rq, policy);
    if (!error)
        error = check_profiles(rq, policy);
    return error ? error : check_numbers(rq, policy);
}

struct put {
    const struct acme *acme;
    const Pb__AcmePolicy *policy, *read;
    enum policy_write how;
    bool created;
};

static enum error
write_policy(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    struct put *put = context;
    struct acme within = acme_within(put->acme, db);
    Pb__AcmePolicy **before, **after;
    size_t count, count_after;

    enum error error = store_list_policies(&within, rq, put->policy->name, &before, &count);
    if (!error && put->read != NULL)
        error = configuration_check_read(rq, change, &put->read->base, count == 0 ? NULL : &before[0]->base);
    if (!error)
        error = store_write_policy(&within, rq, put->policy, put->how, &put->created);
    if (!error) /* as it is stored: what was left out has its default */
        error = store_list_policies(&within, rq, put->policy->name, &after, &count_after);
    if (error)
        return error;
    if (count > 0 && configuration_compare(rq->arena, &before[0]->base, &after[0]->base, &(char **){NULL}) == 0)
        return OK;
    change->action = count == 0 ? "created" : "changed";
    change->before = count == 0 ? NULL : &before[0]->base;
    change->after = &after[0]->base;
    return OK;
}

enum error
put_acme_policy(struct acme *acme, struct request *rq, const Pb__PutAcmePolicyRequest *input, Pb__PutAcmePolicyReply *ret_reply)
{
    struct configuration_change change = {.what = "acme policy", .by = input->operator_};
    struct put put = {.acme = acme, .policy = input->policy, .read = input->read};

    if (input->policy == NULL)
        return fail(rq, ERR_BAD_REQUEST, "policy is missing");
    put.how = input->must_be_new ? POLICY_CREATE : input->must_exist ? POLICY_CHANGE : POLICY_WRITE;
    change.name = input->policy->name;
    request_note(rq, "policy", "%.40s", input->policy->name);
    enum error error = check_policy(acme, rq, input->policy);
    if (!error)
        error = configuration_write(acme->outbox, acme->db, rq, write_policy, &put, &change);
    if (error)
        return error;
    ret_reply->created = put.created;
    ret_reply->changed = change.action != NULL;
    return OK;
}
