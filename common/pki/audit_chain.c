/* One definition of the audit chain's head, for the signer that signs it and for whoever verifies it. */
#include <openssl/sha.h>
#include <string.h>

#include "pki/audit_chain.h"

static uint8_t *
put_u64(uint8_t *at, uint64_t number)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        *at++ = (uint8_t)(number >> shift);
    return at;
}

void
audit_head(const struct audit_seal *seal, uint8_t ret_head[32])
{
    static const char label[] = "signet-audit-head-v1"; /* its NUL is part of it */
    uint8_t text[sizeof(label) + 4 * 8 + 2 * 32], *at = text;

    memcpy(at, label, sizeof(label));
    at = put_u64(at + sizeof(label), seal->seal);
    at = put_u64(at, seal->first_position);
    at = put_u64(at, seal->last_position);
    memcpy(at, seal->root, sizeof(seal->root));
    memcpy(at + 32, seal->previous_head, sizeof(seal->previous_head));
    (void)put_u64(at + 64, (uint64_t)seal->sealed_at_us);
    SHA256(text, sizeof(text), ret_head);
}
