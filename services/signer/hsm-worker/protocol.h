/*
 * What signer and its hsm-worker children say to each other, over a SOCK_SEQPACKET socketpair that the child inherits as descriptor 3.
 *
 *     worker → signer   one struct hsm_answer when it has logged in (HSM_OK), or why it could not; then it exits
 *     signer → worker   one struct hsm_call
 *     worker → signer   one struct hsm_answer, and so on
 *
 * One message is one packet: the struct up to the end of `data_len` octets of `data`. Both ends are built together and run on one machine, so
 * numbers have the machine's own form. A packet whose length does not fit its data_len ends the connection: the side that saw it exits
 * (worker) or replaces the other (signer). End of file is the order to exit. HSM_LOST means that the session is gone: the worker exits behind it.
 *
 * No message ever carries a PIN or a private key. A worker that does not answer in time is killed, whatever it was doing.
 */
#ifndef SIGNET_HSM_WORKER_PROTOCOL_H
#define SIGNET_HSM_WORKER_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HSM_FD 3
#define HSM_LABEL_MAX 64 /* with its NUL */
#define HSM_ID_MAX 32
#define HSM_TEXT_MAX 240  /* with its NUL */
#define HSM_DATA_MAX 2048 /* an RSA-8192 key or signature, DigestInfos */
#define HSM_SIGN_MOST 16  /* signatures asked for in one call */

enum hsm_operation {
    HSM_PING = 1, /* is the token there and the session alive? */
    HSM_SIGN,     /* data: `count` digests (ECDSA) or DigestInfos (RSA); answer: r || s of each, or the RSA signatures, of as many as were done */
    HSM_GENERATE, /* a key pair of `kind` with this label and id; answer: facts and public key */
    HSM_FIND,     /* facts and public key of the pair with this label (and id, when one is given) */
    HSM_DESTROY,  /* the pair with this label and id, or what is left of it; answer: HSM_NO_KEY when nothing is */
    HSM_DECRYPT,  /* data: an RSA ciphertext, padded by PKCS#1 v1.5; answer: the plaintext, HSM_REFUSED when it does not open */
};

/* What a new key may be used for. One that opens the envelopes of SCEP signs the answers to them, too, because a SCEP client knows one RA certificate
 * for both. */
enum hsm_usage { HSM_FOR_SIGNING = 0, HSM_FOR_ENVELOPES };

enum hsm_mechanism { HSM_ECDSA = 1, HSM_RSA_PKCS1 };

enum hsm_key_kind { HSM_KEY_UNKNOWN = 0, HSM_RSA_2048, HSM_RSA_3072, HSM_RSA_4096, HSM_P256, HSM_P384, HSM_P521 };

enum hsm_status {
    HSM_OK = 0,
    HSM_NO_KEY,         /* no such key pair */
    HSM_KEY_EXISTS,     /* more than one such key, or one where a new one was to be made */
    HSM_REFUSED,        /* the token will not do this; the session is well */
    HSM_KEY_UNSAFE,     /* a key was generated whose attributes are not what was asked; it was destroyed */
    HSM_LOST,           /* the session or the token is gone */
    HSM_MODULE_BAD,     /* at the start: the PKCS#11 module cannot be loaded or initialised */
    HSM_TOKEN_MISSING,  /* at the start: no token with that label, or two */
    HSM_PIN_UNREADABLE, /* at the start: the PIN file */
    HSM_PIN_WRONG,      /* at the start: do not try again with the same PIN, tokens lock */
    HSM_PIN_LOCKED,     /* at the start: the token has locked its PIN */
};

/* Attributes of a private key as the token tells them; bit n of `known` is clear where it does not tell. */
enum hsm_attribute {
    HSM_ATTRIBUTE_TOKEN,
    HSM_ATTRIBUTE_PRIVATE,
    HSM_ATTRIBUTE_SENSITIVE,
    HSM_ATTRIBUTE_ALWAYS_SENSITIVE,
    HSM_ATTRIBUTE_EXTRACTABLE,
    HSM_ATTRIBUTE_NEVER_EXTRACTABLE,
    HSM_ATTRIBUTE_LOCAL,
    HSM_ATTRIBUTE_SIGN,
    HSM_ATTRIBUTE_DECRYPT,
    HSM_ATTRIBUTE_UNWRAP,
    HSM_ATTRIBUTE_DERIVE,
    HSM_ATTRIBUTE_VALUE_READABLE, /* reading the private value was tried, and worked */
    HSM_ATTRIBUTE_COUNT
};

struct hsm_key_facts {
    uint32_t kind; /* enum hsm_key_kind */
    uint32_t known;
    uint32_t set;
    uint32_t modulus_len; /* RSA: the data is modulus, then exponent; EC: the data is the uncompressed point */
    uint32_t id_len;
    uint8_t id[HSM_ID_MAX];
};

struct hsm_call {
    uint32_t operation; /* enum hsm_operation */
    uint32_t mechanism; /* enum hsm_mechanism */
    uint32_t kind;      /* enum hsm_key_kind */
    uint32_t usage;     /* enum hsm_usage, of a key to be made */
    uint32_t id_len;
    char label[HSM_LABEL_MAX];
    uint8_t id[HSM_ID_MAX];
    uint32_t count; /* of what is to be signed, all of one length; 0 is 1 */
    uint32_t data_len;
    uint8_t data[HSM_DATA_MAX];
};

struct hsm_answer {
    uint32_t status;       /* enum hsm_status */
    uint32_t device_error; /* CK_RV, for the log */
    struct hsm_key_facts facts;
    char text[HSM_TEXT_MAX]; /* what went wrong; at the start: which token this is */
    uint32_t count;          /* of signatures, from the first on */
    uint32_t data_len;
    uint8_t data[HSM_DATA_MAX];
};

static inline size_t
hsm_call_size(const struct hsm_call *call)
{
    return offsetof(struct hsm_call, data) + call->data_len;
}

static inline size_t
hsm_answer_size(const struct hsm_answer *answer)
{
    return offsetof(struct hsm_answer, data) + answer->data_len;
}

static inline bool
hsm_call_is_whole(const struct hsm_call *call, size_t received)
{
    return received >= offsetof(struct hsm_call, data) && call->data_len <= HSM_DATA_MAX && received == hsm_call_size(call) &&
           call->id_len <= HSM_ID_MAX && call->label[HSM_LABEL_MAX - 1] == '\0';
}

static inline bool
hsm_answer_is_whole(const struct hsm_answer *answer, size_t received)
{
    return received >= offsetof(struct hsm_answer, data) && answer->data_len <= HSM_DATA_MAX && received == hsm_answer_size(answer) &&
           answer->facts.id_len <= HSM_ID_MAX && answer->facts.modulus_len <= answer->data_len && answer->text[HSM_TEXT_MAX - 1] == '\0';
}

#endif
