/* Called when an operator gives a CRL of a maker's CA. Checks it against the profile's anchors and the CRL that is there, stores it; this replica has
 * it in force when it answers, the others a moment later. */
#include "est.h"

#include "pki/name.h"

struct put {
    const struct est *est;
    const Pb__StoreEstCrlRequest *input;
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
        return fail(rq, ERR_NOT_FOUND, "there is no EST profile named \"%.60s\"", put->input->profile);
    if (!error)
        error = client_crl_read(rq, profile, message_bytes(put->input->crl), &put->crl);
    if (!error)
        error = store_put_client_crl(&within, rq, &put->crl, &put->changed);
    if (error || !put->changed)
        return error;
    change->action = "stored";
    change->after = &client_crl_about(rq->arena, &put->crl.list)->base;
    return OK;
}

enum error
store_est_crl(struct est *est, struct request *rq, const Pb__StoreEstCrlRequest *input, Pb__StoreEstCrlReply *ret_reply)
{
    struct configuration_change change = {.what = "est client crl", .name = input->profile, .by = input->operator_};
    struct put put = {.est = est, .input = input};

    request_note(rq, "profile", "%.60s", input->profile);
    enum error error = configuration_write(est->outbox, est->db, rq, write_crl, &put, &change);
    if (error)
        return error;
    profiles_changed(est, rq);
    ret_reply->crl = client_crl_about(rq->arena, &put.crl.list);
    ret_reply->changed = put.changed;
    return OK;
}
