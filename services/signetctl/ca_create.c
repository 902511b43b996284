/* ca create: a root, an intermediate below a CA of ours (--parent), or a request for a foreign CA (--csr-only). The key is made on the token. */
#include "base/text.h"
#include "pki/pem.h"
#include "signetctl.h"

static enum error
write_csr(struct ctl *ctl, struct request *rq, const Pb__Ca *ca)
{
    const char *path = argument(ctl, "out");
    struct buffer pem = buffer_in(rq->arena);

    if (ca->csr.len == 0 || (ctl->json && path == NULL))
        return OK;
    pem_append(&pem, "CERTIFICATE REQUEST", message_bytes(ca->csr));
    return file_write(rq, path, buffer_text(&pem), arena_format(rq->arena, "signetctl ca show %s --csr", ca->name));
}

enum error
ca_create(struct ctl *ctl, struct request *rq)
{
    Pb__CreateCaRequest request = PB__CREATE_CA_REQUEST__INIT;
    const Pb__CreateCaReply *reply;
    int64_t days, path_length;
    enum error error;

    request.name = ctl->arguments.words[0];
    request.common_name = argument_or(ctl, "common-name", "");
    request.organization = argument_or(ctl, "organization", "");
    request.organizational_unit = argument_or(ctl, "organizational-unit", "");
    request.locality = argument_or(ctl, "locality", "");
    request.state = argument_or(ctl, "state", "");
    request.country = argument_or(ctl, "country", "");
    request.key_type = argument_or(ctl, "key-type", "p256");
    request.parent = argument_or(ctl, "parent", "");
    request.csr_only = argument(ctl, "csr-only") != NULL;
    request.key_uri = argument_or(ctl, "key-uri", "");
    request.digest = argument_or(ctl, "digest", "");
    request.operator_ = operator_name(rq->arena);
    error = argument_number(ctl, rq, "days", 1, 36500, request.parent[0] != '\0' ? 3650 : 7300, &days);
    if (!error)
        error = argument_number(ctl, rq, "path-length", -1, 10, -1, &path_length);
    if (error)
        return error;
    request.validity_days = (uint32_t)days;
    request.path_length = (int32_t)path_length;

    error = check_ca_name(ctl, rq, "--parent", request.parent);
    if (!error)
        error = CTL_CALL(ctl, rq, signer, CreateCa, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        json_print(message_json(rq->arena, &reply->ca->base));
    else
        fprintf(stderr, "CA %s: %s, key %s\n", reply->ca->name, reply->ca->status, reply->ca->key_uri);
    return write_csr(ctl, rq, reply->ca);
}
