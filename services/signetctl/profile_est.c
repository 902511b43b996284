/* Profiles of est-gw. Options and YAML keys are the fields of EstProfile; --anchors names a PEM file, --crl files with CRLs, which are kept beside.
 */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/message.h"
#include "pki/der.h"
#include "pki/pem.h"
#include "profile.h"
#include "signet/v1/est_gw.pb-c.h"

#define PROFILE_FILE_MAX (1024 * 1024)
#define CRL_FILE_MAX (32 * 1024 * 1024)
#define CRLS_MAX 64 /* in a file */
#define CRL_PART_MAX (900 * 1024)
#define UPLOAD_OCTETS 16

static enum error
ask(struct ctl *ctl, struct request *rq, const char *name, const Pb__ListEstProfilesReply **ret_reply)
{
    Pb__ListEstProfilesRequest request = PB__LIST_EST_PROFILES_REQUEST__INIT;

    request.name = name;
    enum error error = CTL_CALL(ctl, rq, est_gw, ListEstProfiles, &request, ret_reply);
    return error ? error : list_check_found(rq, name, (*ret_reply)->n_profiles, "EST profile", "profile list --kind est");
}

/* "2 until 2026-11-30T00:00:00Z" */
static const char *
crls_text(struct arena *arena, const Pb__EstProfileEntry *stored)
{
    int64_t ends_s = 0;

    if (stored->n_crls == 0)
        return "-";
    for (size_t i = 0; i < stored->n_crls; i++)
        if (ends_s == 0 || stored->crls[i]->next_update_at_s < ends_s)
            ends_s = stored->crls[i]->next_update_at_s;
    return arena_format(arena, "%zu until %s", stored->n_crls, clock_format_rfc3339(arena, ends_s));
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
                                 enum_short_name(rq->arena, &pb__est_client_revocation__descriptor, (int)profile->client_revocation),
                                 crls_text(rq->arena, stored),
                                 profile->proof_required ? "required" : "checked",
                                 profile->server_key_type,
                                 profile->approval ? "yes" : "no",
                                 arena_format(rq->arena, "%zu", stored->n_users),
                                 profile->description};
    table_row(table, cells);
}

static const struct listing profiles = {.heads = {"NAME", "STATE", "TEMPLATE", "ISSUER", "AUTHENTICATION", "CLIENT REVOCATION", "CRLS", "PROOF",
                                                  "SERVER KEYS", "APPROVAL", "USERS", "DESCRIPTION"},
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
store(struct ctl *ctl, struct request *rq, Pb__EstProfile *profile, Pb__EstProfile *read, bool create)
{
    Pb__StoreEstProfileRequest request = PB__STORE_EST_PROFILE_REQUEST__INIT;
    const Pb__StoreEstProfileReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.profile = profile;
    request.read = read;
    request.create = create;
    enum error error = CTL_CALL(ctl, rq, est_gw, StoreEstProfile, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "EST profile %s: %s\n", profile->name, put_word(reply->created, reply->changed));
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

/* ---- CRLs ---- */

/* Of one that no message of the bus carries whole. */
static const char *
new_upload(struct arena *arena)
{
    uint8_t drawn[UPLOAD_OCTETS];

    random_bytes(drawn, sizeof drawn);
    return bytes_hex(arena, BYTES(drawn, sizeof drawn), 0);
}

static enum error
store_crl(struct ctl *ctl, struct request *rq, const char *profile, struct bytes der)
{
    Pb__StoreEstCrlRequest request = PB__STORE_EST_CRL_REQUEST__INIT;
    const Pb__StoreEstCrlReply *reply = NULL;

    request.operator_ = operator_name(rq->arena);
    request.profile = profile;
    if (der.len == 0)
        return fail(rq, ERR_BAD_REQUEST, "the CRL is empty");
    if (der.len > CRL_PART_MAX)
        request.upload = new_upload(rq->arena);
    for (size_t at = 0; at < der.len; at += CRL_PART_MAX, request.part++) {
        size_t left = der.len - at;
        request.last = left <= CRL_PART_MAX;
        request.crl = message_data(BYTES(der.at + at, request.last ? left : CRL_PART_MAX));
        enum error error = CTL_CALL(ctl, rq, est_gw, StoreEstCrl, &request, &reply);
        if (error)
            return error;
    }
    const Pb__EstCrl *crl = reply->crl;
    return answer(ctl, rq, &reply->base, "CRL of %s: %s, number %s, %u certificates, until %s\n", crl->issuer,
                  reply->changed ? "stored" : "already there", crl->number[0] == '\0' ? "(none)" : crl->number, crl->entries,
                  clock_format_rfc3339(rq->arena, crl->next_update_at_s));
}

static enum error
delete_crls(struct ctl *ctl, struct request *rq, const char *profile)
{
    Pb__DeleteEstCrlsRequest request = PB__DELETE_EST_CRLS_REQUEST__INIT;
    const Pb__DeleteEstCrlsReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.profile = profile;
    enum error error = CTL_CALL(ctl, rq, est_gw, DeleteEstCrls, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "EST profile %s: %u CRLs deleted\n", profile, reply->deleted);
}

struct crls {
    struct bytes *at;
    size_t count;
};

/* One in DER, or any number in PEM. */
static enum error
read_crls(struct request *rq, const char *path, struct crls *ret_crls)
{
    struct bytes content;
    enum error error = file_read(rq, path, CRL_FILE_MAX, &content);

    if (error)
        return error;
    if (content.len > 0 && content.at[0] == DER_SEQUENCE) {
        ret_crls->at = arena_array(rq->arena, 1, sizeof *ret_crls->at);
        ret_crls->at[0] = content;
        ret_crls->count = 1;
        return OK;
    }
    error = pem_all(rq, bytes_text(rq->arena, content), "X509 CRL", CRLS_MAX, &ret_crls->at, &ret_crls->count);
    return error || ret_crls->count > 0 ? error : fail(rq, ERR_BAD_REQUEST, "%s holds no CRL, neither PEM nor DER", path);
}

/* NULL: nothing is said of them. */
static enum error
set_crls(struct ctl *ctl, struct request *rq, const char *profile, const char *paths)
{
    size_t count;
    struct crls crls;
    enum error error = OK;

    if (paths == NULL)
        return OK;
    if (paths[0] == '\0')
        return delete_crls(ctl, rq, profile);
    char **path = text_split(rq->arena, paths, ',', &count);
    for (size_t i = 0; !error && i < count; i++) {
        error = read_crls(rq, path[i], &crls);
        for (size_t k = 0; !error && k < crls.count; k++)
            error = store_crl(ctl, rq, profile, crls.at[k]);
    }
    return error;
}

static enum error
create(struct ctl *ctl, struct request *rq)
{
    Pb__EstProfile profile = PB__EST_PROFILE__INIT;
    enum error error = set_fields(ctl, rq, &profile);

    profile.name = ctl->arguments.words[0];
    if (!error)
        error = profile_check_names(ctl, rq, profile.template_, profile.issuer);
    if (!error)
        error = store(ctl, rq, &profile, NULL, true);
    return error ? error : set_crls(ctl, rq, profile.name, argument(ctl, "crl"));
}

/* Who only brings a new CRL, every night, changes no profile. */
static enum error
set(struct ctl *ctl, struct request *rq)
{
    const char *crls = argument(ctl, "crl");
    const Pb__ListEstProfilesReply *reply;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    if (error)
        return error;
    Pb__EstProfile *profile = reply->profiles[0]->profile;
    Pb__EstProfile read = *profile; /* options replace its fields, and change nothing that they point to */
    error = set_fields(ctl, rq, profile);
    if (!error)
        error = profile_check_names(ctl, rq, argument(ctl, "template"), argument(ctl, "issuer"));
    if (!error && (crls == NULL || !bytes_equal(message_pack(rq->arena, &read.base), message_pack(rq->arena, &profile->base))))
        error = store(ctl, rq, profile, &read, false);
    return error ? error : set_crls(ctl, rq, profile->name, crls);
}

static enum error
import(struct ctl *ctl, struct request *rq)
{
    Pb__EstProfile profile = PB__EST_PROFILE__INIT;
    enum error error = yaml_import(ctl, rq, PROFILE_FILE_MAX, "an EST profile", &profile.base);

    if (!error)
        error = profile_check_names(ctl, rq, profile.template_, profile.issuer);
    return error ? error : store(ctl, rq, &profile, NULL, false);
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

static enum error
take_user(struct ctl *ctl, struct request *rq, const char **ret_user)
{
    const char *user = argument_or(ctl, "user", "");

    if (user[0] == '\0')
        return argument_refused(rq, "--user says whose");
    *ret_user = user;
    return OK;
}

/* The password is printed once; nobody can show it again. */
static enum error
reset_password(struct ctl *ctl, struct request *rq)
{
    Pb__ResetEstPasswordRequest request = PB__RESET_EST_PASSWORD_REQUEST__INIT;
    const Pb__ResetEstPasswordReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.profile = ctl->arguments.words[0];
    enum error error = take_user(ctl, rq, &request.user);
    if (!error)
        error = CTL_CALL(ctl, rq, est_gw, ResetEstPassword, &request, &reply);
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
    enum error error = take_user(ctl, rq, &request.user);
    if (!error)
        error = CTL_CALL(ctl, rq, est_gw, DeleteEstUser, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "EST profile %s: user %s deleted\n", request.profile, request.user);
}

const struct profile_kind profile_est = {.name = "est",
                                         .beside = "crl",
                                         .fields = &pb__est_profile__descriptor,
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
