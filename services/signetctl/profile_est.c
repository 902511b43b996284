/* Profiles of est-gw. Options and YAML keys are the fields of EstProfile; --anchors names a PEM file. */
#include <string.h>

#include "base/text.h"
#include "profile.h"
#include "signet/v1/est_gw.pb-c.h"

#define PROFILE_FILE_MAX (1024 * 1024)

static enum error
ask(struct ctl *ctl, struct request *rq, const char *name, const Pb__ListEstProfilesReply **ret_reply)
{
    Pb__ListEstProfilesRequest request = PB__LIST_EST_PROFILES_REQUEST__INIT;

    request.name = name;
    enum error error = CTL_CALL(ctl, rq, est_gw, ListEstProfiles, &request, ret_reply);
    return error ? error : list_check_found(rq, name, (*ret_reply)->n_profiles, "EST profile", "profile list --kind est");
}

static void
add_profile(struct request *rq, struct table *table, const void *element)
{
    const Pb__EstProfileEntry *stored = element;
    const Pb__EstProfile *profile = stored->profile;
    const char *const cells[] = {profile->name,
                                 profile->disabled ? "disabled" : "enabled",
                                 profile->template_,
                                 profile->issuer,
                                 enum_short_name(rq->arena, &pb__est_authentication__descriptor, (int)profile->authentication),
                                 profile->proof_required ? "required" : "checked",
                                 profile->server_key_type,
                                 profile->approval ? "yes" : "no",
                                 arena_format(rq->arena, "%zu", stored->n_users),
                                 profile->description};
    table_row(table, cells);
}

static const struct listing profiles = {
    .heads = {"NAME", "STATE", "TEMPLATE", "ISSUER", "AUTHENTICATION", "PROOF", "SERVER KEYS", "APPROVAL", "USERS", "DESCRIPTION"},
    .add_row = add_profile};

static enum error
list(struct ctl *ctl, struct request *rq)
{
    const Pb__ListEstProfilesReply *reply;
    enum error error = ask(ctl, rq, "", &reply);

    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    list_print(rq, &profiles, (const void *const *)reply->profiles, reply->n_profiles);
    return OK;
}

static enum error
show(struct ctl *ctl, struct request *rq)
{
    const Pb__ListEstProfilesReply *reply;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    return error ? error : yaml_show(ctl, rq, &reply->profiles[0]->base, &reply->profiles[0]->profile->base);
}

static enum error
store(struct ctl *ctl, struct request *rq, Pb__EstProfile *profile, bool create)
{
    Pb__StoreEstProfileRequest request = PB__STORE_EST_PROFILE_REQUEST__INIT;
    const Pb__StoreEstProfileReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.profile = profile;
    request.create = create;
    enum error error = CTL_CALL(ctl, rq, est_gw, StoreEstProfile, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "EST profile %s: %s\n", profile->name, reply->created ? "created" : "changed");
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
    enum error error = yaml_import(ctl, rq, PROFILE_FILE_MAX, "an EST profile", &profile.base);

    return error ? error : store(ctl, rq, &profile, false);
}

static enum error
delete_profile(struct ctl *ctl, struct request *rq)
{
    Pb__DeleteEstProfileRequest request = PB__DELETE_EST_PROFILE_REQUEST__INIT;
    const Pb__DeleteEstProfileReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.name = ctl->arguments.words[0];
    enum error error = CTL_CALL(ctl, rq, est_gw, DeleteEstProfile, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "EST profile %s: deleted\n", request.name);
}

/* The password is printed once; nobody can show it again. */
static enum error
reset_password(struct ctl *ctl, struct request *rq)
{
    Pb__ResetEstPasswordRequest request = PB__RESET_EST_PASSWORD_REQUEST__INIT;
    const Pb__ResetEstPasswordReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.profile = ctl->arguments.words[0];
    request.user = argument_or(ctl, "user", "");
    enum error error = CTL_CALL(ctl, rq, est_gw, ResetEstPassword, &request, &reply);
    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    printf("%s\n", reply->password);
    fprintf(stderr, "this is the password of %s user %s; it is not shown again\n", reply->created ? "the new" : "the", request.user);
    return OK;
}

static enum error
delete_user(struct ctl *ctl, struct request *rq)
{
    Pb__DeleteEstUserRequest request = PB__DELETE_EST_USER_REQUEST__INIT;
    const Pb__DeleteEstUserReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.profile = ctl->arguments.words[0];
    request.user = argument_or(ctl, "user", "");
    enum error error = CTL_CALL(ctl, rq, est_gw, DeleteEstUser, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "EST profile %s: user %s deleted\n", request.profile, request.user);
}

const struct profile_kind profile_est = {.name = "est",
                                         .verbs = {
                                             {"list", list},
                                             {"show", show},
                                             {"export", show},
                                             {"create", create},
                                             {"set", set},
                                             {"import", import},
                                             {"delete", delete_profile},
                                             {"reset-password", reset_password},
                                             {"delete-user", delete_user},
                                         }};
