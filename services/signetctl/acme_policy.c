/*
 * acme policy list, show, export, create, set, import, delete. Options and YAML keys are the fields of AcmePolicy: a new one needs no line here but
 * in the list of options (commands.c).
 */
#include <string.h>

#include "base/text.h"
#include "link/rpc.h"
#include "signetctl.h"

#define POLICY_FILE_MAX (64 * 1024)

static enum error
ask(struct ctl *ctl, struct request *rq, const char *name, const Pb__ListAcmePoliciesReply **ret_reply)
{
    Pb__ListAcmePoliciesRequest request = PB__LIST_ACME_POLICIES_REQUEST__INIT;
    enum error error = ctl_bus(ctl, rq);

    if (error)
        return error;
    request.name = name;
    error = RPC_CALL(ctl->bus, rq, acme_admin, ListAcmePolicies, &request, ret_reply);
    if (!error && name[0] != '\0' && (*ret_reply)->n_policies == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no ACME policy named \"%s\": see signetctl acme policy list", name);
    return error;
}

static const char *
joined(struct arena *arena, const char *const *texts, size_t count)
{
    struct buffer list = buffer_in(arena);
    size_t i;

    for (i = 0; i < count; i++)
        buffer_append_format(&list, "%s%s", i ? "," : "", texts[i]);
    return buffer_text(&list);
}

enum error
acme_policy_list(struct ctl *ctl, struct request *rq)
{
    static const char *const heads[] = {"NAME", "STATE", "TEMPLATE", "DAYS", "EAB", "PREAPPROVED", "CHALLENGES", "LIMITS", "DESCRIPTION"};
    const Pb__ListAcmePoliciesReply *reply;
    struct table *table;
    enum error error = ask(ctl, rq, "", &reply);
    size_t i;

    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    table = table_new(rq->arena, heads, sizeof(heads) / sizeof(heads[0]));
    for (i = 0; i < reply->n_policies; i++) {
        const Pb__AcmePolicy *policy = reply->policies[i];
        const char *const cells[] = {policy->name,
                                     policy->disabled ? "disabled" : "enabled",
                                     policy->template_,
                                     policy->validity_days ? arena_format(rq->arena, "%d", policy->validity_days) : "",
                                     policy->eab,
                                     joined(rq->arena, (const char *const *)policy->preapproved_names, policy->n_preapproved_names),
                                     joined(rq->arena, (const char *const *)policy->challenge_types, policy->n_challenge_types),
                                     policy->limits,
                                     policy->description};
        table_row(table, cells);
    }
    table_print(table, stdout);
    return OK;
}

/* Both `show` and `export`: what is shown is what can be imported, one form to learn. */
enum error
acme_policy_show(struct ctl *ctl, struct request *rq)
{
    const Pb__ListAcmePoliciesReply *reply;
    struct buffer yaml = buffer_in(rq->arena);
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->policies[0]->base)), OK;
    message_to_yaml(rq->arena, &reply->policies[0]->base, &yaml);
    fputs(buffer_text(&yaml), stdout);
    return OK;
}

static enum error
put(struct ctl *ctl, struct request *rq, Pb__PutAcmePolicyRequest *request)
{
    const Pb__PutAcmePolicyReply *reply;
    enum error error = ctl_bus(ctl, rq);

    if (!error)
        error = RPC_CALL(ctl->bus, rq, acme_admin, PutAcmePolicy, request, &reply);
    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    printf("ACME policy %s: %s\n", request->policy->name, reply->created ? "created" : "changed");
    return OK;
}

enum error
acme_policy_create(struct ctl *ctl, struct request *rq)
{
    Pb__PutAcmePolicyRequest request = PB__PUT_ACME_POLICY_REQUEST__INIT;
    Pb__AcmePolicy policy = PB__ACME_POLICY__INIT;
    enum error error = message_from_options(ctl, rq, &policy.base);

    policy.name = ctl->arguments.words[0];
    request.policy = &policy;
    request.must_be_new = true;
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
    request.policy = reply->policies[0];
    request.must_exist = true;
    error = message_from_options(ctl, rq, &request.policy->base);
    return error ? error : put(ctl, rq, &request);
}

enum error
acme_policy_import(struct ctl *ctl, struct request *rq)
{
    Pb__PutAcmePolicyRequest request = PB__PUT_ACME_POLICY_REQUEST__INIT;
    Pb__AcmePolicy policy = PB__ACME_POLICY__INIT;
    struct bytes yaml;
    enum error error = file_read(rq, ctl->arguments.words[0], POLICY_FILE_MAX, &yaml);

    if (!error)
        error = message_from_yaml(rq, yaml, "an ACME policy", &policy.base);
    request.policy = &policy;
    return error ? error : put(ctl, rq, &request);
}

enum error
acme_policy_delete(struct ctl *ctl, struct request *rq)
{
    Pb__DeleteAcmePolicyRequest request = PB__DELETE_ACME_POLICY_REQUEST__INIT;
    const Pb__DeleteAcmePolicyReply *reply;
    enum error error = ctl_bus(ctl, rq);

    request.name = ctl->arguments.words[0];
    if (!error)
        error = RPC_CALL(ctl->bus, rq, acme_admin, DeleteAcmePolicy, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    printf("ACME policy %s: deleted\n", request.name);
    return OK;
}
