/*
 * One turn at a `processing` challenge: ask the validator, write down what it found. The POST that begins a challenge holds its lease already and
 * hands it to a thread here; the lease loop takes what was postponed, and what a process left behind that died. Asking twice does no harm.
 */
#include "acme.h"

#include <openssl/sha.h>

#include "base/base64.h"
#include "base/clock.h"

#define PAUSE_MOST_S 30
#define ATTEMPTS_MAX 14 /* about five minutes in which the validator cannot be reached; then the client is told */

/* RFC 8555 §8.1: token "." thumbprint of the account's key */
static const char *
key_authorization(struct arena *arena, const struct validation *validation)
{
    return arena_format(arena, "%s.%s", validation->token, base64url_encode(arena, validation->thumbprint));
}

static enum error
ask_validator(struct acme *acme, struct request *rq, const char *suffix, const void *input, struct finding *ret_finding)
{
    const Pb__ValidateChallengeReply *reply;

    enum error error = RPC_CALL_AT(acme->bus, rq, validator, suffix, ValidateChallenge, (const Pb__ValidateChallengeRequest *)input, &reply);
    if (!error)
        *ret_finding = (struct finding){.holds = reply->valid,
                                        .problem = reply->problem,
                                        .detail = reply->detail,
                                        .valid_until_s = reply->valid_until_s,
                                        .attested_key = message_bytes(reply->attested_key),
                                        .attestation = reply->attestation};
    return error;
}

/* What a challenge may depend on beside its token: the policy, the account, how DNS records name this CA. */
static enum error
fill_in(struct acme *acme, struct request *rq, const struct validation *validation, Pb__ValidateChallengeRequest *input)
{
    const struct policy *policy;

    enum error error = policy_load(acme, rq, validation->policy, &policy);
    if (error)
        return error;
    input->allowed_networks = (const char **)policy->allowed_networks;
    input->n_allowed_networks = policy->allowed_network_count;
    input->denied_networks = (const char **)policy->denied_networks;
    input->n_denied_networks = policy->denied_network_count;
    input->account_uri = acme_url(acme, rq->arena, "account", validation->account_id);
    input->check_caa = policy->caa && !validation->subdomains; /* the certificate may not have this name */
    input->issuer_names = (const char **)issuer_names(acme, rq->arena, &input->n_issuer_names);
    input->account_hash_prefix = account_hash_prefix(acme, rq->arena);
    if (text_equal(validation->type, DEVICE_ATTEST_01))
        attestation_fill_in(rq->arena, policy, validation, input);
    if (!text_equal(validation->type, "dns-persist-01"))
        return OK;
    /* Records above what somebody had to register would be those of a registry. */
    input->top_domain = registered_domain(&validation->name);
    return store_load_thumbprints(acme, rq, validation->account_id, &input->thumbprints, &input->n_thumbprints);
}

static enum error
ask(struct acme *acme, struct request *rq, const struct validation *validation, int most_ms, struct finding *ret_finding)
{
    Pb__ValidateChallengeRequest input = PB__VALIDATE_CHALLENGE_REQUEST__INIT;
    Pb__Name name = PB__NAME__INIT;

    enum error error = fill_in(acme, rq, validation, &input);
    if (error)
        return error;
    name.type = (Pb__NameType)validation->name.type;
    name.value = validation->subdomains ? name_all_below(rq->arena, &validation->name).value : validation->name.value;
    input.type = validation->type;
    input.identifier = &name;
    input.token = validation->token;
    input.key_authorization = key_authorization(rq->arena, validation);
    int64_t deadline_ms = rq->deadline_ms;
    rq->deadline_ms = clock_monotonic_ms() + request_time_left_ms(rq, most_ms);
    error = perspectives_ask(acme, rq, ask_validator, &input, ret_finding);
    rq->deadline_ms = deadline_ms;
    return error;
}

bool
validation_look(struct acme *acme, struct request *rq, const struct validation *validation, int most_ms, struct finding *ret_finding)
{
    struct finding finding;

    if (ask(acme, rq, validation, most_ms, &finding) != OK) {
        failure_clear(rq);
        return false;
    }
    if (!finding.holds)
        return false;
    *ret_finding = finding;
    return true;
}

int
pause_after(int attempts)
{
    int seconds = attempts > 5 ? PAUSE_MOST_S : 1 << (attempts > 0 ? attempts - 1 : 0);
    return seconds < PAUSE_MOST_S ? seconds : PAUSE_MOST_S;
}

/* No fact was found, neither for nor against: later again, but not for ever. The failure stays for the log line. */
static enum error
postpone(struct acme *acme, struct request *rq, const struct validation *validation)
{
    struct failure failure = rq->failure;

    if (error_is_retriable(failure.kind) && validation->attempts < ATTEMPTS_MAX) {
        failure_clear(rq);
        enum error error = store_postpone_validation(acme, rq, validation->challenge_id, pause_after(validation->attempts));
        if (error == OK)
            rq->failure = failure;
        return error;
    }
    const char *problem = problem_of_failure(rq);
    failure_clear(rq);
    enum error error = store_end_validation(acme, rq, validation->challenge_id, &(struct finding){.holds = false}, problem);
    if (error == OK)
        rq->failure = failure;
    return error;
}

/* Without the key an attestation would hold for all keys. */
static bool
lacks_key(const struct validation *validation, const struct finding *finding)
{
    return text_equal(validation->type, DEVICE_ATTEST_01) && finding->holds && finding->attested_key.len != SHA256_DIGEST_LENGTH;
}

static enum error
take_turn(struct acme *acme, struct request *rq, const struct validation *validation)
{
    struct finding finding;

    if (ask(acme, rq, validation, VALIDATION_ASK_MS, &finding) != OK)
        return postpone(acme, rq, validation);
    if (lacks_key(validation, &finding)) {
        (void)fail(rq, ERR_UNAVAILABLE, "the validator does not say which key was attested");
        return postpone(acme, rq, validation);
    }
    request_note(rq, "found", "%s", finding.holds ? "valid" : finding.problem);
    const char *problem = finding.holds ? NULL : problem_format(rq->arena, finding.problem, finding.detail);
    return store_end_validation(acme, rq, validation->challenge_id, &finding, problem);
}

static void
take_noted_turn(struct acme *acme, struct request *rq, const struct validation *validation)
{
    request_note(rq, "challenge", "%s", validation->challenge_id);
    request_note(rq, "name", "%s", validation->name.value);
    enum error error = take_turn(acme, rq, validation);
    if (error_is_retriable(error))
        lease_leave(acme->validations, validation->challenge_id);
}

void
validation_work(void *context, struct request *rq, const struct db_rows *rows, size_t row)
{
    struct validation validation = store_validation_of_row(rq->arena, rows, row);

    take_noted_turn(context, rq, &validation);
}

/* On its way from the POST to a thread; lives in its own arena. */
struct begun {
    struct arena *arena;
    struct acme *acme;
    struct validation validation;
    struct kept_row kept;
    const char *traceparent;
    int64_t deadline_ms;
};

static void
work_on(void *argument)
{
    struct begun *begun = argument;
    struct request rq;

    request_begin(&rq, "lease", "acme.validation", begun->traceparent);
    rq.deadline_ms = begun->deadline_ms;
    take_noted_turn(begun->acme, &rq, &begun->validation);
    lease_let_go(begun->acme->validations, &begun->kept);
    request_end(&rq, rq.failure.kind);
    arena_free(begun->arena);
}

static struct validation
copy_of(struct arena *arena, const struct validation *validation)
{
    return (struct validation){
        .challenge_id = arena_text(arena, validation->challenge_id),
        .account_id = arena_text(arena, validation->account_id),
        .type = arena_text(arena, validation->type),
        .token = arena_text(arena, validation->token),
        .name = {.type = validation->name.type, .value = arena_text(arena, validation->name.value)},
        .subdomains = validation->subdomains,
        .thumbprint = bytes_copy(arena, validation->thumbprint),
        .attempts = validation->attempts,
        .policy = arena_text(arena, validation->policy),
        .response = bytes_copy(arena, validation->response),
    };
}

void
validation_begin(struct acme *acme, struct request *rq, const struct validation *validation)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct begun *begun = arena_alloc(arena, sizeof *begun);

    *begun = (struct begun){.arena = arena,
                            .acme = acme,
                            .validation = copy_of(arena, validation),
                            .traceparent = arena_text(arena, request_traceparent(rq)),
                            .deadline_ms = clock_monotonic_ms() + INT64_C(1000) * VALIDATION_WORK_S};
    lease_keep(acme->validations, begun->validation.challenge_id, &begun->kept);
    if (workers_try(acme->validators, work_on, begun)) {
        (void)TAKE(arena);
        return;
    }
    lease_let_go(acme->validations, &begun->kept);
    /* Should even this fail, the lease runs out by itself. */
    if (store_postpone_validation(acme, rq, validation->challenge_id, 0) == OK)
        lease_wake(acme->validations);
    else
        failure_clear(rq);
}
