/*
 * The CAs that we publish for. The signer's list is taken every few seconds and when a CA is created, into crl.authority: so what we serve depends
 * on the signer no more once it was listed. Nothing is taken away: certificates of a CA that the signer has forgotten still point here.
 */
#include <string.h>

#include "crl_publisher.h"
#include "link/message.h"
#include "link/rpc.h"
#include "pki/pem.h"

static const char *
chain_pem_of(struct arena *arena, const Pb__Ca *ca)
{
    struct buffer pem = buffer_in(arena);
    size_t i;

    pem_append(&pem, "CERTIFICATE", message_bytes(ca->certificate));
    for (i = 0; i < ca->n_chain; i++)
        pem_append(&pem, "CERTIFICATE", BYTES(ca->chain[i].data, ca->chain[i].len));
    return buffer_text(&pem);
}

static enum error
row_of_ca(struct request *rq, struct arena *arena, const Pb__Ca *ca, struct authority_row *ret_row)
{
    struct bytes der = message_bytes(ca->certificate);
    struct certificate *certificate = arena_alloc(rq->arena, sizeof(*certificate));
    uint8_t *digest = arena_alloc(arena, 32);
    const char *pem = chain_pem_of(arena, ca);
    enum error error = certificate_parse(rq, der, certificate);

    if (error)
        return error;
    /* The PEM text begins with the certificate itself. */
    certificate_sha256(bytes_of_text(pem), digest);
    *ret_row = (struct authority_row){
        .issuer = ca->name, .certificate = der, .chain_pem = pem, .sha256 = BYTES(digest, 32), .not_after_s = certificate->not_after_s};
    return OK;
}

static enum error
keep(struct publisher *publisher, struct request *rq, const Pb__ListCasReply *reply)
{
    struct authority_row *rows = arena_array(rq->arena, reply->n_cas, sizeof(*rows));
    size_t count = 0, i;

    for (i = 0; i < reply->n_cas; i++) {
        AUTO_STRUCT(request, reading) = request_new();
        if (reply->cas[i]->certificate.len == 0)
            continue; /* waits for the certificate that a foreign CA signs */
        if (row_of_ca(reading, rq->arena, reply->cas[i], &rows[count]) == OK)
            count++;
        else /* the others shall not wait for this one to be mended */
            request_note(rq, "left_out", "%s: %s", reply->cas[i]->name, reading->failure.message);
    }
    return store_keep_authorities(publisher, rq, rows, count);
}

enum error
authorities_refresh(struct publisher *publisher, struct request *rq)
{
    Pb__ListCasRequest request = PB__LIST_CAS_REQUEST__INIT;
    const Pb__ListCasReply *reply;
    uint8_t digest[32];
    enum error error;

    AUTO_LOCK(&publisher->listing);
    error = RPC_CALL(publisher->bus, rq, signer, ListCas, &request, &reply);
    if (error)
        return error;
    certificate_sha256(message_pack(rq->arena, &reply->base), digest);
    if (memcmp(digest, publisher->kept_list, sizeof(digest)) == 0)
        return OK;
    error = keep(publisher, rq, reply);
    if (error)
        return error;
    memcpy(publisher->kept_list, digest, sizeof(digest));
    lease_wake(publisher->lease);
    return OK;
}
