/*
 * What ra is asked for an order, and what its answer means: the names that were proven or approved beforehand, the dates, template and key that the
 * order leads to. Everything is counted from the order's own times, so that whoever asks again, however much later, asks for the same.
 */
#include "acme.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/clock.h"
#include "pki/pem.h"

#define DAY_S INT64_C(86400)

static Pb__Name **
proven_names(struct arena *arena, const struct order *order)
{
    Pb__Name *names = arena_array(arena, order->name_count, sizeof(Pb__Name));
    Pb__Name **pointers = arena_array(arena, order->name_count, sizeof(Pb__Name *));

    for (size_t i = 0; i < order->name_count; i++) {
        pb__name__init(&names[i]);
        names[i].type = (Pb__NameType)order->names[i].type;
        names[i].value = order->names[i].value;
        pointers[i] = &names[i];
    }
    return pointers;
}

/* Whom the account acts for by its external account binding. */
static Pb__Principal *
bound_principal(struct arena *arena, const struct order *order)
{
    Pb__Principal *principal = arena_alloc(arena, sizeof *principal);

    if (text_is_empty(order->principal))
        return NULL;
    pb__principal__init(principal);
    principal->kind = "eab";
    principal->id = order->principal;
    return principal;
}

/* Names as ra writes them, without the type in front. */
static const char **
preapproved_names(struct arena *arena, const struct order *order)
{
    const char **names = arena_array(arena, order->preapproved_count, sizeof *names);

    for (size_t i = 0; i < order->preapproved_count; i++)
        names[i] = name_from_column(arena, order->preapproved[i]).value;
    return names;
}

static enum error
take_wishes(const struct acme *acme, struct request *rq, const struct policy *policy, const struct order *order, Pb__EnrollRequest *input)
{
    const struct profile *profile = profile_find(policy, order->profile);
    int days = profile != NULL ? profile->validity_days : policy->validity_days;

    if (order->profile != NULL && profile == NULL)
        return refuse(rq, ERR_BAD_REQUEST, "invalidProfile", "the profile \"%.60s\" is not offered any more", order->profile);
    if (profile != NULL)
        input->template_ = profile->template_name;
    if (order->star != NULL) {
        struct star_period period;
        input->idempotency_key = star_request(rq->arena, order, clock_now_s(), &period);
        input->not_before_s = period.not_before_s;
        input->not_after_s = period.not_after_s;
        return OK;
    }
    input->not_before_s = order->not_before_s;
    input->not_after_s = order->not_after_s;
    if (days > 0 && input->not_after_s == 0)
        input->not_after_s = (order->not_before_s != 0 ? order->not_before_s : order->finalized_at_s) + days * DAY_S;
    return OK;
}

bool
order_has_device(const struct order *order)
{
    for (size_t i = 0; i < order->name_count; i++)
        if (identifier_is_device(order->names[i].type))
            return true;
    return false;
}

enum error
enroll_request_of_order(struct acme *acme, struct request *rq, const struct order *order, Pb__EnrollRequest *ret_input)
{
    Pb__EnrollRequest input = PB__ENROLL_REQUEST__INIT;
    Pb__Principal *principal = arena_alloc(rq->arena, sizeof *principal);
    const struct policy *policy;

    enum error error = policy_load(acme, rq, order->policy, &policy);
    if (error)
        return error;
    pb__principal__init(principal);
    principal->kind = "acme-account";
    principal->id = order->account_id;
    input.channel = policy_channel(rq->arena, policy->name);
    input.idempotency_key = order->id;
    input.csr = message_data(order->csr);
    input.proof_is_checked = true; /* by take_csr: an order is not claimed with a CSR that would only make it invalid */
    input.template_ = policy->template_name;
    input.proven_names = proven_names(rq->arena, order);
    input.n_proven_names = order->name_count;
    input.names_are_proven = true;
    input.preapproved = preapproved_names(rq->arena, order);
    input.n_preapproved = order->preapproved_count;
    input.principal = principal;
    input.owner = order->owner;
    input.on_behalf_of = bound_principal(rq->arena, order);
    input.issuer = policy->issuer;
    input.client_address = order->client_address;
    error = take_wishes(acme, rq, policy, order, &input);
    if (!error)
        *ret_input = input;
    return error;
}

enum error
enroll_order(struct acme *acme, struct request *rq, const struct order *order, int most_ms, const Pb__EnrollReply **ret_reply)
{
    Pb__EnrollRequest input;
    int64_t deadline_ms = rq->deadline_ms;

    enum error error = enroll_request_of_order(acme, rq, order, &input);
    if (!error && order_has_device(order))
        error = store_load_attestations(acme, rq, order, (const char **)&input.attested);
    if (error)
        return error;
    rq->deadline_ms = clock_monotonic_ms() + request_time_left_ms(rq, most_ms);
    error = RPC_CALL(acme->bus, rq, ra, Enroll, &input, ret_reply);
    rq->deadline_ms = deadline_ms;
    return error;
}

enum error
withdraw_order(struct acme *acme, struct request *rq, const struct order *order, const char *reason, bool *ret_issued)
{
    Pb__WithdrawRequest input = PB__WITHDRAW_REQUEST__INIT;
    const Pb__WithdrawReply *reply;
    Pb__EnrollRequest asked;

    enum error error = enroll_request_of_order(acme, rq, order, &asked);
    if (error)
        return error;
    input.channel = asked.channel;
    input.idempotency_key = asked.idempotency_key;
    input.principal = asked.principal;
    input.reason = reason;
    error = RPC_CALL(acme->bus, rq, ra, Withdraw, &input, &reply);
    if (!error)
        *ret_issued = reply->issued;
    return error;
}

static void
add_chain(struct arena *arena, const ProtobufCBinaryData *certificates, size_t count, struct issued *issued)
{
    struct buffer pem = buffer_in(arena);
    uint8_t *sha256 = arena_alloc(arena, SHA256_DIGEST_LENGTH);

    for (size_t i = 0; i < count; i++)
        pem_append(&pem, "CERTIFICATE", message_bytes(certificates[i]));
    const char *text = buffer_text(&pem);
    (void)SHA256((const uint8_t *)text, strlen(text), sha256);
    issued->chain_pem[issued->chain_count] = text;
    issued->chain_sha256[issued->chain_count++] = BYTES(sha256, SHA256_DIGEST_LENGTH);
}

struct issued
issued_of_reply(struct arena *arena, const Pb__EnrollReply *reply)
{
    struct issued issued = {.serial = message_bytes(reply->serial),
                            .chain_sha256 = arena_array(arena, reply->n_alternates + 1, sizeof *issued.chain_sha256),
                            .chain_pem = arena_array(arena, reply->n_alternates + 1, sizeof *issued.chain_pem)};

    add_chain(arena, reply->chain, reply->n_chain, &issued);
    for (size_t i = 0; i < reply->n_alternates; i++)
        add_chain(arena, reply->alternates[i]->certificates, reply->alternates[i]->n_certificates, &issued);
    return issued;
}
