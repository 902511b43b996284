/* Profiles of scep-gw. Options and YAML keys are the fields of ScepProfile. */
#include "base/text.h"
#include "link/rpc.h"
#include "profile.h"
#include "signet/v1/scep_gw.pb-c.h"

#define PROFILE_FILE_MAX (64 * 1024)

static enum error
ask(struct ctl *ctl, struct request *rq, const char *name, const Pb__ListScepProfilesReply **ret_reply)
{
    Pb__ListScepProfilesRequest request = PB__LIST_SCEP_PROFILES_REQUEST__INIT;
    enum error error = ctl_bus(ctl, rq);

    if (error)
        return error;
    request.name = name;
    error = RPC_CALL(ctl->bus, rq, scep_gw, ListScepProfiles, &request, ret_reply);
    if (!error && name[0] != '\0' && (*ret_reply)->n_profiles == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no SCEP profile named \"%s\": see signetctl profile list --kind scep", name);
    return error;
}

static enum error
list(struct ctl *ctl, struct request *rq)
{
    static const char *const heads[] = {"NAME", "STATE", "ISSUER", "TEMPLATE", "AUTHORIZATION", "PASSPHRASE", "NDES", "LEGACY", "URL"};
    const Pb__ListScepProfilesReply *reply;
    enum error error = ask(ctl, rq, "", &reply);

    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    struct table *table = table_new(rq->arena, heads, sizeof(heads) / sizeof(heads[0]));
    for (size_t i = 0; i < reply->n_profiles; i++) {
        const Pb__ScepProfile *profile = reply->profiles[i]->profile;
        const char *const cells[] = {profile->name,
                                     profile->disabled ? "disabled" : "enabled",
                                     profile->issuer,
                                     profile->template_,
                                     profile->authorization,
                                     reply->profiles[i]->has_passphrase ? "set" : "none",
                                     profile->ndes ? "yes" : "no",
                                     profile->legacy ? "yes" : "no",
                                     arena_format(rq->arena, "/scep/%s", profile->name)};
        table_row(table, cells);
    }
    table_print(table, stdout);
    return OK;
}

static enum error
show(struct ctl *ctl, struct request *rq)
{
    const Pb__ListScepProfilesReply *reply;
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
save(struct ctl *ctl, struct request *rq, Pb__ScepProfile *profile, bool create)
{
    Pb__SaveScepProfileRequest request = PB__SAVE_SCEP_PROFILE_REQUEST__INIT;
    const Pb__SaveScepProfileReply *reply;
    enum error error = ctl_bus(ctl, rq);

    request.profile = profile;
    request.create = create;
    if (!error)
        error = RPC_CALL(ctl->bus, rq, scep_gw, SaveScepProfile, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    printf("SCEP profile %s: %s\n", profile->name, create ? "created" : reply->changed ? "changed" : "unchanged");
    return OK;
}

static enum error
create(struct ctl *ctl, struct request *rq)
{
    Pb__ScepProfile profile = PB__SCEP_PROFILE__INIT;

    profile.authorization = "passphrase";
    profile.renewal = true;
    enum error error = message_from_options(ctl, rq, &profile.base);
    profile.name = ctl->arguments.words[0];
    return error ? error : save(ctl, rq, &profile, true);
}

static enum error
set(struct ctl *ctl, struct request *rq)
{
    const Pb__ListScepProfilesReply *reply;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    if (error)
        return error;
    Pb__ScepProfile *profile = reply->profiles[0]->profile;
    error = message_from_options(ctl, rq, &profile->base);
    return error ? error : save(ctl, rq, profile, false);
}

static enum error
import(struct ctl *ctl, struct request *rq)
{
    Pb__ScepProfile profile = PB__SCEP_PROFILE__INIT;
    struct bytes yaml;
    enum error error = file_read(rq, ctl->arguments.words[0], PROFILE_FILE_MAX, &yaml);

    if (!error)
        error = message_from_yaml(rq, yaml, "a SCEP profile", &profile.base);
    return error ? error : save(ctl, rq, &profile, false);
}

static enum error
rotate(struct ctl *ctl, struct request *rq, const char *secret, bool cancel)
{
    Pb__RotateScepSecretRequest request = PB__ROTATE_SCEP_SECRET_REQUEST__INIT;
    const Pb__RotateScepSecretReply *reply;
    enum error error = ctl_bus(ctl, rq);

    request.profile = ctl->arguments.words[0];
    request.secret = secret;
    request.cancel = cancel;
    if (!error)
        error = RPC_CALL(ctl->bus, rq, scep_gw, RotateScepSecret, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
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

const struct profile_kind profile_scep = {
    .name = "scep",
    .list = list,
    .show = show,
    .create = create,
    .set = set,
    .import = import,
    .reset_password = reset_password,
    .rotate_passphrase = rotate_passphrase,
};
