/* acme renew-within: the certificates of a selection are to be replaced by then; their clients hear it from ARI (RFC 9773). */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "signetctl.h"

#define WITHIN_MAX_S (INT64_C(400) * 86400)

/* "90m", "24h", "7d" */
static bool
read_duration(struct arena *arena, const char *text, int64_t *ret_seconds)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    size_t len = strlen(text);
    int64_t number;

    for (size_t i = 0; len > 1 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (text[len - 1] != units[i].unit)
            continue;
        if (!text_parse_number(arena_text_n(arena, text, len - 1), 1, WITHIN_MAX_S / units[i].seconds, &number))
            return false;
        *ret_seconds = number * units[i].seconds;
        return true;
    }
    return false;
}

static enum error
read_request(struct ctl *ctl, struct request *rq, Pb__MoveRenewalWindowRequest *request)
{
    const char *serial = argument(ctl, "serial");
    struct bytes octets;

    if (!read_duration(rq->arena, ctl->arguments.words[0], &request->within_s))
        return argument_refused(rq, "\"%s\" is no time like 90m, 24h or 7d, at most 400d", ctl->arguments.words[0]);
    if (serial != NULL && !bytes_from_hex(rq->arena, serial, &octets))
        return argument_refused(rq, "--serial is a serial number in hexadecimal");
    if (serial != NULL)
        request->serial = message_data(octets);
    request->issuer = argument_or(ctl, "issuer", "");
    request->name = argument_or(ctl, "name", "");
    request->explanation = argument_or(ctl, "explanation", "");
    if (request->issuer[0] == '\0' && request->name[0] == '\0' && serial == NULL && argument(ctl, "all") == NULL)
        return argument_refused(rq, "say which certificates: --issuer, --name, --serial, or --all");
    return OK;
}

enum error
acme_renew_within(struct ctl *ctl, struct request *rq)
{
    Pb__MoveRenewalWindowRequest request = PB__MOVE_RENEWAL_WINDOW_REQUEST__INIT;
    const Pb__MoveRenewalWindowReply *reply;
    enum error error = read_request(ctl, rq, &request);

    request.operator_ = operator_name(rq->arena);
    if (!error)
        error = CTL_CALL(ctl, rq, acme_admin, MoveRenewalWindow, &request, &reply);
    return error ? error
                 : answer(ctl, rq, &reply->base, "clients are told to renew between %s and %s\n", clock_format_rfc3339(rq->arena, reply->starts_at_s),
                          clock_format_rfc3339(rq->arena, reply->ends_at_s));
}
