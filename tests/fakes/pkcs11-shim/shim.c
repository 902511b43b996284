/*
 * A PKCS#11 module that is SoftHSM on good days, and on bad days does what the control file says. For tests of the signer, alone and in a running
 * stack: load this module instead of SoftHSM, then write the file.
 *
 *     SIGNET_HSM_MODULE=…/pkcs11-shim.so
 *     PKCS11_SHIM_MODULE    the real module; /usr/lib/softhsm/libsofthsm2.so when not set
 *     PKCS11_SHIM_CONTROL   the control file; when it does not exist, nothing is disturbed
 *
 * The control file has one fault a line, "FUNCTION FAULT [TIMES]", read anew at each call; TIMES counts over all processes, 0 or nothing is always.
 *
 *     init      hang | crash | error                                   C_Initialize
 *     slots     missing                                                C_GetSlotList tells no slot
 *     login     hang | crash | pin-incorrect | pin-locked | device-error    C_Login
 *     sign      hang | crash | slow | session-lost | device-error | wrong    C_Sign; slow takes 300 ms, wrong turns one bit of the signature
 *     ping      session-lost                                           C_GetSessionInfo
 *     generate  extractable | hang | device-error                      C_GenerateKeyPair; extractable leaves out what protects the key
 *
 * Each call of these functions appends a line with its name to CONTROL.calls, so that a test can count them.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit-1/p11-kit/pkcs11.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ret_list);

static void *library;
static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST disturbed;

static const char *
control_file(void)
{
    return getenv("PKCS11_SHIM_CONTROL");
}

static int
open_beside_control(const char *suffix)
{
    char path[4096];

    snprintf(path, sizeof path, "%s.%s", control_file(), suffix);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void
count_call(const char *function)
{
    char line[64];
    int fd = open_beside_control("calls");
    int len = snprintf(line, sizeof line, "%s\n", function);

    if (fd < 0 || write(fd, line, (size_t)len) != len)
        abort();
    close(fd);
}

/* One octet per strike in a file per fault: the count that all processes share. */
static bool
may_strike(const char *function, const char *fault, long times)
{
    char suffix[128];

    if (times <= 0)
        return true;
    snprintf(suffix, sizeof suffix, "%s-%s", function, fault);
    int fd = open_beside_control(suffix);
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        abort();
    bool may = lseek(fd, 0, SEEK_END) < times;
    if (may && write(fd, "x", 1) != 1)
        abort();
    close(fd);
    return may;
}

/* True when this fault is due now. */
static bool
fault_is(const char *function, const char *fault)
{
    char named[32], wanted[32], times[32], line[128];
    bool strikes = false;

    if (control_file() == NULL)
        return false;
    FILE *file = fopen(control_file(), "re");
    if (file == NULL)
        return false;
    while (!strikes && fgets(line, sizeof line, file) != NULL) {
        times[0] = '\0';
        if (sscanf(line, "%31s %31s %31s", named, wanted, times) >= 2 && strcmp(named, function) == 0 && strcmp(wanted, fault) == 0)
            strikes = may_strike(function, fault, strtol(times, NULL, 10));
    }
    fclose(file);
    return strikes;
}

/* The faults that every function knows. */
static CK_RV
disturb(const char *function)
{
    if (control_file() != NULL)
        count_call(function);
    if (fault_is(function, "hang"))
        for (;;)
            pause();
    if (fault_is(function, "crash")) {
        signal(SIGSEGV, SIG_DFL); /* not a sanitizer's */
        raise(SIGSEGV);
    }
    if (fault_is(function, "slow"))
        usleep(300000);
    if (fault_is(function, "session-lost"))
        return CKR_SESSION_HANDLE_INVALID;
    if (fault_is(function, "device-error"))
        return CKR_DEVICE_ERROR;
    if (fault_is(function, "error"))
        return CKR_GENERAL_ERROR;
    return CKR_OK;
}

static CK_RV
initialize(void *arguments)
{
    CK_RV rv = disturb("init");

    return rv != CKR_OK ? rv : real->C_Initialize(arguments);
}

static CK_RV
get_slot_list(CK_BBOOL token_present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)
{
    CK_RV rv = disturb("slots");

    if (rv != CKR_OK || !fault_is("slots", "missing"))
        return rv != CKR_OK ? rv : real->C_GetSlotList(token_present, slots, count);
    *count = 0;
    return CKR_OK;
}

static CK_RV
login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG pin_len)
{
    CK_RV rv = disturb("login");

    if (rv != CKR_OK)
        return rv;
    if (fault_is("login", "pin-incorrect"))
        return CKR_PIN_INCORRECT;
    if (fault_is("login", "pin-locked"))
        return CKR_PIN_LOCKED;
    return real->C_Login(session, user, pin, pin_len);
}

static CK_RV
sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG data_len, CK_BYTE_PTR signature, CK_ULONG_PTR signature_len)
{
    CK_RV rv = disturb("sign");

    if (rv == CKR_OK)
        rv = real->C_Sign(session, data, data_len, signature, signature_len);
    if (rv == CKR_OK && fault_is("sign", "wrong"))
        signature[*signature_len - 1] ^= 1;
    return rv;
}

static CK_RV
get_session_info(CK_SESSION_HANDLE session, CK_SESSION_INFO_PTR info)
{
    CK_RV rv = disturb("ping");

    return rv != CKR_OK ? rv : real->C_GetSessionInfo(session, info);
}

#define ATTRIBUTES_MAX 32

/* As a token that does not care would do it: what was asked about sensitivity and extraction is turned around. */
static CK_RV
generate_key_pair(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR public_key, CK_ULONG public_count,
                  CK_ATTRIBUTE_PTR private_key, CK_ULONG private_count, CK_OBJECT_HANDLE_PTR ret_public, CK_OBJECT_HANDLE_PTR ret_private)
{
    static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE careless[ATTRIBUTES_MAX];

    CK_RV rv = disturb("generate");
    if (rv != CKR_OK)
        return rv;
    if (fault_is("generate", "extractable")) {
        for (CK_ULONG i = 0; i < private_count && i < ATTRIBUTES_MAX; i++) {
            careless[i] = private_key[i];
            if (private_key[i].type == CKA_SENSITIVE)
                careless[i].pValue = &no;
            if (private_key[i].type == CKA_EXTRACTABLE)
                careless[i].pValue = &yes;
        }
        private_key = careless;
    }
    return real->C_GenerateKeyPair(session, mechanism, public_key, public_count, private_key, private_count, ret_public, ret_private);
}

static CK_RV
load_real(void)
{
    const char *path = getenv("PKCS11_SHIM_MODULE");
    CK_C_GetFunctionList get = NULL;

    library = dlopen(path != NULL ? path : "/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return CKR_GENERAL_ERROR;
    *(void **)&get = dlsym(library, "C_GetFunctionList");
    return get == NULL ? CKR_GENERAL_ERROR : get(&real);
}

CK_RV
C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ret_list)
{
    if (real == NULL) {
        CK_RV rv = load_real();
        if (rv != CKR_OK)
            return rv;
        disturbed = *real;
        disturbed.C_Initialize = initialize;
        disturbed.C_GetSlotList = get_slot_list;
        disturbed.C_Login = login;
        disturbed.C_Sign = sign;
        disturbed.C_GetSessionInfo = get_session_info;
        disturbed.C_GenerateKeyPair = generate_key_pair;
        disturbed.C_GetFunctionList = C_GetFunctionList;
    }
    *ret_list = &disturbed;
    return CKR_OK;
}
