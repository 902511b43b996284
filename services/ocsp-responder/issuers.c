/*
 * The CAs that we answer for. The signer's list is taken anew every few seconds and when a CA is created; while the signer is away
 * the last list stands. Readers copy what they need into their request: no pointer leaves the lock.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "link/rpc.h"
#include "ocsp_responder.h"

struct issuers {
    pthread_mutex_t mutex;
    struct arena *arena; /* of the list */
    struct issuer *list;
    size_t count;
    bool known;
    uint64_t begun, in_force; /* readings, and the one that the list is of: one that began earlier is not put in its place */
};

struct issuers *
issuers_new(void)
{
    struct issuers *issuers = calloc(1, sizeof(*issuers));

    if (issuers == NULL)
        abort();
    pthread_mutex_init(&issuers->mutex, NULL);
    return issuers;
}

void
issuers_free(struct issuers *issuers)
{
    if (issuers->arena != NULL)
        arena_free(issuers->arena);
    pthread_mutex_destroy(&issuers->mutex);
    free(issuers);
}

/* The certificate of each CA; NULL where a CA waits for it. */
static enum error
parse_all(struct request *rq, const Pb__ListCasReply *reply, struct certificate ***ret_certificates)
{
    struct certificate **certificates = arena_array(rq->arena, reply->n_cas, sizeof(*certificates));
    size_t i;

    for (i = 0; i < reply->n_cas; i++) {
        const ProtobufCBinaryData *der = &reply->cas[i]->certificate;
        enum error error;

        if (der->len == 0)
            continue;
        certificates[i] = arena_alloc(rq->arena, sizeof(*certificates[i]));
        error = certificate_parse(rq, BYTES(der->data, der->len), certificates[i]);
        if (error)
            return error;
    }
    *ret_certificates = certificates;
    return OK;
}

/* The CA certificates that this CA issued. */
static void
collect_sub_cas(struct arena *arena, const Pb__ListCasReply *reply, struct certificate *const *certificates, struct issuer *issuer)
{
    struct sub_ca *sub_cas = arena_array(arena, reply->n_cas, sizeof(*sub_cas));
    size_t i;

    for (i = 0; i < reply->n_cas; i++)
        if (certificates[i] != NULL && text_equal(reply->cas[i]->parent, issuer->name))
            sub_cas[issuer->sub_ca_count++] = (struct sub_ca){.serial = bytes_copy(arena, certificates[i]->serial),
                                                              .revoked_at_s = reply->cas[i]->revoked_at_s,
                                                              .reason = (int)reply->cas[i]->revocation_reason};
    issuer->sub_cas = sub_cas;
}

static uint64_t
begin_reading(struct issuers *issuers)
{
    AUTO_LOCK(&issuers->mutex);

    return ++issuers->begun;
}

enum error
issuers_refresh(struct responder *responder, struct request *rq)
{
    Pb__ListCasRequest request = PB__LIST_CAS_REQUEST__INIT;
    struct issuers *issuers = responder->issuers;
    AUTO_STRUCT(arena, arena) = arena_new();
    const Pb__ListCasReply *reply;
    struct certificate **certificates;
    struct issuer *list;
    size_t count = 0, i;
    uint64_t begun = begin_reading(issuers);
    enum error error = RPC_CALL(responder->bus, rq, signer, ListCas, &request, &reply);

    if (!error)
        error = parse_all(rq, reply, &certificates);
    if (error)
        return error;
    list = arena_array(arena, reply->n_cas, sizeof(*list));
    for (i = 0; i < reply->n_cas; i++) {
        if (certificates[i] == NULL)
            continue;
        list[count].name = arena_text(arena, reply->cas[i]->name);
        ocsp_issuer_hashes(certificates[i], &list[count].hashes);
        collect_sub_cas(arena, reply, certificates, &list[count]);
        count++;
    }

    AUTO_LOCK(&issuers->mutex);
    if (begun < issuers->in_force)
        return OK;
    issuers->in_force = begun;
    if (issuers->arena != NULL)
        arena_free(issuers->arena);
    issuers->arena = TAKE(arena);
    issuers->list = list;
    issuers->count = count;
    issuers->known = true;
    return OK;
}

enum error
issuers_check(void *context, struct request *rq)
{
    struct responder *responder = context;
    bool known;

    {
        AUTO_LOCK(&responder->issuers->mutex);
        known = responder->issuers->known;
    }
    return known ? OK : issuers_refresh(responder, rq);
}

const struct issuer *
issuers_match(struct issuers *issuers, struct request *rq, const struct ocsp_cert_id *id)
{
    size_t i, k;

    AUTO_LOCK(&issuers->mutex);
    for (i = 0; i < issuers->count; i++) {
        const struct issuer *found = &issuers->list[i];
        struct issuer *copy;
        struct sub_ca *sub_cas;

        if (!ocsp_cert_id_matches(id, &found->hashes))
            continue;
        copy = arena_alloc(rq->arena, sizeof(*copy));
        *copy = *found;
        copy->name = arena_text(rq->arena, found->name);
        sub_cas = arena_array(rq->arena, found->sub_ca_count, sizeof(*sub_cas));
        for (k = 0; k < found->sub_ca_count; k++) {
            sub_cas[k] = found->sub_cas[k];
            sub_cas[k].serial = bytes_copy(rq->arena, found->sub_cas[k].serial);
        }
        copy->sub_cas = sub_cas;
        return copy;
    }
    return NULL;
}
