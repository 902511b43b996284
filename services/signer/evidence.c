/* What the token told of a key when it was read back, as JSON: stored with the CA, shown by `signetctl ca show`, never changed. */
#include "signer.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"

static const char *const attribute_names[HSM_ATTRIBUTE_COUNT] = {
    [HSM_ATTRIBUTE_TOKEN] = "token",
    [HSM_ATTRIBUTE_PRIVATE] = "private",
    [HSM_ATTRIBUTE_SENSITIVE] = "sensitive",
    [HSM_ATTRIBUTE_ALWAYS_SENSITIVE] = "always_sensitive",
    [HSM_ATTRIBUTE_EXTRACTABLE] = "extractable",
    [HSM_ATTRIBUTE_NEVER_EXTRACTABLE] = "never_extractable",
    [HSM_ATTRIBUTE_LOCAL] = "local",
    [HSM_ATTRIBUTE_SIGN] = "sign",
    [HSM_ATTRIBUTE_DECRYPT] = "decrypt",
    [HSM_ATTRIBUTE_UNWRAP] = "unwrap",
    [HSM_ATTRIBUTE_DERIVE] = "derive",
    [HSM_ATTRIBUTE_VALUE_READABLE] = "value_readable",
};

const char *
evidence_format(struct signer *signer, struct request *rq, const struct hsm_key_facts *facts)
{
    json_t *attributes = json_object();

    /* null: the token does not tell. */
    for (unsigned i = 0; i < HSM_ATTRIBUTE_COUNT; i++)
        json_object_set_new(attributes, attribute_names[i], facts->known >> i & 1 ? json_boolean(facts->set >> i & 1) : json_null());
    json_t *evidence =
        json_pack("{s:s, s:s, s:s, s:o}", "hsm", hsm_pool_token_text(signer->hsm, rq), "id", bytes_hex(rq->arena, BYTES(facts->id, facts->id_len), 0),
                  "read_at", clock_format_rfc3339(rq->arena, clock_now_s()), "attributes", attributes);
    char *text = evidence == NULL ? NULL : json_dumps(evidence, JSON_COMPACT);
    if (text == NULL)
        abort();
    const char *kept = arena_text(rq->arena, text);
    free(text);
    json_decref(evidence);
    return kept;
}
