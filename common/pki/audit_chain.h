/*
 * The head of the audit chain: what the signer signs for each batch of records, and what `signetctl audit verify` computes again.
 *
 * SHA-256 over "signet-audit-head-v1" NUL, then seal, first_position and last_position as 8 octets big-endian each, the batch's Merkle root,
 * the head before (32 zero octets for seal 1), and sealed_at_us as 8 octets big-endian.
 */
#ifndef SIGNET_PKI_AUDIT_CHAIN_H
#define SIGNET_PKI_AUDIT_CHAIN_H

#include "base/bytes.h"

struct audit_seal {
    uint64_t seal;
    uint64_t first_position, last_position;
    uint8_t root[32];
    uint8_t previous_head[32];
    int64_t sealed_at_us;
};

void audit_head(const struct audit_seal *seal, uint8_t ret_head[32]);

#endif
