/* Packed intents of anything. What is accepted is encoded, and lint finds nothing wrong with the encoding, whatever names and keys are in it. */
#include <stdlib.h>

#include "pki/name.h"
#include "signer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

/* Words for intent_check, which is not driven here. */
const char *
template_key_name(enum key_type type)
{
    abort();
}

const char *
authority_status_name(enum authority_status status)
{
    abort();
}

static struct authority
some_authority(struct arena *arena)
{
    static const uint8_t key_id[20] = {1};
    const struct name_part part = {.type = OID_COMMON_NAME, .value = "Issuing"};

    return (struct authority){.certificate = {.subject = name_encode(arena, &part, 1)},
                              .key = {.algorithm = SIG_ECDSA_SHA256},
                              .subject_key_id = BYTES(key_id, sizeof key_id),
                              .ocsp_url = "http://ocsp.example",
                              .aia_url = "",
                              .crl_url = "http://crl.example"};
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__Template about = PB__TEMPLATE__INIT;
    const struct template template = {.about = &about, .key_usage = 0x1ff & ~(1u << 5 | 1u << 6), .extended_key_usage = {OID_SERVER_AUTH}};
    struct authority authority = some_authority(rq->arena);
    struct intent intent;

    enum error error = intent_read(rq, BYTES(data, size), &intent);
    must(error == OK || error == ERR_BAD_REQUEST || error == ERR_BAD_NAME || error == ERR_BAD_CSR);
    if (error != OK)
        return 0;
    about.include_ocsp = about.include_crl = true;
    struct certificate_plan plan = encode_plan(rq, &intent, &template, &authority);
    if (plan.name_count == 0 && name_is_empty(plan.subject))
        return 0; /* intent_check refuses it */
    error = lint_check(rq, certificate_encode_tbs(rq->arena, &plan), &plan);
    must(error == OK);
    return 0;
}
