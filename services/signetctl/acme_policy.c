/*
 * acme policy list, show, export, create, set, import, delete. Options and YAML keys are the fields of AcmePolicy: a new one needs no line here but
 * in the list of options (commands.c). On the command line the roots for attestations are PEM files.
 */
#include <string.h>

#include "base/text.h"
#include "signetctl.h"

#define POLICY_FILE_MAX (512 * 1024) /* with the roots of three formats */
#define ROOTS_FILE_MAX (128 * 1024)

static enum error
ask(struct ctl *ctl, struct request *rq, const char *name, const Pb__ListAcmePoliciesReply **ret_reply)
{
    Pb__ListAcmePoliciesRequest request = PB__LIST_ACME_POLICIES_REQUEST__INIT;

    request.name = name;
    enum error error = CTL_CALL(ctl, rq, acme_admin, ListAcmePolicies, &request, ret_reply);
    return error ? error : list_check_found(rq, name, (*ret_reply)->n_policies, "ACME policy", "acme policy list");
}

static void
add_policy(struct request *rq, struct table *table, const void *element)
{
    const Pb__AcmePolicy *policy = element;
    const char *const cells[] = {policy->name,
                                 policy->disabled ? "disabled" : "enabled",
                                 policy->template_,
                                 policy->validity_days ? arena_format(rq->arena, "%d", policy->validity_days) : "",
                                 policy->eab,
                                 list_joined(rq->arena, (const char *const *)policy->preapproved_names, policy->n_preapproved_names),
                                 list_joined(rq->arena, (const char *const *)policy->challenge_types, policy->n_challenge_types),
                                 policy->limits,
                                 policy->description};
    table_row(table, cells);
}

static const struct listing policies = {.heads = {"NAME", "STATE", "TEMPLATE", "DAYS", "EAB", "PREAPPROVED", "CHALLENGES", "LIMITS", "DESCRIPTION"},
                                        .add_row = add_policy};

enum error
acme_policy_list(struct ctl *ctl, struct request *rq)
{
    const Pb__ListAcmePoliciesReply *reply;
    enum error error = ask(ctl, rq, "", &reply);

    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    list_print(rq, &policies, (const void *const *)reply->policies, reply->n_policies);
    return OK;
}

/* Both `show` and `export`: what is shown is what can be imported, one form to learn. */
enum error
acme_policy_show(struct ctl *ctl, struct request *rq)
{
    const Pb__ListAcmePoliciesReply *reply;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    return error ? error : yaml_show(ctl, rq, &reply->policies[0]->base, &reply->policies[0]->base);
}

static enum error
put(struct ctl *ctl, struct request *rq, Pb__PutAcmePolicyRequest *request)
{
    const Pb__PutAcmePolicyReply *reply;

    request->operator_ = operator_name(rq->arena);
    enum error error = CTL_CALL(ctl, rq, acme_admin, PutAcmePolicy, request, &reply);

    return error ? error : answer(ctl, rq, &reply->base, "ACME policy %s: %s\n", request->policy->name, put_word(reply->created, reply->changed));
}

/* "--tpm-roots FILE"; an empty name takes the format back. */
static enum error
take_roots(struct ctl *ctl, struct request *rq, const char *option, const char **roots)
{
    const char *path = argument(ctl, option);
    struct bytes pem = BYTES_NONE;

    if (path == NULL)
        return OK;
    enum error error = path[0] == '\0' ? OK : file_read(rq, path, ROOTS_FILE_MAX, &pem);
    if (!error)
        *roots = bytes_text(rq->arena, pem);
    return error;
}

static enum error
take_options(struct ctl *ctl, struct request *rq, Pb__AcmePolicy *policy)
{
    enum error error = message_from_options(ctl, rq, &policy->base);

    if (!error)
        error = take_roots(ctl, rq, "apple-roots", &policy->apple_roots);
    if (!error)
        error = take_roots(ctl, rq, "step-roots", &policy->step_roots);
    return error ? error : take_roots(ctl, rq, "tpm-roots", &policy->tpm_roots);
}

/* "shortlived=Web Server:6"; what is no profile the gateway says. */
static enum error
check_profiles(struct ctl *ctl, struct request *rq, const char **profiles, size_t count)
{
    enum error error = OK;
    size_t i;

    for (i = 0; error == OK && i < count; i++) {
        const char *name = strchr(profiles[i], '='), *end = strrchr(profiles[i], ':');
        if (name != NULL && end != NULL && end > name)
            error = check_template_name(ctl, rq, "profiles", arena_text_n(rq->arena, name + 1, (size_t)(end - name - 1)));
    }
    return error;
}

static enum error
check_names(struct ctl *ctl, struct request *rq, const Pb__AcmePolicy *policy)
{
    enum error error = check_template_name(ctl, rq, "template", policy->template_);

    if (!error)
        error = check_ca_name(ctl, rq, "issuer", policy->issuer);
    return error ? error : check_profiles(ctl, rq, policy->profiles, policy->n_profiles);
}

enum error
acme_policy_create(struct ctl *ctl, struct request *rq)
{
    Pb__PutAcmePolicyRequest request = PB__PUT_ACME_POLICY_REQUEST__INIT;
    Pb__AcmePolicy policy = PB__ACME_POLICY__INIT;
    enum error error = take_options(ctl, rq, &policy);

    policy.name = ctl->arguments.words[0];
    request.policy = &policy;
    request.must_be_new = true;
    if (!error)
        error = check_names(ctl, rq, &policy);
    return error ? error : put(ctl, rq, &request);
}

enum error
acme_policy_set(struct ctl *ctl, struct request *rq)
{
    Pb__PutAcmePolicyRequest request = PB__PUT_ACME_POLICY_REQUEST__INIT;
    const Pb__ListAcmePoliciesReply *reply;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    if (error)
        return error;
    Pb__AcmePolicy read = *reply->policies[0]; /* options replace its fields, and change nothing that they point to */
    request.read = &read;
    request.policy = reply->policies[0];
    request.must_exist = true;
    error = take_options(ctl, rq, request.policy);
    /* Only then: a policy can be disabled while the signer is away. */
    if (!error && (argument(ctl, "template") != NULL || argument(ctl, "issuer") != NULL || argument(ctl, "profiles") != NULL))
        error = check_names(ctl, rq, request.policy);
    return error ? error : put(ctl, rq, &request);
}

enum error
acme_policy_import(struct ctl *ctl, struct request *rq)
{
    Pb__PutAcmePolicyRequest request = PB__PUT_ACME_POLICY_REQUEST__INIT;
    Pb__AcmePolicy policy = PB__ACME_POLICY__INIT;
    enum error error = yaml_import(ctl, rq, POLICY_FILE_MAX, "an ACME policy", &policy.base);

    request.policy = &policy;
    if (!error)
        error = check_names(ctl, rq, &policy);
    return error ? error : put(ctl, rq, &request);
}

enum error
acme_policy_delete(struct ctl *ctl, struct request *rq)
{
    Pb__DeleteAcmePolicyRequest request = PB__DELETE_ACME_POLICY_REQUEST__INIT;
    const Pb__DeleteAcmePolicyReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.name = ctl->arguments.words[0];
    enum error error = CTL_CALL(ctl, rq, acme_admin, DeleteAcmePolicy, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "ACME policy %s: deleted\n", request.name);
}
