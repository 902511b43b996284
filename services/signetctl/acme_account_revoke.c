/*
 * acme account revoke: an account ends, and with --certificates all that it has. Orders in work are waited for first, for one of them may still come
 * to a certificate; then the certificates are revoked one by one, each told as soon as it is. Whatever breaks off is gone on with by the same
 * command.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "signet/v1/ra.pb-c.h"
#include "signetctl.h"

#define WORK_MAX_MS (120 * 1000)
#define WORK_PAUSE_MS 500

struct ending {
    struct ctl *ctl;
    struct request *rq;
    const char *account;
    Pb__RevocationReason reason;
    size_t revoked;
    json_t *certificates;
};

static void
tell_account(const struct ending *ending, const Pb__RevokeAcmeAccountReply *reply)
{
    if (reply->changed)
        printf("account %s: revoked; %u open order%s ended\n", reply->account, reply->orders_ended, reply->orders_ended == 1 ? "" : "s");
    else
        printf("account %s: was %s before\n", reply->account, reply->status);
    if (ending->certificates != NULL)
        return;
    if (reply->orders_in_work > 0)
        printf("%u in work, each taken back at its next turn: see signetctl acme account show %s\n", reply->orders_in_work, reply->account);
    printf("its certificates stay as they are: --certificates revokes them, too\n");
}

static enum error
wait_for_work(struct ending *ending, uint32_t in_work)
{
    Pb__ShowAcmeAccountRequest request = PB__SHOW_ACME_ACCOUNT_REQUEST__INIT;
    const Pb__ShowAcmeAccountReply *reply;
    int64_t end_ms = clock_monotonic_ms() + WORK_MAX_MS;

    request.account = ending->account;
    if (in_work > 0 && !ending->ctl->json)
        printf("%u order%s in work: waiting until taken back, or issued\n", in_work, in_work == 1 ? "" : "s");
    while (in_work > 0) {
        if (clock_monotonic_ms() > end_ms)
            return fail(ending->rq, ERR_BUSY, "%u orders of the account are in work still: repeat this command; signetctl acme explain says why",
                        in_work);
        (void)fflush(stdout);
        clock_sleep_ms(WORK_PAUSE_MS);
        enum error error = CTL_CALL(ending->ctl, ending->rq, acme_admin, ShowAcmeAccount, &request, &reply);
        if (error)
            return error;
        in_work = reply->orders_in_work;
    }
    return OK;
}

static void
tell_certificate(struct ending *ending, const Pb__AcmeAccountCertificate *one, const Pb__RevokeReply *reply)
{
    struct arena *arena = ending->rq->arena;
    const char *serial = bytes_hex(arena, message_bytes(one->serial), 0), *at = clock_format_rfc3339(arena, reply->revoked_at_s);

    json_array_append_new(ending->certificates, json_pack("{s:s, s:s, s:s, s:s, s:b}", "serial", serial, "issuer", one->issuer, "name", one->name,
                                                          "revoked_at", at, "already_revoked", reply->already_revoked));
    if (ending->ctl->json)
        return;
    printf("%zu  %s  %s%s  %s at %s\n", ending->revoked, serial, one->name,
           one->name_count > 1 ? arena_format(arena, " +%u", one->name_count - 1) : "", reply->already_revoked ? "was revoked before," : "revoked",
           at);
    (void)fflush(stdout);
}

static enum error
revoke_certificate(struct ending *ending, const Pb__AcmeAccountCertificate *one)
{
    Pb__RevokeRequest request = PB__REVOKE_REQUEST__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;
    const Pb__RevokeReply *reply;

    principal.kind = "operator";
    principal.id = operator_name(ending->rq->arena);
    request.channel = "operator";
    request.authority = "operator";
    request.principal = &principal;
    request.serial = one->serial;
    request.issuer = one->issuer;
    request.reason = ending->reason;
    enum error error = CTL_CALL(ending->ctl, ending->rq, ra, Revoke, &request, &reply);
    if (error)
        return error;
    ending->revoked++;
    tell_certificate(ending, one, reply);
    return OK;
}

static enum error
revoke_certificates(struct ending *ending)
{
    Pb__ListAcmeAccountCertificatesRequest request = PB__LIST_ACME_ACCOUNT_CERTIFICATES_REQUEST__INIT;
    const Pb__ListAcmeAccountCertificatesReply *reply;

    request.account = ending->account;
    do {
        enum error error = CTL_CALL(ending->ctl, ending->rq, acme_admin, ListAcmeAccountCertificates, &request, &reply);
        for (size_t i = 0; !error && i < reply->n_certificates; i++)
            error = revoke_certificate(ending, reply->certificates[i]);
        if (error)
            return error;
        request.cursor = reply->next_cursor;
    } while (request.cursor[0] != '\0');
    return OK;
}

/* The command has come so far, and the next one goes on from there. */
static enum error
end_certificates(struct ending *ending, uint32_t in_work)
{
    enum error error = wait_for_work(ending, in_work);

    if (!error)
        error = revoke_certificates(ending);
    if (error)
        fprintf(stderr, "%zu certificate%s revoked so far: the same command again goes on\n", ending->revoked, ending->revoked == 1 ? "" : "s");
    else if (!ending->ctl->json)
        printf("%zu certificate%s revoked\n", ending->revoked, ending->revoked == 1 ? "" : "s");
    return error;
}

enum error
acme_account_revoke(struct ctl *ctl, struct request *rq)
{
    Pb__RevokeAcmeAccountRequest request = PB__REVOKE_ACME_ACCOUNT_REQUEST__INIT;
    const Pb__RevokeAcmeAccountReply *reply;
    struct ending ending = {.ctl = ctl, .rq = rq};
    bool with_certificates = argument(ctl, "certificates") != NULL;

    if (!with_certificates && argument(ctl, "reason") != NULL)
        return argument_refused(rq, "--reason is that of the certificates: give --certificates, too");
    enum error error = revocation_reason(rq, argument_or(ctl, "reason", "unspecified"), &ending.reason);
    if (error)
        return error;
    request.account = ctl->arguments.words[0];
    request.why = argument_or(ctl, "why", "");
    request.operator_ = operator_name(rq->arena);
    error = CTL_CALL(ctl, rq, acme_admin, RevokeAcmeAccount, &request, &reply);
    if (error)
        return error;
    ending.account = reply->account;
    AUTO(json_t, certificates) = with_certificates ? json_array() : NULL;
    ending.certificates = certificates;
    if (!ctl->json)
        tell_account(&ending, reply);
    if (with_certificates)
        error = end_certificates(&ending, reply->orders_in_work);
    if (ctl->json) {
        json_t *json = message_json(rq->arena, &reply->base);
        if (with_certificates)
            json_object_set(json, "certificates", certificates);
        json_print(json);
    }
    return error;
}
