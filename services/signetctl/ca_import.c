/* ca import: completes a CA made with --csr-only; --alternate: adds a cross certificate of an active one. The signer checks that the certificate
 * belongs to its key and chains. */
#include "pki/pem.h"
#include "signetctl.h"

#define CHAIN_MAX 8

static enum error
read_chain(struct ctl *ctl, struct request *rq, Pb__ImportCaRequest *request)
{
    const char *path = argument(ctl, "chain");
    struct bytes file, *ders;
    size_t count, i;
    enum error error;

    if (path == NULL)
        return OK;
    error = file_read(rq, path, 256 * 1024, &file);
    if (!error)
        error = pem_all(rq, bytes_text(rq->arena, file), "CERTIFICATE", CHAIN_MAX, &ders, &count);
    if (error)
        return error;
    request->chain = arena_array(rq->arena, count, sizeof(*request->chain));
    request->n_chain = count;
    for (i = 0; i < count; i++)
        request->chain[i] = message_data(ders[i]);
    return OK;
}

enum error
ca_import(struct ctl *ctl, struct request *rq)
{
    Pb__ImportCaRequest request = PB__IMPORT_CA_REQUEST__INIT;
    const char *path = argument(ctl, "certificate");
    const Pb__ImportCaReply *reply;
    struct bytes der;
    enum error error;

    if (path == NULL)
        return argument_refused(rq, "--certificate FILE is needed: the signed certificate of this CA, PEM or DER");
    error = file_read_der(rq, path, "CERTIFICATE", &der);
    if (!error)
        error = read_chain(ctl, rq, &request);
    if (error)
        return error;
    request.name = ctl->arguments.words[0];
    request.certificate = message_data(der);
    request.alternate = argument(ctl, "alternate") != NULL;
    request.operator_ = operator_name(rq->arena);

    error = CTL_CALL(ctl, rq, signer, ImportCa, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->ca->base, "CA %s is %s\n", reply->ca->name, reply->ca->status);
}
