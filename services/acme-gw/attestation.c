/*
 * device-attest-01 (draft-ietf-acme-device-attest), the gateway's part: whose attestations a policy takes, and the client's object on its way to the
 * validator. Nothing of the object is read here.
 */
#include "acme.h"

#include <string.h>

#include "base/base64.h"
#include "pki/crl.h"
#include "pki/pem.h"

#define OBJECT_MAX (32 * 1024) /* as the validator takes it */
#define ROOTS_PEM_MAX (128 * 1024)
#define ROOTS_MAX 128
#define CRLS_MAX 64

enum error
attestation_take(struct request *rq, const json_t *payload, struct bytes *ret_object)
{
    const char *text = json_text(payload, "attObj");

    if (text == NULL)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "the response to device-attest-01 must have a member \"attObj\"");
    if (strlen(text) > OBJECT_MAX * 4 / 3 || !base64url_decode_lenient(rq->arena, bytes_of_text(text), ret_object) || ret_object->len == 0)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"attObj\" is not base64url of 1 to %d octets", OBJECT_MAX);
    return OK;
}

/* ---- policies ---- */

/* Beside the roots, in the same text. */
static enum error
check_crls(struct request *rq, const char *what, const char *pem)
{
    struct bytes *lists;
    size_t count;

    if (pem_all(rq, pem, "X509 CRL", CRLS_MAX, &lists, &count) != OK)
        return fail(rq, ERR_BAD_REQUEST, "%s: a PEM CRL is none, or there are more than %d", what, CRLS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct crl crl;
        if (crl_parse(rq, lists[i], &crl) != OK) {
            const char *why = arena_text(rq->arena, rq->failure.message);
            failure_clear(rq);
            return fail(rq, ERR_BAD_REQUEST, "%s: CRL %zu cannot be used: %s", what, i + 1, why);
        }
    }
    return OK;
}

static enum error
check_roots(struct request *rq, const char *what, const char *pem)
{
    struct bytes *roots;
    size_t count;

    if (pem[0] == '\0')
        return OK;
    if (strnlen(pem, ROOTS_PEM_MAX + 1) > ROOTS_PEM_MAX)
        return fail(rq, ERR_TOO_LARGE, "%s: longer than %d octets", what, ROOTS_PEM_MAX);
    enum error error = pem_all(rq, pem, "CERTIFICATE", ROOTS_MAX, &roots, &count);
    if (error || count == 0)
        return fail(rq, ERR_BAD_REQUEST, "%s: there is no PEM certificate in it, or one that is none, or more than %d", what, ROOTS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct certificate root;
        if (certificate_parse(rq, roots[i], &root) != OK)
            return fail(rq, ERR_BAD_REQUEST, "%s: certificate %zu cannot be read", what, i + 1);
    }
    return check_crls(rq, what, pem);
}

static enum error
check_types(struct request *rq, const Pb__AcmePolicy *policy)
{
    bool takes_attestations = policy->apple_roots[0] != '\0' || policy->step_roots[0] != '\0' || policy->tpm_roots[0] != '\0';
    enum identifier_type type;

    if (policy->n_identifier_types > POLICY_LIST_MAX)
        return fail(rq, ERR_TOO_LARGE, "identifier_types: at most %d can be given", POLICY_LIST_MAX);
    for (size_t i = 0; i < policy->n_identifier_types; i++) {
        const char *name = policy->identifier_types[i];
        if (!identifier_type_find(name, &type) || !identifier_is_provable(type))
            return fail(rq, ERR_BAD_REQUEST, "identifier_types: \"%.40s\" is none of dns, ip, permanent-identifier and hardware-module", name);
        if (identifier_is_device(type) && !takes_attestations)
            return fail(rq, ERR_BAD_REQUEST, "identifier_types: %s needs apple_roots, step_roots or tpm_roots: nobody could prove such a name", name);
    }
    return OK;
}

enum error
attestation_check_policy(struct request *rq, const Pb__AcmePolicy *policy)
{
    enum error error = check_roots(rq, "apple_roots", policy->apple_roots);

    if (!error)
        error = check_roots(rq, "step_roots", policy->step_roots);
    if (!error)
        error = check_roots(rq, "tpm_roots", policy->tpm_roots);
    return error ? error : check_types(rq, policy);
}

static void
add_roots(struct policy *policy, const char *format, const char *pem)
{
    if (!text_is_empty(pem))
        policy->attestation_roots[policy->attestation_root_count++] = (struct attestation_roots){format, pem};
}

void
attestation_of_policy(const Pb__AcmePolicy *row, struct policy *policy)
{
    enum identifier_type type;

    add_roots(policy, "apple", row->apple_roots);
    add_roots(policy, "step", row->step_roots);
    add_roots(policy, "tpm", row->tpm_roots);
    for (size_t i = 0; i < row->n_identifier_types; i++)
        if (identifier_type_find(row->identifier_types[i], &type))
            policy->identifier_types |= 1u << type;
    if (row->n_identifier_types > 0)
        return;
    policy->identifier_types = 1u << IDENTIFIER_DNS | 1u << IDENTIFIER_IP;
    if (policy->attestation_root_count > 0)
        policy->identifier_types |= 1u << IDENTIFIER_PERMANENT | 1u << IDENTIFIER_HARDWARE_MODULE;
}

/* ---- to the validator ---- */

void
attestation_fill_in(struct arena *arena, const struct policy *policy, const struct validation *validation, Pb__ValidateChallengeRequest *input)
{
    size_t count = policy->attestation_root_count;
    Pb__AttestationRoots *roots = arena_array(arena, count, sizeof *roots);

    input->attestation_roots = arena_array(arena, count, sizeof *input->attestation_roots);
    input->n_attestation_roots = count;
    for (size_t i = 0; i < count; i++) {
        pb__attestation_roots__init(&roots[i]);
        roots[i].format = policy->attestation_roots[i].format;
        roots[i].pem = policy->attestation_roots[i].pem;
        input->attestation_roots[i] = &roots[i];
    }
    input->attestation = message_data(validation->response);
}
