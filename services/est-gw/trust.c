/*
 * Whose client certificates are taken in a handshake: the anchors of all profiles, and our own CAs, whose certificates devices renew with. A
 * handshake knows no profile yet; authenticate.c looks again, with the profile's own anchors.
 */
#include "est.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

struct trust {
    pthread_mutex_t mutex;
    bool applied;
    uint8_t sha256[SHA256_DIGEST_LENGTH]; /* of what the server has now */
};

struct trust *
trust_new(void)
{
    struct trust *trust = calloc(1, sizeof *trust);

    if (trust == NULL)
        abort();
    pthread_mutex_init(&trust->mutex, NULL);
    return trust;
}

void
trust_free(struct trust *trust)
{
    pthread_mutex_destroy(&trust->mutex);
    free(trust);
}

struct anchors {
    struct bytes *at;
    size_t count;
};

static void
add(struct anchors *anchors, struct bytes der)
{
    for (size_t i = 0; i < anchors->count; i++)
        if (bytes_equal(anchors->at[i], der))
            return;
    if (der.len > 0)
        anchors->at[anchors->count++] = der;
}

static struct anchors
collect(struct arena *arena, const struct profiles *profiles, const struct authorities *authorities)
{
    struct anchors anchors = {NULL, 0};
    size_t most = authorities == NULL ? 0 : authorities->cas->n_cas;

    for (size_t i = 0; profiles != NULL && i < profiles->count; i++)
        most += profiles->list[i].anchor_count;
    anchors.at = arena_array(arena, most, sizeof *anchors.at);
    for (size_t i = 0; profiles != NULL && i < profiles->count; i++)
        for (size_t k = 0; !profiles->list[i].settings->disabled && k < profiles->list[i].anchor_count; k++)
            add(&anchors, profiles->list[i].anchors[k]);
    for (size_t i = 0; authorities != NULL && i < authorities->cas->n_cas; i++)
        add(&anchors, message_bytes(authorities->cas->cas[i]->certificate));
    return anchors;
}

void
trust_stop(void *context)
{
    struct est *est = context;

    AUTO_LOCK(&est->trust->mutex);
    est->http = NULL;
}

enum error
trust_apply(struct est *est, struct request *rq)
{
    AUTO_STRUCT(request, own) = request_new();
    uint8_t sha256[SHA256_DIGEST_LENGTH];
    struct buffer all = buffer_in(own->arena);

    AUTO_LOCK(&est->trust->mutex);
    struct anchors anchors = collect(own->arena, snapshot_hold(est->profiles, own), snapshot_hold(est->authorities, own));
    for (size_t i = 0; i < anchors.count; i++)
        buffer_append(&all, anchors.at[i].at, anchors.at[i].len);
    (void)SHA256(all.at, all.len, sha256);
    if (est->http == NULL || (est->trust->applied && memcmp(sha256, est->trust->sha256, sizeof sha256) == 0))
        return OK;
    enum error error = http_server_trust_clients(rq, est->http, anchors.at, anchors.count);
    if (error)
        return error;
    memcpy(est->trust->sha256, sha256, sizeof sha256);
    est->trust->applied = true;
    return OK;
}
