/* Profiles of scep-gw. Options and YAML keys are the fields of ScepProfile. */
#include "base/text.h"
#include "profile.h"
#include "signet/v1/scep_gw.pb-c.h"

#define PROFILE_FILE_MAX (64 * 1024)

static enum error
ask(struct ctl *ctl, struct request *rq, const char *name, const Pb__ListScepProfilesReply **ret_reply)
{
    Pb__ListScepProfilesRequest request = PB__LIST_SCEP_PROFILES_REQUEST__INIT;

    request.name = name;
    enum error error = CTL_CALL(ctl, rq, scep_gw, ListScepProfiles, &request, ret_reply);
    return error ? error : list_check_found(rq, name, (*ret_reply)->n_profiles, "SCEP profile", "profile list --kind scep");
}

static void
add_profile(struct request *rq, struct table *table, const void *element)
{
    const Pb__ScepProfileState *stored = element;
    const Pb__ScepProfile *profile = stored->profile;
    const char *const cells[] = {profile->name,
                                 profile->disabled ? "disabled" : "enabled",
                                 profile->issuer,
                                 profile->template_,
                                 profile->authorization,
                                 stored->has_passphrase ? "set" : "none",
                                 profile->ndes ? "yes" : "no",
                                 profile->legacy ? "yes" : "no",
                                 arena_format(rq->arena, "/scep/%s", profile->name)};
    table_row(table, cells);
}

static const struct listing profiles = {.heads = {"NAME", "STATE", "ISSUER", "TEMPLATE", "AUTHORIZATION", "PASSPHRASE", "NDES", "LEGACY", "URL"},
                                        .add_row = add_profile};

static enum error
list(struct ctl *ctl, struct request *rq)
{
    const Pb__ListScepProfilesReply *reply;
    enum error error = ask(ctl, rq, "", &reply);

    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    list_print(rq, &profiles, (const void *const *)reply->profiles, reply->n_profiles);
    return OK;
}

static enum error
show(struct ctl *ctl, struct request *rq)
{
    const Pb__ListScepProfilesReply *reply;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    return error ? error : yaml_show(ctl, rq, &reply->profiles[0]->base, &reply->profiles[0]->profile->base);
}

static enum error
save(struct ctl *ctl, struct request *rq, Pb__ScepProfile *profile, Pb__ScepProfile *read, bool create)
{
    Pb__SaveScepProfileRequest request = PB__SAVE_SCEP_PROFILE_REQUEST__INIT;
    const Pb__SaveScepProfileReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.profile = profile;
    request.read = read;
    request.create = create;
    enum error error = CTL_CALL(ctl, rq, scep_gw, SaveScepProfile, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "SCEP profile %s: %s\n", profile->name, put_word(reply->created, reply->changed));
}

/* What is not said about a new profile, by options or in a file. */
static Pb__ScepProfile
new_profile(void)
{
    Pb__ScepProfile profile = PB__SCEP_PROFILE__INIT;

    profile.authorization = "passphrase";
    profile.renewal = true;
    return profile;
}

static enum error
create(struct ctl *ctl, struct request *rq)
{
    Pb__ScepProfile profile = new_profile();
    enum error error = message_from_options(ctl, rq, &profile.base);
    profile.name = ctl->arguments.words[0];
    if (!error)
        error = profile_check_names(ctl, rq, profile.template_, profile.issuer);
    return error ? error : save(ctl, rq, &profile, NULL, true);
}

static enum error
set(struct ctl *ctl, struct request *rq)
{
    const Pb__ListScepProfilesReply *reply;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    if (error)
        return error;
    Pb__ScepProfile *profile = reply->profiles[0]->profile;
    Pb__ScepProfile read = *profile; /* options replace its fields, and change nothing that they point to */
    error = message_from_options(ctl, rq, &profile->base);
    if (!error)
        error = profile_check_names(ctl, rq, argument(ctl, "template"), argument(ctl, "issuer"));
    return error ? error : save(ctl, rq, profile, &read, false);
}

static enum error
import(struct ctl *ctl, struct request *rq)
{
    Pb__ScepProfile profile = new_profile();
    enum error error = yaml_import(ctl, rq, PROFILE_FILE_MAX, "a SCEP profile", &profile.base);

    if (!error)
        error = profile_check_names(ctl, rq, profile.template_, profile.issuer);
    return error ? error : save(ctl, rq, &profile, NULL, false);
}

static enum error
delete_profile(struct ctl *ctl, struct request *rq)
{
    Pb__DeleteScepProfileRequest request = PB__DELETE_SCEP_PROFILE_REQUEST__INIT;
    const Pb__DeleteScepProfileReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.name = ctl->arguments.words[0];
    enum error error = CTL_CALL(ctl, rq, scep_gw, DeleteScepProfile, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "SCEP profile %s: deleted\n", request.name);
}

static enum error
rotate(struct ctl *ctl, struct request *rq, const char *secret, bool cancel)
{
    Pb__RotateScepSecretRequest request = PB__ROTATE_SCEP_SECRET_REQUEST__INIT;
    const Pb__RotateScepSecretReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.profile = ctl->arguments.words[0];
    request.secret = secret;
    request.cancel = cancel;
    enum error error = CTL_CALL(ctl, rq, scep_gw, RotateScepSecret, &request, &reply);
    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    /* Alone on its line: the only time that it is shown. */
    printf("%s\n", cancel ? "there is none any more" : reply->value);
    return OK;
}

static enum error
rotate_passphrase(struct ctl *ctl, struct request *rq)
{
    return rotate(ctl, rq, "passphrase", argument(ctl, "cancel") != NULL);
}

static enum error
reset_password(struct ctl *ctl, struct request *rq)
{
    if (argument(ctl, "user") != NULL)
        return argument_refused(rq, "a SCEP profile has one password, that of its challenge page; its user is the field admin_user");
    return rotate(ctl, rq, "admin-password", false);
}

const struct profile_kind profile_scep = {.name = "scep",
                                          .fields = &pb__scep_profile__descriptor,
                                          .verbs = {
                                              {"list", list},
                                              {"show", show},
                                              {"export", show},
                                              {"create", create},
                                              {"set", set},
                                              {"import", import},
                                              {"delete", delete_profile},
                                              {"rotate-passphrase", rotate_passphrase},
                                              {"reset-password", reset_password},
                                          }};
