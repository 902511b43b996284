/* cert request, cert explain: the operator's own way to ra, with the same layers as every protocol. */
#include "base/clock.h"
#include "base/text.h"
#include "link/message.h"
#include "pki/certificate.h"
#include "pki/csr.h"
#include "pki/pem.h"
#include "signet/v1/ra.pb-c.h"
#include "signetctl.h"

static enum error
fill(struct ctl *ctl, struct request *rq, Pb__EnrollRequest *request, Pb__Principal *principal)
{
    const char *path = argument(ctl, "csr");
    const char *template = argument(ctl, "template");
    struct bytes csr;
    int64_t days;
    enum error error;

    if (path == NULL || template == NULL)
        return argument_refused(rq, "--csr FILE and --template NAME are needed; signetctl template list shows the names");
    error = file_read_der(rq, path, "CERTIFICATE REQUEST", &csr);
    if (!error)
        error = argument_number(ctl, rq, "days", 1, 36500, 0, &days);
    if (!error)
        error = check_template_name(ctl, rq, "--template", template);
    if (!error)
        error = check_ca_name(ctl, rq, "--issuer", argument(ctl, "issuer"));
    if (error)
        return error;
    principal->kind = "operator";
    principal->id = argument_or(ctl, "principal", operator_name(rq->arena));
    request->channel = "operator";
    request->csr = message_data(csr);
    request->template_ = template;
    request->issuer = argument_or(ctl, "issuer", "");
    request->owner = argument_or(ctl, "owner", "");
    request->asset = argument_or(ctl, "asset", "");
    request->not_after_s = days > 0 ? clock_now_s() + days * 86400 : 0;
    request->principal = principal;
    return OK;
}

static enum error
write_chain(struct ctl *ctl, struct request *rq, const Pb__EnrollReply *reply)
{
    const char *path = argument(ctl, "out");
    struct buffer pem = buffer_in(rq->arena);
    size_t i;

    pem_append(&pem, "CERTIFICATE", message_bytes(reply->certificate));
    for (i = 0; i < reply->n_chain; i++)
        pem_append(&pem, "CERTIFICATE", BYTES(reply->chain[i].data, reply->chain[i].len));
    return file_write(rq, path, buffer_text(&pem),
                      arena_format(rq->arena, "signetctl cert show %s --pem", bytes_hex(rq->arena, message_bytes(reply->serial), 0)));
}

/* What is asked for is the request: the same asked again is the same one, unless --key says that it is another. */
static const char *
usual_key(struct ctl *ctl, struct request *rq, const Pb__EnrollRequest *request)
{
    Pb__EnrollRequest asked = *request;
    uint8_t digest[32];

    /* Not the end, which a moment later is another. */
    asked.not_after_s = 0;
    asked.idempotency_key = argument_or(ctl, "days", "");
    certificate_sha256(message_pack(rq->arena, &asked.base), digest);
    return bytes_hex(rq->arena, BYTES(digest, sizeof(digest)), 0);
}

enum error
cert_request(struct ctl *ctl, struct request *rq)
{
    Pb__EnrollRequest request = PB__ENROLL_REQUEST__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;
    const Pb__EnrollReply *reply;
    enum error error = fill(ctl, rq, &request, &principal);

    if (error)
        return error;
    request.idempotency_key = argument_or(ctl, "key", usual_key(ctl, rq, &request));
    error = CTL_CALL(ctl, rq, ra, Enroll, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        json_print(message_json(rq->arena, &reply->base));
    else if (reply->status == PB__ENROLL_STATUS__ENROLL_STATUS_PENDING)
        printf("pending: template %s wants an approval; request %s\n", request.template_, bytes_hex(rq->arena, message_bytes(reply->intent_id), 0));
    if (reply->status == PB__ENROLL_STATUS__ENROLL_STATUS_PENDING || (ctl->json && argument(ctl, "out") == NULL))
        return OK;
    if (reply->repeated)
        fprintf(stderr, "issued before, by an earlier request with the same key, and valid until %s; --key NAME makes it another request\n",
                clock_format_rfc3339(rq->arena, reply->not_after_s));
    return write_chain(ctl, rq, reply);
}

static void
add_layer(struct request *rq, struct table *table, const void *element)
{
    const Pb__LayerVerdict *verdict = element;
    const char *const cells[] = {verdict->layer, verdict->code, verdict->passed ? "passed" : "refused", verdict->message};
    table_row(table, cells);
}

static const struct listing layers = {.heads = {"LAYER", "CODE", "VERDICT", "WHY"}, .add_row = add_layer};

enum error
cert_explain(struct ctl *ctl, struct request *rq)
{
    Pb__ExplainRequest request = PB__EXPLAIN_REQUEST__INIT;
    Pb__EnrollRequest enroll = PB__ENROLL_REQUEST__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;
    const Pb__ExplainReply *reply;
    enum error error = fill(ctl, rq, &enroll, &principal);

    enroll.idempotency_key = "explain";
    request.request = &enroll;
    if (!error)
        error = CTL_CALL(ctl, rq, ra, Explain, &request, &reply);
    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    list_print(rq, &layers, (const void *const *)reply->layers, reply->n_layers);
    puts(reply->would_issue ? (reply->needs_approval ? "it would wait for an approval" : "it would be issued") : "it would be refused");
    return OK;
}
