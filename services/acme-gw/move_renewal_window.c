/* "Replace these within 24 hours": the operator's word to the clients of a selection of certificates, who hear it when they ask next (ARI). */
#include "acme.h"

#include <string.h>

#include "base/clock.h"
#include "pki/serial.h"

#define WITHIN_MAX_S (INT64_C(400) * 86400)
#define EXPLANATION_MAX 500
#define NAME_MAX_LEN 253
#define ISSUER_MAX 40

/* Certificates have names in the one form that identifiers have: "Host.Example." would move the window of none. */
static enum error
take_name(struct request *rq, Pb__MoveRenewalWindowRequest *input)
{
    struct identifier name;

    if (input->name[0] == '\0')
        return OK;
    const char *why = identifier_read(rq->arena, IDENTIFIER_DNS, input->name, &name);
    if (why != NULL)
        return fail(rq, ERR_BAD_REQUEST, "the DNS name \"%s\" %s", input->name, why);
    input->name = name.value;
    return OK;
}

static enum error
check_request(struct request *rq, Pb__MoveRenewalWindowRequest *input)
{
    int month;

    if (input->within_s <= 0 || input->within_s > WITHIN_MAX_S)
        return fail(rq, ERR_BAD_REQUEST, "the certificates are to be replaced within at least a second and at most 400 days");
    if (strlen(input->issuer) > ISSUER_MAX || strlen(input->name) > NAME_MAX_LEN)
        return fail(rq, ERR_BAD_REQUEST, "issuer or name is too long");
    if (input->serial.len > 0 && !serial_parse(message_bytes(input->serial), &month))
        return fail(rq, ERR_BAD_REQUEST, "no certificate of this CA has such a serial number");
    if (strlen(input->explanation) > EXPLANATION_MAX || !text_is_printable_ascii(bytes_of_text(input->explanation)) ||
        (input->explanation[0] != '\0' && !is_web_address(input->explanation)))
        return fail(rq, ERR_BAD_REQUEST, "the explanation must be an http or https URL of at most %d characters", EXPLANATION_MAX);
    return take_name(rq, input);
}

struct move {
    const struct acme *acme;
    const Pb__MoveRenewalWindowRequest *input;
    int64_t now_s;
};

static enum error
write_window(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const struct move *move = context;
    struct acme within = acme_within(move->acme, db);

    enum error error = store_write_renewal_window(&within, rq, move->input, move->now_s, move->now_s + move->input->within_s);
    if (error)
        return error;
    change->action = "moved";
    change->after = &move->input->base;
    return OK;
}

enum error
move_renewal_window(struct acme *acme, struct request *rq, const Pb__MoveRenewalWindowRequest *input, Pb__MoveRenewalWindowReply *ret_reply)
{
    Pb__MoveRenewalWindowRequest checked = *input;
    int64_t now_s = clock_now_s();

    enum error error = check_request(rq, &checked);
    if (error)
        return error;
    request_note(rq, "issuer", "%s", checked.issuer);
    request_note(rq, "name", "%s", checked.name);
    struct configuration_change change = {.what = "acme renewal window", .name = checked.name, .by = checked.operator_};
    error = configuration_write(acme->outbox, acme->db, rq, write_window, &(struct move){acme, &checked, now_s}, &change);
    if (error)
        return error;
    ret_reply->starts_at_s = now_s;
    ret_reply->ends_at_s = now_s + input->within_s;
    return OK;
}
