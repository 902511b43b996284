/* Profiles of est-gw. Options and YAML keys are the fields of EstProfile; --anchors names a PEM file. */
#include <string.h>

#include "base/text.h"
#include "link/rpc.h"
#include "profile.h"
#include "signet/v1/est_gw.pb-c.h"

#define PROFILE_FILE_MAX (1024 * 1024)

static enum error
ask(struct ctl *ctl, struct request *rq, const char *name, const Pb__ListEstProfilesReply **ret_reply)
{
    Pb__ListEstProfilesRequest request = PB__LIST_EST_PROFILES_REQUEST__INIT;
    enum error error = ctl_bus(ctl, rq);

    if (error)
        return error;
    request.name = name;
    error = RPC_CALL(ctl->bus, rq, est_gw, ListEstProfiles, &request, ret_reply);
    if (!error && name[0] != '\0' && (*ret_reply)->n_profiles == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no EST profile named \"%s\": see signetctl profile list --kind est", name);
    return error;
}

static enum error
list(struct ctl *ctl, struct request *rq)
{
    static const char *const heads[] = {"NAME",  "STATE",       "TEMPLATE", "ISSUER", "AUTHENTICATION",
                                        "PROOF", "SERVER KEYS", "APPROVAL", "USERS",  "DESCRIPTION"};
    const Pb__ListEstProfilesReply *reply;
    struct table *table;
    enum error error = ask(ctl, rq, "", &reply);
    size_t i;

    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    table = table_new(rq->arena, heads, sizeof(heads) / sizeof(heads[0]));
    for (i = 0; i < reply->n_profiles; i++) {
        const Pb__EstProfile *profile = reply->profiles[i]->profile;
        const char *const cells[] = {profile->name,
                                     profile->disabled ? "disabled" : "enabled",
                                     profile->template_,
                                     profile->issuer,
                                     enum_short_name(rq->arena, &pb__est_authentication__descriptor, (int)profile->authentication),
                                     profile->proof_required ? "required" : "checked",
                                     profile->server_key_type,
                                     profile->approval ? "yes" : "no",
                                     arena_format(rq->arena, "%zu", reply->profiles[i]->n_users),
                                     profile->description};
        table_row(table, cells);
    }
    table_print(table, stdout);
    return OK;
}

static enum error
show(struct ctl *ctl, struct request *rq)
{
    const Pb__ListEstProfilesReply *reply;
    struct buffer yaml = buffer_in(rq->arena);
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->profiles[0]->base)), OK;
    message_to_yaml(rq->arena, &reply->profiles[0]->profile->base, &yaml);
    fputs(buffer_text(&yaml), stdout);
    return OK;
}

static enum error
store(struct ctl *ctl, struct request *rq, Pb__EstProfile *profile, bool create)
{
    Pb__StoreEstProfileRequest request = PB__STORE_EST_PROFILE_REQUEST__INIT;
    const Pb__StoreEstProfileReply *reply;
    enum error error = ctl_bus(ctl, rq);

    request.profile = profile;
    request.create = create;
    if (!error)
        error = RPC_CALL(ctl->bus, rq, est_gw, StoreEstProfile, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    printf("EST profile %s: %s\n", profile->name, reply->created ? "created" : "changed");
    return OK;
}

static enum error
set_fields(struct ctl *ctl, struct request *rq, Pb__EstProfile *profile)
{
    const char *anchors = argument(ctl, "anchors");
    struct bytes pem;
    enum error error = message_from_options(ctl, rq, &profile->base);

    if (error || anchors == NULL)
        return error;
    if (anchors[0] == '\0') {
        profile->anchors = "";
        return OK;
    }
    error = file_read(rq, anchors, PROFILE_FILE_MAX, &pem);
    if (!error)
        profile->anchors = bytes_text(rq->arena, pem);
    return error;
}

static enum error
create(struct ctl *ctl, struct request *rq)
{
    Pb__EstProfile profile = PB__EST_PROFILE__INIT;
    enum error error = set_fields(ctl, rq, &profile);

    profile.name = ctl->arguments.words[0];
    return error ? error : store(ctl, rq, &profile, true);
}

static enum error
set(struct ctl *ctl, struct request *rq)
{
    const Pb__ListEstProfilesReply *reply;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    if (!error)
        error = set_fields(ctl, rq, reply->profiles[0]->profile);
    return error ? error : store(ctl, rq, reply->profiles[0]->profile, false);
}

static enum error
import(struct ctl *ctl, struct request *rq)
{
    Pb__EstProfile profile = PB__EST_PROFILE__INIT;
    struct bytes yaml;
    enum error error = file_read(rq, ctl->arguments.words[0], PROFILE_FILE_MAX, &yaml);

    if (!error)
        error = message_from_yaml(rq, yaml, "an EST profile", &profile.base);
    return error ? error : store(ctl, rq, &profile, false);
}

static enum error
delete_profile(struct ctl *ctl, struct request *rq)
{
    Pb__DeleteEstProfileRequest request = PB__DELETE_EST_PROFILE_REQUEST__INIT;
    const Pb__DeleteEstProfileReply *reply;
    enum error error = ctl_bus(ctl, rq);

    request.name = ctl->arguments.words[0];
    if (!error)
        error = RPC_CALL(ctl->bus, rq, est_gw, DeleteEstProfile, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    printf("EST profile %s: deleted\n", request.name);
    return OK;
}

/* The password is printed once; nobody can show it again. */
static enum error
reset_password(struct ctl *ctl, struct request *rq)
{
    Pb__ResetEstPasswordRequest request = PB__RESET_EST_PASSWORD_REQUEST__INIT;
    const Pb__ResetEstPasswordReply *reply;
    enum error error = ctl_bus(ctl, rq);

    request.profile = ctl->arguments.words[0];
    request.user = argument_or(ctl, "user", "");
    if (!error)
        error = RPC_CALL(ctl->bus, rq, est_gw, ResetEstPassword, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    printf("%s\n", reply->password);
    fprintf(stderr, "this is the password of %s user %s; it is not shown again\n", reply->created ? "the new" : "the", request.user);
    return OK;
}

static enum error
delete_user(struct ctl *ctl, struct request *rq)
{
    Pb__DeleteEstUserRequest request = PB__DELETE_EST_USER_REQUEST__INIT;
    const Pb__DeleteEstUserReply *reply;
    enum error error = ctl_bus(ctl, rq);

    request.profile = ctl->arguments.words[0];
    request.user = argument_or(ctl, "user", "");
    if (!error)
        error = RPC_CALL(ctl->bus, rq, est_gw, DeleteEstUser, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    printf("EST profile %s: user %s deleted\n", request.profile, request.user);
    return OK;
}

const struct profile_kind profile_est = {
    .name = "est",
    .list = list,
    .show = show,
    .create = create,
    .set = set,
    .import = import,
    .delete_ = delete_profile,
    .reset_password = reset_password,
    .delete_user = delete_user,
};
