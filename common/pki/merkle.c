/* Called by ra's sealer for each batch of audit records, and by signetctl to check them. */
#include "pki/merkle.h"

#include <assert.h>
#include <stdlib.h>

#include <openssl/evp.h>

DEFINE_AUTO(EVP_MD_CTX, EVP_MD_CTX_free);

static struct merkle_hash
hash(uint8_t prefix, struct bytes first, struct bytes second)
{
    AUTO(EVP_MD_CTX, context) = EVP_MD_CTX_new();
    struct merkle_hash result;

    if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1 || EVP_DigestUpdate(context, &prefix, 1) != 1 ||
        EVP_DigestUpdate(context, first.at, first.len) != 1 || EVP_DigestUpdate(context, second.at, second.len) != 1 ||
        EVP_DigestFinal_ex(context, result.octets, NULL) != 1)
        abort();
    return result;
}

struct merkle_hash
merkle_leaf(struct bytes record)
{
    return hash(0x00, record, BYTES_NONE);
}

/* Level by level from the leaves: the same tree as the definition's split at the largest power of two. */
struct merkle_hash
merkle_root(struct merkle_hash *leaves, size_t count)
{
    assert(count >= 1);
    while (count > 1) {
        size_t above = 0;
        for (size_t i = 0; i + 1 < count; i += 2)
            leaves[above++] = hash(0x01, BYTES(leaves[i].octets, 32), BYTES(leaves[i + 1].octets, 32));
        if (count % 2 == 1)
            leaves[above++] = leaves[count - 1];
        count = above;
    }
    return leaves[0];
}
