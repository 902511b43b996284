/* The insides of hsm-worker: one module, one token, one session, one thread. */
#ifndef SIGNET_HSM_WORKER_H
#define SIGNET_HSM_WORKER_H

#include <libp11.h>
#include <p11-kit-1/p11-kit/pkcs11.h>

#include "protocol.h"

#define KEY_CACHE_SIZE 512

struct key_handle {
    char label[HSM_LABEL_MAX];
    uint32_t id_len;
    uint8_t id[HSM_ID_MAX];
    CK_OBJECT_HANDLE private_key; /* CK_INVALID_HANDLE: empty place */
};

struct worker {
    PKCS11_CTX *context;
    bool is_loaded;
    PKCS11_SLOT *slots;
    unsigned slot_count;
    void *library;
    CK_FUNCTION_LIST_PTR pkcs11;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    int64_t opened_ms; /* clock_monotonic_ms() */
    bool has_seen_keys;
    struct key_handle keys[KEY_CACHE_SIZE];
};

/* token.c: from the settings to a session that is logged in. Fills the answer that the signer waits for. */
enum hsm_status token_open(struct worker *worker, struct hsm_answer *ret_answer);
void token_close(struct worker *worker);
enum hsm_status token_ping(struct worker *worker, struct hsm_answer *ret_answer);

/* softhsm_guard.c: before token_open. Mends what a killed login of SoftHSM has left. */
void softhsm_guard(void);

/* key.c, generate.c: the operations. */
enum hsm_status key_sign(struct worker *worker, const struct hsm_call *call, struct hsm_answer *ret_answer);
enum hsm_status key_decrypt(struct worker *worker, const struct hsm_call *call, struct hsm_answer *ret_answer);
enum hsm_status key_find(struct worker *worker, const struct hsm_call *call, struct hsm_answer *ret_answer);
enum hsm_status key_generate(struct worker *worker, const struct hsm_call *call, struct hsm_answer *ret_answer);
enum hsm_status key_destroy(struct worker *worker, const struct hsm_call *call, struct hsm_answer *ret_answer);

/* key.c: facts and public key of a pair whose private half is known. */
enum hsm_status key_describe(struct worker *worker, const struct hsm_call *call, CK_OBJECT_HANDLE private_key, struct hsm_answer *ret_answer);
/* key.c: that there is no such key; or that the token is not the one it was. */
enum hsm_status key_answer_none(struct worker *worker, const struct hsm_call *call, struct hsm_answer *ret_answer);
/* key.c: its handle is of no use any more. */
void key_forget(struct worker *worker, const struct hsm_call *call);
/* key.c: how many objects of this class have the call's label and id (counted up to two), and the first of them. */
CK_RV key_search(struct worker *worker, CK_OBJECT_CLASS class, const struct hsm_call *call, CK_OBJECT_HANDLE *ret_object, CK_ULONG *ret_count);

/* answer.c: words for what PKCS#11 answered; tells a refusal from a loss. */
enum hsm_status answer_failure(struct hsm_answer *answer, const char *what, CK_RV rv);
enum hsm_status answer_text(struct hsm_answer *answer, enum hsm_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
