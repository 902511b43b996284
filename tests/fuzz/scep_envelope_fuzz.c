/* The envelope of a SCEP request: BER to DER, EnvelopedData, and the content under a key that fits nothing. The seams stand for the signer. */
#include <stdlib.h>
#include <string.h>

#include "scep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum error
rpc_call_gathered(struct rpc_gather *gather, struct request *rq, const ProtobufCMessageDescriptor *type, const ProtobufCMessage *input,
                  const ProtobufCMessage **ret_reply)
{
    abort();
}

static void
try_decryption(struct request *rq, const struct cms_enveloped *enveloped)
{
    static const uint8_t key[32];
    Pb__ScepCipher cipher = envelope_cipher(enveloped->cipher_oid);
    size_t len = cipher == PB__SCEP_CIPHER__SCEP_CIPHER_AES256_CBC ? 32 : cipher == PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC ? 16 : 0;
    struct bytes content = BYTES_NONE;

    if (len == 0 || enveloped->iv.len != 16)
        return;
    if (envelope_decrypt(rq, enveloped, cipher, BYTES(key, len), &content) == OK && content.len > enveloped->content.len)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request rq;
    struct bytes der, again;

    request_begin(&rq, "fuzz", "", NULL);
    struct cms_enveloped *enveloped = arena_alloc(rq.arena, sizeof *enveloped);
    if (ber_to_der(rq.arena, BYTES(data, size), &der)) {
        if (der.len > size || !ber_to_der(rq.arena, der, &again) || !bytes_equal(der, again))
            abort();
        if (cms_read_enveloped(rq.arena, der, enveloped) == NULL) {
            if (enveloped->recipient_count == 0 || enveloped->recipient_count > RECIPIENTS_MAX)
                abort();
            try_decryption(&rq, enveloped);
        }
    }
    request_drop(&rq);
    return 0;
}
