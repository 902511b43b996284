/*
 * The start of a worker: settings → module → token → login → session, and its end. Any step may hang inside the vendor's library; the signer
 * watches the clock and kills.
 *
 * libp11 loads and initialises the module and knows the slots and tokens. Login and session are PKCS#11's own calls on the same module:
 * PKCS11_login keeps a copy of the PIN for as long as the process lives, hides the CKR code that tells a wrong PIN from a missing token,
 * and waits for ever when no session can be opened (libp11 0.4.12, upstream #525). The keys are used by the same direct way (key.c).
 */
#include "worker.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config.h"

static const char *
setting(const char *name, const char *fallback)
{
    const char *value = getenv(name);

    return value == NULL || value[0] == '\0' ? fallback : value;
}

/* libp11 has the module loaded; the second dlopen is the same instance, and it is how its function table is had. */
static CK_FUNCTION_LIST_PTR
function_list(struct worker *worker, const char *module)
{
    CK_FUNCTION_LIST_PTR list = NULL;
    CK_C_GetFunctionList get = NULL;

    worker->library = dlopen(module, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (worker->library == NULL)
        return NULL;
    /* POSIX way of turning dlsym's object pointer into a function pointer. */
    *(void **)&get = dlsym(worker->library, "C_GetFunctionList");
    if (get == NULL || get(&list) != CKR_OK)
        return NULL;
    return list;
}

static enum hsm_status
load_module(struct worker *worker, struct hsm_answer *answer)
{
    const char *module = setting("SIGNET_HSM_MODULE", "/usr/lib/softhsm/libsofthsm2.so");

    worker->context = PKCS11_CTX_new();
    worker->is_loaded = worker->context != NULL && PKCS11_CTX_load(worker->context, module) == 0;
    if (!worker->is_loaded)
        return answer_text(answer, HSM_MODULE_BAD, "the PKCS#11 module %s (SIGNET_HSM_MODULE) cannot be loaded and initialised", module);
    worker->pkcs11 = function_list(worker, module);
    if (worker->pkcs11 == NULL)
        return answer_text(answer, HSM_MODULE_BAD, "%s (SIGNET_HSM_MODULE) has no C_GetFunctionList that works", module);
    return HSM_OK;
}

/* NULL, and the answer says why. */
static const PKCS11_TOKEN *
find_token(struct worker *worker, struct hsm_answer *answer)
{
    const char *label = setting("SIGNET_HSM_TOKEN", "signet");
    const PKCS11_TOKEN *found = NULL;

    if (PKCS11_enumerate_slots(worker->context, &worker->slots, &worker->slot_count) != 0) {
        answer_text(answer, HSM_TOKEN_MISSING, "the slots of the HSM cannot be listed");
        return NULL;
    }
    for (unsigned i = 0; i < worker->slot_count; i++) {
        const PKCS11_TOKEN *token = worker->slots[i].token;
        if (token == NULL || !token->initialized || token->label == NULL || strcmp(token->label, label) != 0)
            continue;
        if (found != NULL) {
            answer_text(answer, HSM_TOKEN_MISSING, "two tokens are labelled \"%s\" (SIGNET_HSM_TOKEN)", label);
            return NULL;
        }
        found = token;
        worker->slot = PKCS11_get_slotid_from_slot(&worker->slots[i]);
    }
    if (found == NULL)
        answer_text(answer, HSM_TOKEN_MISSING, "no token is labelled \"%s\" (SIGNET_HSM_TOKEN)", label);
    return found;
}

static enum hsm_status
log_in(struct worker *worker, const struct secret *pin, struct hsm_answer *answer)
{
    CK_RV rv = worker->pkcs11->C_Login(worker->session, CKU_USER, pin->at, pin->len);

    answer->device_error = (uint32_t)rv;
    switch (rv) {
    case CKR_OK:
    case CKR_USER_ALREADY_LOGGED_IN:
        return HSM_OK;
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
    case CKR_PIN_EXPIRED:
        return answer_text(answer, HSM_PIN_WRONG, "the token refuses the PIN of SIGNET_HSM_PIN_FILE (PKCS#11 error 0x%lx)", rv);
    case CKR_PIN_LOCKED:
        return answer_text(answer, HSM_PIN_LOCKED, "the token has locked its PIN after too many wrong ones");
    default:
        return answer_text(answer, HSM_TOKEN_MISSING, "logging in to the token failed: PKCS#11 error 0x%lx", rv);
    }
}

static enum hsm_status
open_session(struct worker *worker, struct hsm_answer *answer)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(secret, pin) = NULL;

    if (config_read_secret(rq, setting("SIGNET_HSM_PIN_FILE", ""), &pin) != OK)
        return answer_text(answer, HSM_PIN_UNREADABLE, "the PIN (SIGNET_HSM_PIN_FILE): %s", rq->failure.message);
    CK_RV rv = worker->pkcs11->C_OpenSession(worker->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &worker->session);
    if (rv != CKR_OK) {
        answer->device_error = (uint32_t)rv;
        return answer_text(answer, HSM_TOKEN_MISSING, "the token opens no session: PKCS#11 error 0x%lx", rv);
    }
    return log_in(worker, pin, answer);
}

enum hsm_status
token_open(struct worker *worker, struct hsm_answer *answer)
{
    static const struct hsm_call any_key;
    CK_OBJECT_HANDLE key;
    CK_ULONG count;

    enum hsm_status status = load_module(worker, answer);
    if (status != HSM_OK)
        return status;
    const PKCS11_TOKEN *token = find_token(worker, answer);
    if (token == NULL)
        return HSM_TOKEN_MISSING;
    if (token->userPinLocked)
        return answer_text(answer, HSM_PIN_LOCKED, "the token \"%s\" has locked its PIN", token->label);
    status = open_session(worker, answer);
    if (status != HSM_OK)
        return status;
    worker->opened_ms = clock_monotonic_ms();
    /* Whether there are keys at all is what key.c compares with when one is missing later. */
    (void)key_search(worker, CKO_PRIVATE_KEY, &any_key, &key, &count);
    return answer_text(answer, HSM_OK, "%s %s, serial %s", token->manufacturer, token->model, token->serialnr);
}

void
token_close(struct worker *worker)
{
    if (worker->slots != NULL)
        PKCS11_release_all_slots(worker->context, worker->slots, worker->slot_count);
    /* C_Finalize ends the session and the login. libp11 crashes when it unloads what it could not load. */
    if (worker->is_loaded)
        PKCS11_CTX_unload(worker->context);
    if (worker->context != NULL)
        PKCS11_CTX_free(worker->context);
}

enum hsm_status
token_ping(struct worker *worker, struct hsm_answer *answer)
{
    CK_SESSION_INFO session;
    CK_TOKEN_INFO token;

    CK_RV rv = worker->pkcs11->C_GetSessionInfo(worker->session, &session);
    if (rv != CKR_OK)
        return answer_failure(answer, "asking for the session", rv);
    if (session.state != CKS_RW_USER_FUNCTIONS && session.state != CKS_RO_USER_FUNCTIONS)
        return answer_text(answer, HSM_LOST, "the session is logged out");
    rv = worker->pkcs11->C_GetTokenInfo(worker->slot, &token);
    if (rv != CKR_OK)
        return answer_failure(answer, "asking for the token", rv);
    return HSM_OK;
}
