/* Called when an operator gives a CRL of a maker's CA. Checks it against the profile's anchors and the CRL that is there, stores it; this replica has
 * it in force when it answers, the others a moment later. */
#include "est.h"

#include <string.h>

#include "pki/name.h"

#define UPLOAD_LEN 32

struct put {
    const struct est *est;
    const Pb__StoreEstCrlRequest *input;
    struct bytes der;
    struct client_crl crl;
    bool changed;
};

static enum error
write_crl(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    struct put *put = context;
    struct est within = est_within(put->est, db);
    const Pb__EstProfile *profile;

    enum error error = store_find_profile(&within, rq, put->input->profile, &profile);
    if (!error && profile == NULL)
        return fail(rq, ERR_NOT_FOUND, "there is no EST profile named \"%.60s\": see signetctl profile list --kind est", put->input->profile);
    if (!error)
        error = client_crl_read(rq, profile, put->der, &put->crl);
    if (!error)
        error = store_put_client_crl(&within, rq, &put->crl, &put->changed);
    if (error || !put->changed)
        return error;
    change->action = "stored";
    change->after = &client_crl_about(rq->arena, &put->crl.list)->base;
    return OK;
}

/* ---- one that comes in parts ---- */

static enum error
check_part(struct request *rq, const Pb__StoreEstCrlRequest *input)
{
    if (input->crl.len == 0 || input->crl.len > CLIENT_CRL_PART_MAX)
        return fail(rq, ERR_BAD_REQUEST, "a CRL, or a part of one, has 1 to %d octets", CLIENT_CRL_PART_MAX);
    if (input->upload[0] != '\0' && (strlen(input->upload) != UPLOAD_LEN || strspn(input->upload, "0123456789abcdef") != UPLOAD_LEN))
        return fail(rq, ERR_BAD_REQUEST, "an upload is named with %d hexadecimal digits", UPLOAD_LEN);
    if (input->part >= CLIENT_CRL_MAX / CLIENT_CRL_PART_MAX)
        return fail(rq, ERR_BAD_REQUEST, "a CRL has at most %d octets", CLIENT_CRL_MAX);
    return OK;
}

/* The whole, once the last part is there. */
static enum error
join(struct est *est, struct request *rq, const Pb__StoreEstCrlRequest *input, struct bytes *ret_der)
{
    struct buffer joined = buffer_in(rq->arena);
    enum error error = store_join_crl_parts(est, rq, input->upload, input->part, &joined);

    if (error)
        return error;
    buffer_append(&joined, input->crl.data, input->crl.len);
    *ret_der = buffer_bytes(&joined);
    return OK;
}

enum error
store_est_crl(struct est *est, struct request *rq, const Pb__StoreEstCrlRequest *input, Pb__StoreEstCrlReply *ret_reply)
{
    struct configuration_change change = {.what = "est client crl", .name = input->profile, .by = input->operator_};
    struct put put = {.est = est, .input = input, .der = message_bytes(input->crl)};
    bool is_whole = input->upload[0] == '\0';

    request_note(rq, "profile", "%.60s", input->profile);
    enum error error = check_part(rq, input);
    if (!error && !is_whole && !input->last)
        return store_put_crl_part(est, rq, input->upload, input->part, put.der);
    if (!error && !is_whole)
        error = join(est, rq, input, &put.der);
    if (!error)
        error = configuration_write(est->outbox, est->db, rq, write_crl, &put, &change);
    if (!error && !is_whole)
        error = store_forget_crl_parts(est, rq, input->upload);
    if (error)
        return error;
    profiles_changed(est, rq);
    ret_reply->crl = client_crl_about(rq->arena, &put.crl.list);
    ret_reply->changed = put.changed;
    return OK;
}
