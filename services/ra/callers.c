/*
 * Called first for every enrolment and revocation. The bus says for sure which service calls; what that service says of channel and principal counts
 * only as far as this table goes. So a gateway that is no longer ours has no more than its own protocol: it cannot be an operator.
 */
#include "ra.h"

#include <string.h>

#include "base/text.h"

#define KINDS_MAX 4

static const struct caller {
    const char *name;
    const char *channel;                /* that, and what follows it after a slash */
    const char *kinds[KINDS_MAX];       /* of principals */
    const char *sponsor;                /* kind of those on whose behalf they act; NULL: none */
    const char *authorities[KINDS_MAX]; /* of revocations */
    bool revokes_others;                /* as operator also what was issued to other kinds of principals */
} callers[] = {
    {"acme-gw", "acme", {"acme-account", "certificate-key"}, "eab", {"account", "certificate-key", "authorizations"}, false},
    {"est-gw", "est", {"est-certificate", "est-user"}, NULL, {NULL}, false},
    {"scep-gw", "scep", {"scep-challenge", "scep-certificate", "intune-tenant"}, NULL, {"operator"}, false},
    {"signetctl", "operator", {"operator"}, NULL, {"operator"}, true},
};

static const struct caller *
find_caller(const char *name)
{
    for (size_t i = 0; i < sizeof callers / sizeof callers[0]; i++)
        if (text_equal(callers[i].name, name))
            return &callers[i];
    return NULL;
}

static bool
is_listed(const char *const list[KINDS_MAX], const char *text)
{
    for (size_t i = 0; i < KINDS_MAX && list[i] != NULL; i++)
        if (text_equal(list[i], text))
            return true;
    return false;
}

static bool
is_channel_of(const struct caller *caller, const char *channel)
{
    size_t len = strlen(caller->channel);

    return text_starts_with(channel, caller->channel) && (channel[len] == '\0' || channel[len] == '/');
}

static enum error
check(struct request *rq, const struct caller *caller, const char *channel, const Pb__Principal *principal)
{
    if (caller == NULL)
        return fail(rq, ERR_DENIED, "%.40s is no service that certificates are enrolled or revoked through", rq->caller);
    if (!is_channel_of(caller, channel))
        return fail(rq, ERR_DENIED, "%s has no say on the channel %.100s", caller->name, channel);
    if (!is_listed(caller->kinds, principal->kind))
        return fail(rq, ERR_DENIED, "%s does not speak for principals of the kind %.100s", caller->name, principal->kind);
    return OK;
}

enum error
caller_check_enroll(struct request *rq, const char *channel, const Pb__Principal *principal, const Pb__Principal *sponsor)
{
    const struct caller *caller = find_caller(rq->caller);
    enum error error = check(rq, caller, channel, principal);

    if (error || sponsor == NULL || text_equal(sponsor->kind, caller->sponsor))
        return error;
    return fail(rq, ERR_DENIED, "%s does not act on behalf of the kind %.100s", caller->name, sponsor->kind);
}

enum error
caller_check_revoke(struct request *rq, const Pb__RevokeRequest *request, const char *holder_kind)
{
    const struct caller *caller = find_caller(rq->caller);
    enum error error = check(rq, caller, request->channel, request->principal);

    if (error)
        return error;
    if (!is_listed(caller->authorities, request->authority))
        return fail(rq, ERR_DENIED, "%s does not revoke with the authority %s", caller->name, request->authority);
    if (text_equal(request->authority, "operator") && !caller->revokes_others && !is_listed(caller->kinds, holder_kind))
        return fail(rq, ERR_DENIED, "%s revokes only what was issued through it", caller->name);
    return OK;
}
