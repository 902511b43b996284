/* acme eab create, list, show, delete, revoke: credentials for external account binding. The key of a new one is shown once, here. */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "signetctl.h"

#define USES_MAX 1000000
#define DAYS_MAX 36500
#define DAY_S INT64_C(86400)

static enum error
ask(struct ctl *ctl, struct request *rq, const char *name, const Pb__ListEabsReply **ret_reply)
{
    Pb__ListEabsRequest request = PB__LIST_EABS_REQUEST__INIT;

    request.name = name;
    enum error error = CTL_CALL(ctl, rq, acme_admin, ListEabs, &request, ret_reply);
    return error ? error : list_check_found(rq, name, (*ret_reply)->n_credentials, "credential", "acme eab list");
}

static const char *
uses_text(struct arena *arena, const Pb__EabCredential *credential)
{
    return credential->use_limit == 0 ? arena_format(arena, "%u", credential->uses)
                                      : arena_format(arena, "%u of %u", credential->uses, credential->use_limit);
}

static const char *
time_text(struct arena *arena, int64_t time_s)
{
    return time_s == 0 ? "" : clock_format_rfc3339(arena, time_s);
}

static void
add_credential(struct request *rq, struct table *table, const void *element)
{
    const Pb__EabCredential *one = element;
    const char *const cells[] = {one->name,
                                 one->policy,
                                 one->status,
                                 uses_text(rq->arena, one),
                                 time_text(rq->arena, one->expires_at_s),
                                 one->owner,
                                 list_joined(rq->arena, (const char *const *)one->allowed_names, one->n_allowed_names),
                                 one->key_id};
    table_row(table, cells);
}

static const struct listing credentials = {.heads = {"NAME", "POLICY", "STATUS", "USES", "EXPIRES", "OWNER", "NAMES", "KEY ID"},
                                           .add_row = add_credential};

enum error
acme_eab_list(struct ctl *ctl, struct request *rq)
{
    const Pb__ListEabsReply *reply;
    enum error error = ask(ctl, rq, "", &reply);

    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    list_print(rq, &credentials, (const void *const *)reply->credentials, reply->n_credentials);
    return OK;
}

enum error
acme_eab_show(struct ctl *ctl, struct request *rq)
{
    const Pb__ListEabsReply *reply;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    if (error)
        return error;
    const Pb__EabCredential *one = reply->credentials[0];
    if (answer_json(ctl, rq, &one->base))
        return OK;
    const char *const facts[][2] = {
        {"name", one->name},
        {"key id", one->key_id},
        {"policy", one->policy},
        {"status", one->status},
        {"uses", uses_text(rq->arena, one)},
        {"expires", one->expires_at_s != 0 ? time_text(rq->arena, one->expires_at_s) : "never"},
        {"owner", one->owner[0] ? one->owner : NULL},
        {"principal", arena_format(rq->arena, "eab:%s", one->principal[0] ? one->principal : one->name)},
        {"names", one->n_allowed_names ? list_joined(rq->arena, (const char *const *)one->allowed_names, one->n_allowed_names) : NULL},
        {"templates",
         one->n_allowed_templates ? list_joined(rq->arena, (const char *const *)one->allowed_templates, one->n_allowed_templates) : NULL},
        {"created", arena_format(rq->arena, "%s by %s", time_text(rq->arena, one->created_at_s), one->created_by)},
    };
    table_facts(stdout, facts, sizeof(facts) / sizeof(facts[0]));
    return OK;
}

static const char **
list_argument(struct ctl *ctl, struct request *rq, const char *name, size_t *ret_count)
{
    return (const char **)text_split(rq->arena, argument_or(ctl, name, ""), ',', ret_count);
}

static enum error
read_credential(struct ctl *ctl, struct request *rq, Pb__EabCredential *credential)
{
    int64_t uses = 0, days = 0;
    enum error error = argument_number(ctl, rq, "uses", 0, USES_MAX, 1, &uses);

    if (!error)
        error = argument_number(ctl, rq, "days", 0, DAYS_MAX, 0, &days);
    if (error)
        return error;
    credential->name = ctl->arguments.words[0];
    credential->policy = argument_or(ctl, "policy", "default");
    credential->use_limit = (uint32_t)uses;
    credential->expires_at_s = days == 0 ? 0 : clock_now_s() + days * DAY_S;
    credential->owner = argument_or(ctl, "owner", "");
    credential->principal = argument_or(ctl, "principal", "");
    credential->allowed_names = list_argument(ctl, rq, "allowed-names", &credential->n_allowed_names);
    credential->allowed_templates = list_argument(ctl, rq, "allowed-templates", &credential->n_allowed_templates);
    credential->created_by = operator_name(rq->arena);
    return OK;
}

enum error
acme_eab_create(struct ctl *ctl, struct request *rq)
{
    Pb__CreateEabRequest request = PB__CREATE_EAB_REQUEST__INIT;
    Pb__EabCredential credential = PB__EAB_CREDENTIAL__INIT;
    const Pb__CreateEabReply *reply;
    enum error error = read_credential(ctl, rq, &credential);

    request.credential = &credential;
    for (size_t i = 0; !error && i < credential.n_allowed_templates; i++)
        error = check_template_name(ctl, rq, "--allowed-templates", credential.allowed_templates[i]);
    if (!error)
        error = CTL_CALL(ctl, rq, acme_admin, CreateEab, &request, &reply);
    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    const char *const facts[][2] = {{"key id", reply->key_id}, {"HMAC key", reply->hmac_key}};
    table_facts(stdout, facts, 2);
    fputs("The HMAC key is shown this once: it cannot be read again.\n", stderr);
    return OK;
}

enum error
acme_eab_delete(struct ctl *ctl, struct request *rq)
{
    Pb__DeleteEabRequest request = PB__DELETE_EAB_REQUEST__INIT;
    const Pb__DeleteEabReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.name = ctl->arguments.words[0];
    enum error error = CTL_CALL(ctl, rq, acme_admin, DeleteEab, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "credential %s: deleted; its accounts stay\n", request.name);
}

/* So many accounts at once; then the next ones. */
enum error
acme_eab_revoke(struct ctl *ctl, struct request *rq)
{
    Pb__RevokeEabRequest request = PB__REVOKE_EAB_REQUEST__INIT;
    Pb__RevokeEabReply all = PB__REVOKE_EAB_REPLY__INIT;
    const Pb__RevokeEabReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.name = ctl->arguments.words[0];
    request.cascade = argument(ctl, "cascade") != NULL;
    do {
        enum error error = CTL_CALL(ctl, rq, acme_admin, RevokeEab, &request, &reply);
        if (error)
            return error;
        all.accounts += reply->accounts;
        if (reply->more && !ctl->json)
            printf("%u accounts revoked so far\n", all.accounts);
    } while (reply->more);
    return answer(ctl, rq, &all.base, "credential %s: revoked, with %u accounts\n", request.name, all.accounts);
}
