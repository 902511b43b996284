/*
 * Merkle trees over the records of a log, as RFC 6962 §2.1 defines them: SHA-256, leaf = H(0x00 || record), node = H(0x01 || left || right), a
 * lone node goes up as it is.
 *
 * The audit chain uses them: a record is the octets of audit.record.body, exactly as stored; the root of a batch stands in audit.seal and is
 * what the signer signs, with the head of the batch before. ra's sealer and `signetctl audit verify` both compute with this file.
 */
#ifndef SIGNET_PKI_MERKLE_H
#define SIGNET_PKI_MERKLE_H

#include "base/bytes.h"

struct merkle_hash {
    uint8_t octets[32];
};

struct merkle_hash merkle_leaf(struct bytes record);

/* The root over the leaves in their order. count ≥ 1. Overwrites `leaves`. */
struct merkle_hash merkle_root(struct merkle_hash *leaves, size_t count);

#endif
