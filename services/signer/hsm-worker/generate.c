/*
 * Making a key pair on the token: sensitive, non-extractable, for signing, or for SCEP's envelopes and the answers to them. libp11 has no way to say
 * that (PKCS11_generate_key is for RSA alone and marks keys for decryption too). The attributes are read back before anybody hears of the key: what
 * the token made is what counts. And destroying one.
 */
#include "worker.h"

#include <string.h>

/* DER of the curves' OIDs, as CKA_EC_PARAMS wants them. */
static const uint8_t params_p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t params_p384[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
static const uint8_t params_p521[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23};

static const struct key_form {
    CK_ULONG rsa_bits; /* 0: an EC key */
    const uint8_t *params;
    CK_ULONG params_len;
} forms[] = {
    [HSM_RSA_2048] = {.rsa_bits = 2048},
    [HSM_RSA_3072] = {.rsa_bits = 3072},
    [HSM_RSA_4096] = {.rsa_bits = 4096},
    [HSM_P256] = {.params = params_p256, .params_len = sizeof params_p256},
    [HSM_P384] = {.params = params_p384, .params_len = sizeof params_p384},
    [HSM_P521] = {.params = params_p521, .params_len = sizeof params_p521},
};

#define PUBLIC_ATTRIBUTES_MAX 8

static CK_ULONG
public_template(const struct hsm_call *call, const struct key_form *form, CK_ATTRIBUTE *ret_attributes)
{
    static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    static uint8_t exponent[] = {0x01, 0x00, 0x01};
    CK_ULONG count = 0;

    ret_attributes[count++] = (CK_ATTRIBUTE){CKA_LABEL, (void *)call->label, strlen(call->label)};
    ret_attributes[count++] = (CK_ATTRIBUTE){CKA_ID, (void *)call->id, call->id_len};
    ret_attributes[count++] = (CK_ATTRIBUTE){CKA_TOKEN, &yes, sizeof yes};
    ret_attributes[count++] = (CK_ATTRIBUTE){CKA_VERIFY, &yes, sizeof yes};
    ret_attributes[count++] = (CK_ATTRIBUTE){CKA_PRIVATE, &no, sizeof no};
    if (form->rsa_bits == 0) {
        ret_attributes[count++] = (CK_ATTRIBUTE){CKA_EC_PARAMS, (void *)form->params, form->params_len};
        return count;
    }
    if (call->usage == HSM_FOR_ENVELOPES)
        ret_attributes[count++] = (CK_ATTRIBUTE){CKA_ENCRYPT, &yes, sizeof yes};
    ret_attributes[count++] = (CK_ATTRIBUTE){CKA_MODULUS_BITS, (void *)&form->rsa_bits, sizeof form->rsa_bits};
    ret_attributes[count++] = (CK_ATTRIBUTE){CKA_PUBLIC_EXPONENT, exponent, sizeof exponent};
    return count;
}

static CK_RV
generate(struct worker *worker, const struct hsm_call *call, CK_OBJECT_HANDLE *ret_public, CK_OBJECT_HANDLE *ret_private)
{
    static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    const struct key_form *form = &forms[call->kind];
    CK_BBOOL *may_decrypt = call->usage == HSM_FOR_ENVELOPES ? &yes : &no;
    CK_MECHANISM mechanism = {form->rsa_bits > 0 ? CKM_RSA_PKCS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE public_key[PUBLIC_ATTRIBUTES_MAX];
    CK_ATTRIBUTE private_key[] = {
        {CKA_LABEL, (void *)call->label, strlen(call->label)},
        {CKA_ID, (void *)call->id, call->id_len},
        {CKA_TOKEN, &yes, sizeof yes},
        {CKA_PRIVATE, &yes, sizeof yes},
        {CKA_SENSITIVE, &yes, sizeof yes},
        {CKA_EXTRACTABLE, &no, sizeof no},
        {CKA_SIGN, &yes, sizeof yes},
        {CKA_DECRYPT, may_decrypt, sizeof no},
        {CKA_UNWRAP, &no, sizeof no},
        {CKA_DERIVE, &no, sizeof no},
    };

    return worker->pkcs11->C_GenerateKeyPair(worker->session, &mechanism, public_key, public_template(call, form, public_key), private_key,
                                             sizeof private_key / sizeof private_key[0], ret_public, ret_private);
}

#define BIT(name) (1u << HSM_ATTRIBUTE_##name)

/* What every token tells must be right; what not every token tells must not be wrong. */
static bool
is_safe(const struct hsm_key_facts *facts, const struct hsm_call *call)
{
    uint32_t told = BIT(TOKEN) | BIT(SENSITIVE) | BIT(EXTRACTABLE) | BIT(SIGN);
    uint32_t must_be_set = BIT(TOKEN) | BIT(PRIVATE) | BIT(SENSITIVE) | BIT(ALWAYS_SENSITIVE) | BIT(NEVER_EXTRACTABLE) | BIT(LOCAL) | BIT(SIGN);
    uint32_t must_be_clear = BIT(EXTRACTABLE) | BIT(UNWRAP) | BIT(DERIVE) | BIT(VALUE_READABLE);

    if (call->usage == HSM_FOR_ENVELOPES)
        must_be_set |= BIT(DECRYPT);
    else
        must_be_clear |= BIT(DECRYPT);
    return facts->kind == call->kind && (facts->known & told) == told && (~facts->set & facts->known & must_be_set) == 0 &&
           (facts->set & facts->known & must_be_clear) == 0;
}

enum hsm_status
key_generate(struct worker *worker, const struct hsm_call *call, struct hsm_answer *answer)
{
    CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE, private_key = CK_INVALID_HANDLE;
    CK_ULONG count = 0;

    if (call->kind == HSM_KEY_UNKNOWN || call->kind >= sizeof forms / sizeof forms[0] || call->label[0] == '\0' || call->id_len == 0)
        return answer_text(answer, HSM_REFUSED, "a new key needs a kind, a label and an id");
    if (call->usage > HSM_FOR_ENVELOPES || (call->usage == HSM_FOR_ENVELOPES && forms[call->kind].rsa_bits == 0))
        return answer_text(answer, HSM_REFUSED, "only RSA keys open envelopes");
    CK_RV rv = key_search(worker, CKO_PRIVATE_KEY, call, &private_key, &count);
    if (rv != CKR_OK)
        return answer_failure(answer, "looking whether the key exists", rv);
    if (count > 0)
        return answer_text(answer, HSM_KEY_EXISTS, "a private key \"%s\" with that id is on the token already", call->label);
    rv = generate(worker, call, &public_key, &private_key);
    if (rv != CKR_OK)
        return answer_failure(answer, "generating the key", rv);
    enum hsm_status status = key_describe(worker, call, private_key, answer);
    if (status == HSM_LOST || (status == HSM_OK && is_safe(&answer->facts, call)))
        return status;
    worker->pkcs11->C_DestroyObject(worker->session, private_key);
    worker->pkcs11->C_DestroyObject(worker->session, public_key);
    answer->data_len = 0;
    return answer_text(answer, HSM_KEY_UNSAFE,
                       "the token made a key with other attributes than asked (known 0x%x, set 0x%x); it was destroyed and is not used",
                       answer->facts.known, answer->facts.set);
}

static CK_RV
destroy_one(struct worker *worker, const struct hsm_call *call, CK_OBJECT_CLASS class, bool *ret_destroyed)
{
    CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
    CK_ULONG count = 0;

    CK_RV rv = key_search(worker, class, call, &object, &count);
    if (rv != CKR_OK || count == 0)
        return rv;
    rv = worker->pkcs11->C_DestroyObject(worker->session, object);
    *ret_destroyed |= rv == CKR_OK;
    return rv;
}

/* The private key first: half of a pair that is left signs nothing. */
enum hsm_status
key_destroy(struct worker *worker, const struct hsm_call *call, struct hsm_answer *answer)
{
    bool destroyed = false;

    if (call->label[0] == '\0' || call->id_len == 0)
        return answer_text(answer, HSM_REFUSED, "only a key that is named by label and id is destroyed");
    key_forget(worker, call);
    CK_RV rv = destroy_one(worker, call, CKO_PRIVATE_KEY, &destroyed);
    if (rv == CKR_OK)
        rv = destroy_one(worker, call, CKO_PUBLIC_KEY, &destroyed);
    if (rv != CKR_OK)
        return answer_failure(answer, "destroying the key", rv);
    return destroyed ? HSM_OK : key_answer_none(worker, call, answer);
}
