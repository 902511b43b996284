/*
 * Finding keys, telling what they are, signing and decrypting with them: what nearly every call is.
 *
 * Keys are used by C_FindObjects and C_Sign on the function table, not by libp11's EVP_PKEY: the signer encodes and hashes by itself, so an
 * EVP_PKEY would only be in the way, and libp11's only way to a key is to enumerate all of them (84 ms for 1000, and -1 for every key as soon as
 * one Ed25519 key is on the token). Handles are kept, because a search takes 15 ms on a token with 1000 keys.
 */
#include "worker.h"

#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"

#define SIGN_TOGETHER_US 10000
#define OLD_VIEW_MS 2000

static CK_ULONG
describe_key(const struct hsm_call *call, CK_OBJECT_CLASS *class, CK_ATTRIBUTE *ret_attributes)
{
    CK_ULONG count = 0;

    ret_attributes[count++] = (CK_ATTRIBUTE){CKA_CLASS, class, sizeof *class};
    if (call->label[0] != '\0')
        ret_attributes[count++] = (CK_ATTRIBUTE){CKA_LABEL, (void *)call->label, strlen(call->label)};
    if (call->id_len > 0)
        ret_attributes[count++] = (CK_ATTRIBUTE){CKA_ID, (void *)call->id, call->id_len};
    return count;
}

CK_RV
key_search(struct worker *worker, CK_OBJECT_CLASS class, const struct hsm_call *call, CK_OBJECT_HANDLE *ret_object, CK_ULONG *ret_count)
{
    CK_ATTRIBUTE wanted[3];
    CK_OBJECT_HANDLE found[2] = {CK_INVALID_HANDLE, CK_INVALID_HANDLE};
    CK_ULONG count = 0;

    CK_RV rv = worker->pkcs11->C_FindObjectsInit(worker->session, wanted, describe_key(call, &class, wanted));
    if (rv != CKR_OK)
        return rv;
    rv = worker->pkcs11->C_FindObjects(worker->session, found, 2, &count);
    CK_RV final = worker->pkcs11->C_FindObjectsFinal(worker->session);
    if (rv != CKR_OK || final != CKR_OK)
        return rv != CKR_OK ? rv : final;
    worker->has_seen_keys |= count > 0;
    *ret_object = found[0];
    *ret_count = count;
    return CKR_OK;
}

static bool
uses_key(const struct hsm_call *call)
{
    return call->operation == HSM_SIGN || call->operation == HSM_DECRYPT || call->operation == HSM_DESTROY;
}

/*
 * A token that was taken away or initialised anew shows no keys at all, and reports no error (SoftHSM). That must not be told as "this key
 * is missing" by a worker that has seen keys, or when a key is there to be used: a new worker will know better. So it will about a single key:
 * SoftHSM tells its processes of new objects by a counter in a file, and one that logs in just while another makes a key may count past it.
 */
enum hsm_status
key_answer_none(struct worker *worker, const struct hsm_call *call, struct hsm_answer *answer)
{
    static const struct hsm_call any_key;
    CK_OBJECT_HANDLE key;
    CK_ULONG count = 0;

    CK_RV rv = key_search(worker, CKO_PRIVATE_KEY, &any_key, &key, &count);
    if (rv != CKR_OK)
        return answer_failure(answer, "searching keys", rv);
    if (count == 0 && (worker->has_seen_keys || uses_key(call)))
        return answer_text(answer, HSM_LOST, "the token holds no private key at all");
    if (uses_key(call) && clock_monotonic_ms() - worker->opened_ms >= OLD_VIEW_MS)
        return answer_text(answer, HSM_LOST, "no private key \"%s\" with that id was seen; another hsm-worker looks again", call->label);
    return answer_text(answer, HSM_NO_KEY, "no private key \"%s\" with that id is on the token", call->label);
}

static enum hsm_status
load_private_key(struct worker *worker, const struct hsm_call *call, CK_OBJECT_HANDLE *ret_key, struct hsm_answer *answer)
{
    CK_ULONG count = 0;

    if (call->label[0] == '\0' && call->id_len == 0)
        return answer_text(answer, HSM_NO_KEY, "a key needs a label or an id");
    CK_RV rv = key_search(worker, CKO_PRIVATE_KEY, call, ret_key, &count);
    if (rv != CKR_OK)
        return answer_failure(answer, "searching the key", rv);
    if (count == 0)
        return key_answer_none(worker, call, answer);
    if (count > 1)
        return answer_text(answer, HSM_KEY_EXISTS, "more than one private key \"%s\" with that id is on the token", call->label);
    return HSM_OK;
}

static struct key_handle *
cache_place(struct worker *worker, const struct hsm_call *call)
{
    uint64_t hash = bytes_hash(bytes_of_text(call->label)) * 31 + bytes_hash(BYTES(call->id, call->id_len));

    return &worker->keys[hash % KEY_CACHE_SIZE];
}

void
key_forget(struct worker *worker, const struct hsm_call *call)
{
    cache_place(worker, call)->private_key = CK_INVALID_HANDLE;
}

static enum hsm_status
cached_private_key(struct worker *worker, const struct hsm_call *call, CK_OBJECT_HANDLE *ret_key, struct hsm_answer *answer)
{
    struct key_handle *place = cache_place(worker, call);

    if (place->private_key == CK_INVALID_HANDLE || place->id_len != call->id_len || memcmp(place->id, call->id, call->id_len) != 0 ||
        strcmp(place->label, call->label) != 0) {
        enum hsm_status status = load_private_key(worker, call, ret_key, answer);
        if (status != HSM_OK)
            return status;
        memcpy(place->label, call->label, sizeof place->label);
        memcpy(place->id, call->id, sizeof place->id);
        place->id_len = call->id_len;
        place->private_key = *ret_key;
    }
    *ret_key = place->private_key;
    return HSM_OK;
}

/* One signature; `*len` is the room for it, then its length. */
static CK_RV
sign_one(struct worker *worker, const struct hsm_call *call, CK_OBJECT_HANDLE key, struct bytes digest, uint8_t *to, CK_ULONG *len)
{
    CK_MECHANISM mechanism = {call->mechanism == HSM_ECDSA ? CKM_ECDSA : CKM_RSA_PKCS, NULL, 0};

    CK_RV rv = worker->pkcs11->C_SignInit(worker->session, &mechanism, key);
    return rv != CKR_OK ? rv : worker->pkcs11->C_Sign(worker->session, (CK_BYTE_PTR)digest.at, digest.len, to, len);
}

/*
 * Several in one message, because messages and waking up cost more than a signature. But the bound in which the signer wants its answer is meant
 * for one signature, whatever the token's speed: a slow token answers with what it has done, and is asked again for the rest. A failure behind
 * the first is left to be the first of the next call, too.
 */
enum hsm_status
key_sign(struct worker *worker, const struct hsm_call *call, struct hsm_answer *answer)
{
    uint32_t count = call->count == 0 ? 1 : call->count, digest_len = call->data_len / count;
    int64_t until_us = clock_monotonic_us() + SIGN_TOGETHER_US;
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;

    if (call->mechanism != HSM_ECDSA && call->mechanism != HSM_RSA_PKCS1)
        return answer_text(answer, HSM_REFUSED, "there is no mechanism %u", call->mechanism);
    if (count > HSM_SIGN_MOST || digest_len * count != call->data_len)
        return answer_text(answer, HSM_REFUSED, "%u octets are not %u digests", call->data_len, count);
    enum hsm_status status = cached_private_key(worker, call, &key, answer);
    if (status != HSM_OK)
        return status;
    for (uint32_t i = 0; i < count && (i == 0 || clock_monotonic_us() < until_us); i++) {
        CK_ULONG len = HSM_DATA_MAX - answer->data_len;
        CK_RV rv = sign_one(worker, call, key, BYTES(call->data + i * digest_len, digest_len), answer->data + answer->data_len, &len);
        if (rv != CKR_OK && i == 0)
            return answer_failure(answer, "signing", rv);
        if (rv != CKR_OK)
            break;
        answer->data_len += (uint32_t)len;
        answer->count++;
    }
    return HSM_OK;
}

/* What tokens say of a ciphertext that does not open. SoftHSM has one error for everything: then the session tells whether it is that. */
static bool
is_about_the_ciphertext(struct worker *worker, CK_RV rv)
{
    struct hsm_answer aside = {0};

    if (rv == CKR_ENCRYPTED_DATA_INVALID || rv == CKR_ENCRYPTED_DATA_LEN_RANGE || rv == CKR_BUFFER_TOO_SMALL)
        return true;
    return (rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED) && token_ping(worker, &aside) == HSM_OK;
}

enum hsm_status
key_decrypt(struct worker *worker, const struct hsm_call *call, struct hsm_answer *answer)
{
    CK_MECHANISM mechanism = {CKM_RSA_PKCS, NULL, 0};
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_ULONG len = HSM_DATA_MAX;

    enum hsm_status status = cached_private_key(worker, call, &key, answer);
    if (status != HSM_OK)
        return status;
    CK_RV rv = worker->pkcs11->C_DecryptInit(worker->session, &mechanism, key);
    if (rv != CKR_OK)
        return answer_failure(answer, "beginning the decryption", rv);
    rv = worker->pkcs11->C_Decrypt(worker->session, (CK_BYTE_PTR)call->data, call->data_len, answer->data, &len);
    if (rv != CKR_OK && is_about_the_ciphertext(worker, rv))
        return answer_text(answer, HSM_REFUSED, "the ciphertext does not open");
    if (rv != CKR_OK)
        return answer_failure(answer, "decrypting", rv);
    answer->data_len = (uint32_t)len;
    return HSM_OK;
}

/* One attribute alone, because a token that does not know one of several may tell none of them. */
static bool
read_attribute(struct worker *worker, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void *to, CK_ULONG room, CK_ULONG *ret_len)
{
    CK_ATTRIBUTE attribute = {type, to, room};

    if (worker->pkcs11->C_GetAttributeValue(worker->session, object, &attribute, 1) != CKR_OK || attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION)
        return false;
    *ret_len = attribute.ulValueLen;
    return true;
}

/* Not how the token says it protects the key, but whether it does: the private value is asked for, and must be refused. */
static bool
private_value_is_readable(struct worker *worker, CK_OBJECT_HANDLE key)
{
    static const CK_ATTRIBUTE_TYPE private_parts[] = {CKA_VALUE, CKA_PRIVATE_EXPONENT, CKA_PRIME_1};
    uint8_t value[HSM_DATA_MAX];
    CK_ULONG len = 0;
    bool readable = false;

    for (size_t i = 0; i < sizeof private_parts / sizeof private_parts[0]; i++)
        readable |= read_attribute(worker, key, private_parts[i], value, sizeof value, &len) && len > 0;
    explicit_bzero(value, sizeof value);
    return readable;
}

static void
read_facts(struct worker *worker, CK_OBJECT_HANDLE key, struct hsm_key_facts *facts)
{
    static const CK_ATTRIBUTE_TYPE types[HSM_ATTRIBUTE_COUNT] = {
        [HSM_ATTRIBUTE_TOKEN] = CKA_TOKEN,
        [HSM_ATTRIBUTE_PRIVATE] = CKA_PRIVATE,
        [HSM_ATTRIBUTE_SENSITIVE] = CKA_SENSITIVE,
        [HSM_ATTRIBUTE_ALWAYS_SENSITIVE] = CKA_ALWAYS_SENSITIVE,
        [HSM_ATTRIBUTE_EXTRACTABLE] = CKA_EXTRACTABLE,
        [HSM_ATTRIBUTE_NEVER_EXTRACTABLE] = CKA_NEVER_EXTRACTABLE,
        [HSM_ATTRIBUTE_LOCAL] = CKA_LOCAL,
        [HSM_ATTRIBUTE_SIGN] = CKA_SIGN,
        [HSM_ATTRIBUTE_DECRYPT] = CKA_DECRYPT,
        [HSM_ATTRIBUTE_UNWRAP] = CKA_UNWRAP,
        [HSM_ATTRIBUTE_DERIVE] = CKA_DERIVE,
    };

    for (unsigned i = 0; i < HSM_ATTRIBUTE_VALUE_READABLE; i++) {
        CK_BBOOL value = CK_FALSE;
        CK_ULONG len = 0;
        if (!read_attribute(worker, key, types[i], &value, sizeof value, &len) || len != sizeof value)
            continue;
        facts->known |= 1u << i;
        facts->set |= value ? 1u << i : 0;
    }
    facts->known |= 1u << HSM_ATTRIBUTE_VALUE_READABLE;
    facts->set |= private_value_is_readable(worker, key) ? 1u << HSM_ATTRIBUTE_VALUE_READABLE : 0;
}

/* The uncompressed point. Tokens tell it inside an OCTET STRING, as PKCS#11 wants, or bare. */
static enum hsm_status
read_ec_public_key(struct worker *worker, CK_OBJECT_HANDLE key, struct hsm_answer *answer)
{
    static const struct {
        enum hsm_key_kind kind;
        CK_ULONG point_len;
    } curves[] = {{HSM_P256, 65}, {HSM_P384, 97}, {HSM_P521, 133}};
    uint8_t value[HSM_DATA_MAX];
    CK_ULONG len = 0;

    if (!read_attribute(worker, key, CKA_EC_POINT, value, sizeof value, &len))
        return answer_text(answer, HSM_REFUSED, "the token does not tell the public point of the key");
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        CK_ULONG point_len = curves[i].point_len;
        CK_ULONG wrapping = len == point_len ? 0 : point_len < 128 ? 2 : 3;
        if (len != point_len + wrapping || value[wrapping] != 0x04 || (wrapping > 0 && value[0] != 0x04))
            continue;
        answer->facts.kind = curves[i].kind;
        answer->data_len = (uint32_t)point_len;
        memcpy(answer->data, value + wrapping, point_len);
        return HSM_OK;
    }
    return answer_text(answer, HSM_REFUSED, "the key is on no curve that is known here");
}

static enum hsm_status
read_rsa_public_key(struct worker *worker, CK_OBJECT_HANDLE key, struct hsm_answer *answer)
{
    CK_ULONG modulus_len = 0, exponent_len = 0;

    if (!read_attribute(worker, key, CKA_MODULUS, answer->data, HSM_DATA_MAX, &modulus_len) ||
        !read_attribute(worker, key, CKA_PUBLIC_EXPONENT, answer->data + modulus_len, HSM_DATA_MAX - modulus_len, &exponent_len))
        return answer_text(answer, HSM_REFUSED, "the token does not tell modulus and exponent of the key");
    answer->facts.modulus_len = (uint32_t)modulus_len;
    answer->data_len = (uint32_t)(modulus_len + exponent_len);
    answer->facts.kind = modulus_len == 256 ? HSM_RSA_2048 : modulus_len == 384 ? HSM_RSA_3072 : modulus_len == 512 ? HSM_RSA_4096 : HSM_KEY_UNKNOWN;
    if (answer->facts.kind == HSM_KEY_UNKNOWN)
        return answer_text(answer, HSM_REFUSED, "an RSA key of %lu bits is not used here", modulus_len * 8);
    return HSM_OK;
}

enum hsm_status
key_describe(struct worker *worker, const struct hsm_call *call, CK_OBJECT_HANDLE private_key, struct hsm_answer *answer)
{
    CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE;
    CK_KEY_TYPE type = CK_UNAVAILABLE_INFORMATION;
    CK_ULONG count = 0, id_len = 0, len = 0;

    read_facts(worker, private_key, &answer->facts);
    if (read_attribute(worker, private_key, CKA_ID, answer->facts.id, HSM_ID_MAX, &id_len))
        answer->facts.id_len = (uint32_t)id_len;
    CK_RV rv = key_search(worker, CKO_PUBLIC_KEY, call, &public_key, &count);
    if (rv != CKR_OK)
        return answer_failure(answer, "searching the public key", rv);
    if (count != 1)
        return answer_text(answer, HSM_NO_KEY, "%s public key \"%s\" with that id is on the token", count == 0 ? "no" : "more than one", call->label);
    if (!read_attribute(worker, private_key, CKA_KEY_TYPE, &type, sizeof type, &len) || len != sizeof type)
        return answer_text(answer, HSM_REFUSED, "the token does not tell the type of the key");
    if (type == CKK_EC)
        return read_ec_public_key(worker, public_key, answer);
    if (type == CKK_RSA)
        return read_rsa_public_key(worker, public_key, answer);
    return answer_text(answer, HSM_REFUSED, "keys of PKCS#11 type 0x%lx are not used here", type);
}

enum hsm_status
key_find(struct worker *worker, const struct hsm_call *call, struct hsm_answer *answer)
{
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;

    enum hsm_status status = load_private_key(worker, call, &key, answer);
    if (status != HSM_OK)
        return status;
    return key_describe(worker, call, key, answer);
}
