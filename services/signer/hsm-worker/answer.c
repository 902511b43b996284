/* What a worker says when it could not do what was asked. Called by token.c and key.c; the signer decides what follows from it. */
#include <stdarg.h>
#include <stdio.h>

#include "worker.h"

enum hsm_status
answer_text(struct hsm_answer *answer, enum hsm_status status, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    vsnprintf(answer->text, sizeof answer->text, format, values);
    va_end(values);
    return status;
}

/* The answers that speak of this one request. After any other answer nothing is known of the session, and a new worker is cheap. */
static bool
is_about_the_request(CK_RV rv)
{
    switch (rv) {
    case CKR_ARGUMENTS_BAD:
    case CKR_ATTRIBUTE_READ_ONLY:
    case CKR_ATTRIBUTE_SENSITIVE:
    case CKR_ATTRIBUTE_TYPE_INVALID:
    case CKR_ATTRIBUTE_VALUE_INVALID:
    case CKR_DATA_INVALID:
    case CKR_DATA_LEN_RANGE:
    case CKR_DOMAIN_PARAMS_INVALID:
    case CKR_FUNCTION_NOT_SUPPORTED:
    case CKR_KEY_FUNCTION_NOT_PERMITTED:
    case CKR_KEY_SIZE_RANGE:
    case CKR_KEY_TYPE_INCONSISTENT:
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID:
    case CKR_TEMPLATE_INCOMPLETE:
    case CKR_TEMPLATE_INCONSISTENT:
    case CKR_TOKEN_WRITE_PROTECTED:
    case CKR_DEVICE_MEMORY:
        return true;
    default:
        return false;
    }
}

enum hsm_status
answer_failure(struct hsm_answer *answer, const char *what, CK_RV rv)
{
    answer->device_error = (uint32_t)rv;
    return answer_text(answer, is_about_the_request(rv) ? HSM_REFUSED : HSM_LOST, "%s: PKCS#11 error 0x%lx", what, rv);
}
