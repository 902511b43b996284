/*
 * Certificates that Intune wants revoked: a device was wiped, or left its profile. Each profile that pulls has a row that one replica leases at a
 * time. Requests are downloaded, ra revokes, the results are uploaded. Nothing is kept here: a request without a result comes again, and ra answers
 * a repeat with what was done the first time, so this may die anywhere.
 */
#include <string.h>

#include "base/text.h"
#include "link/lease.h"
#include "link/rpc.h"
#include "pki/serial.h"
#include "scep.h"

#define LEASE_S 180
#define PAUSE_MS 10000
#define REQUESTS_MOST 100   /* of one download; Intune gives the next ones an hour later */
#define RETRY_MINUTES 5     /* when Intune could not be asked */
#define CONTEXT_MAX 4096    /* octets of what identifies a request to Intune */
#define SERIAL_TEXT_MAX 128 /* octets of its serial number */
#define MESSAGE_MAX 255
#define REFUSED_NOTE_MAX 1000

/* The tenant may have revoked what was enrolled through profiles that it vouches for, and nothing else of ours. */
static bool
is_of_tenant(const struct profiles *profiles, const Pb__ScepProfile *about, const char *channel)
{
    for (size_t i = 0; i < profiles->count; i++) {
        const struct profile *profile = &profiles->at[i];
        if (profile->authorization == BY_INTUNE && text_starts_with(channel, "scep/") &&
            text_equal(channel + strlen("scep/"), profile->about->name) && text_equal(profile->about->intune_tenant, about->intune_tenant))
            return true;
    }
    return false;
}

static enum error
ask_ra(const struct intune *c, const struct issued *issued, struct bytes serial)
{
    Pb__RevokeRequest input = PB__REVOKE_REQUEST__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;
    const Pb__RevokeReply *reply;

    principal.kind = "intune-tenant";
    principal.id = c->profile->about->intune_tenant;
    input.channel = issued->channel;
    input.serial = message_data(serial);
    input.issuer = issued->issuer;
    input.reason = PB__REVOCATION_REASON__REVOCATION_REASON_CESSATION_OF_OPERATION; /* Intune gives none */
    input.principal = &principal;
    input.authority = "operator";
    return RPC_CALL(c->scep->bus, c->rq, ra, Revoke, &input, &reply);
}

/* As a number is written: without the zeros before it, and with an odd count of digits. */
static bool
read_serial(struct arena *arena, const char *text, struct bytes *ret_serial)
{
    struct bytes serial;

    if (text == NULL || strlen(text) > SERIAL_TEXT_MAX ||
        !bytes_from_hex(arena, arena_format(arena, "%s%s", strlen(text) % 2 == 0 ? "" : "0", text), &serial))
        return false;
    while (serial.len > 0 && serial.at[0] == 0)
        serial = BYTES(serial.at + 1, serial.len - 1);
    *ret_serial = serial;
    return serial.len > 0;
}

static enum error
revoke(const struct intune *c, const struct profiles *profiles, const char *text)
{
    struct issued issued = {0};
    struct bytes serial;

    if (!read_serial(c->rq->arena, text, &serial))
        return fail(c->rq, ERR_BAD_REQUEST, "the serial number is not hexadecimal");
    enum error error = store_find_issued(c->scep, c->rq, serial, &issued);
    if (error == OK && (issued.channel == NULL || !is_of_tenant(profiles, c->profile->about, issued.channel)))
        error = fail(c->rq, ERR_NOT_FOUND, "no such certificate was enrolled for this tenant");
    return error == OK ? ask_ra(c, &issued, serial) : error;
}

/* Names of Microsoft's own; those of a second kind make Intune ask again. */
static const char *
code_of(enum error error)
{
    if (error == OK)
        return "None";
    if (error_is_retriable(error) || error == ERR_INTERNAL)
        return "RetryableServiceException";
    if (error == ERR_NOT_FOUND)
        return "CertificateNotFoundError";
    return error == ERR_BAD_REQUEST ? "ParameterDataInvalidError" : "NonRetryableServiceException";
}

static json_t *
answer_one(const struct intune *c, const struct profiles *profiles, const json_t *wish, struct buffer *refused)
{
    const char *context = json_string_value(json_object_get(wish, "requestContext"));
    const char *serial = json_string_value(json_object_get(wish, "serialNumber"));

    if (text_is_empty(context) || strlen(context) > CONTEXT_MAX)
        return NULL; /* nobody could be told */
    enum error error = revoke(c, profiles, serial);
    json_t *result = json_pack("{s:s, s:b, s:s, s:s*}", "requestContext", context, "succeeded", error == OK, "errorCode", code_of(error),
                               "errorMessage", error == OK ? NULL : text_cut(c->rq->arena, c->rq->failure.message, MESSAGE_MAX));
    if (error != OK)
        buffer_append_format(refused, "%s%.40s %s", refused->len == 0 ? "" : ", ", serial == NULL ? "" : serial, code_of(error));
    failure_clear(c->rq);
    return result;
}

static enum error
download(const struct intune *c, const json_t **ret_wishes)
{
    const char *body = outside_text(c->rq->arena, json_pack("{s:{s:i, s:n}}", "downloadParameters", "maxRequests", REQUESTS_MOST, "issuerName"));
    const json_t *wishes;

    enum error error = intune_post(c, INTUNE_CONNECTOR, "CertificateAuthorityRequests/downloadRevocationRequests", body, "value", &wishes);
    if (error == OK && !json_is_array(wishes))
        return intune_unreachable(c, "downloadRevocationRequests", "its value is no list");
    if (error == OK)
        *ret_wishes = wishes;
    return error;
}

static enum error
upload(const struct intune *c, json_t *results)
{
    const char *body = outside_text(c->rq->arena, json_pack("{s:o}", "results", results));
    const json_t *taken;

    enum error error = intune_post(c, INTUNE_CONNECTOR, "CertificateAuthorityRequests/uploadRevocationResults", body, "value", &taken);
    if (error == OK && !json_is_true(taken))
        return intune_unreachable(c, "uploadRevocationResults", "the results were not taken");
    return error;
}

enum error
intune_revocations(const struct intune *c, const struct profiles *profiles)
{
    const json_t *wishes = NULL;

    enum error error = download(c, &wishes);
    if (error != OK)
        return error;
    size_t count = json_array_size(wishes) < REQUESTS_MOST ? json_array_size(wishes) : REQUESTS_MOST;
    struct buffer refused = buffer_in(c->rq->arena);
    json_t *results = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *result = answer_one(c, profiles, json_array_get(wishes, i), &refused);
        if (result != NULL)
            json_array_append_new(results, result);
    }
    request_note(c->rq, "requests", "%zu", count);
    if (refused.len > 0)
        request_note(c->rq, "refused", "%s", text_cut(c->rq->arena, buffer_text(&refused), REFUSED_NOTE_MAX));
    if (json_array_size(results) > 0)
        return upload(c, results);
    json_decref(results);
    return OK;
}

/* ---- one profile at a time ---- */

static const struct profile *
find_puller(const struct profiles *profiles, const char *name)
{
    for (size_t i = 0; i < profiles->count; i++) {
        const struct profile *profile = &profiles->at[i];
        if (text_equal(profile->about->name, name) && profile->authorization == BY_INTUNE && !profile->about->disabled)
            return profile;
    }
    return NULL;
}

static void
work(void *context, struct request *rq, const struct db_rows *rows, size_t row)
{
    struct scep *scep = context;
    const char *name = db_text(rows, row, 0);
    const char *holder = db_text(rows, row, 1);
    const struct profiles *profiles;
    int minutes = RETRY_MINUTES;

    request_note(rq, "profile", "%s", name);
    if (profiles_hold(scep, rq, &profiles) == OK) {
        struct intune intune = {scep, rq, find_puller(profiles, name)};
        if (intune.profile != NULL && intune_revocations(&intune, profiles) == OK)
            minutes = (int)db_int(rows, row, 2);
    }
    struct failure why = rq->failure;
    failure_clear(rq);
    if (store_end_pull(scep, rq, name, holder, minutes) == OK)
        rq->failure = why;
}

enum error
intune_pull(struct service *service, struct request *rq, struct scep *scep)
{
    const struct lease_about about = {
        .name = "scep.revocation", .take = &store_take_pulls, .seconds = LEASE_S, .threads = 1, .pause_ms = PAUSE_MS, .work = work, .context = scep};

    return lease_open(service, rq, scep->db, &about, &scep->pulls);
}
