/* Structures of a TPM, from strangers; the first octet says which. A public area that is read gives a SubjectPublicKeyInfo that is one value. */
#include <stdlib.h>

#include "attestation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes structure, signature;
    struct tpm_certified certified;
    struct tpm_public key;
    const struct cose_algorithm algorithms[] = {
        {-258, SIG_RSA_SHA384, .is_pss = false}, {-7, SIG_ECDSA_SHA256, .is_pss = false}, {-37, SIG_RSA_SHA256, .is_pss = true}};

    if (size == 0 || size > 8 * 1024)
        return 0;
    structure = BYTES(data + 1, size - 1);
    if (data[0] % 3 == 0 && tpm_certified_decode(structure, &certified) == NULL)
        must(certified.extra_data.len + certified.name.len < structure.len);
    if (data[0] % 3 == 1 && tpm_public_decode(arena, structure, &key) == NULL) {
        must(der_is_one_value(key.spki));
        (void)tpm_name_is(structure, &key, structure);
    }
    if (data[0] % 3 == 2 && tpm_signature_decode(arena, structure, &algorithms[data[0] / 3 % 3], &signature) == NULL)
        must(signature.len <= structure.len + 8);
    return 0;
}
