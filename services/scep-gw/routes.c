/* The outside of scep-gw: one URL for each profile, and the paths of Windows' NDES for one of them. */
#include <string.h>

#include "base/text.h"
#include "scep.h"

void
note_client(struct http_exchange *x)
{
    const char *agent = http_header_in(x, "User-Agent");

    request_note(&x->rq, "client", "%s", x->peer);
    request_note(&x->rq, "user_agent", "%.100s", agent != NULL ? agent : "");
}

static enum error
check_network(struct http_exchange *x, const struct profile *profile)
{
    if (profile->request_network_count == 0 || networks_cover_text(profile->request_networks, profile->request_network_count, x->peer))
        return OK;
    return refuse(&x->rq, ERR_DENIED, FAIL_BAD_REQUEST, "network", "clients at %s may not use this profile", x->peer);
}

static enum error
operate(struct scep *scep, struct http_exchange *x, const struct profile *profile)
{
    const char *operation = http_query(x, "operation");
    bool is_post = text_equal(x->method, "POST");
    struct bytes message = x->body;

    enum error error = check_network(x, profile);
    if (error != OK)
        return error;
    if (operation == NULL)
        return refuse(&x->rq, ERR_BAD_REQUEST, FAIL_BAD_REQUEST, "operation", "the query has no operation");
    request_note(&x->rq, "operation", "%.40s", operation);
    if (text_equal_nocase(operation, "PKIOperation")) {
        error = is_post ? OK : get_message_decode(&x->rq, x->query, &message);
        return error == OK ? pki_operation(scep, x, profile, message) : error;
    }
    /* Whatever CA identifier the message names: there is one CA at this URL. */
    if (text_equal_nocase(operation, "GetCACaps"))
        return get_ca_caps(scep, x, profile);
    if (text_equal_nocase(operation, "GetCACert") || text_equal_nocase(operation, "GetCACertChain"))
        return get_ca_cert(scep, x, profile);
    if (text_equal_nocase(operation, "GetNextCACert"))
        return get_next_ca_cert(scep, x, profile);
    return refuse(&x->rq, ERR_BAD_REQUEST, FAIL_BAD_REQUEST, "operation", "there is no operation %.40s", operation);
}

static enum error
by_name(void *context, struct http_exchange *x)
{
    const struct profile *profile;

    note_client(x);
    enum error error = profile_find(context, &x->rq, x->params[0], &profile);
    return error == OK ? operate(context, x, profile) : error;
}

static enum error
as_ndes(void *context, struct http_exchange *x)
{
    const struct profile *profile;

    note_client(x);
    enum error error = profile_find_ndes(context, &x->rq, &profile);
    return error == OK ? operate(context, x, profile) : error;
}

#define BOTH(path, handle)              \
    {"GET", path, handle, ON_WORKER},   \
    {                                   \
        "POST", path, handle, ON_WORKER \
    }

/* Windows does not tell the case of paths apart; these are the spellings that its documents and its clients have. */
const struct http_route scep_routes[] = {
    BOTH("/scep/{profile}", by_name),
    BOTH("/scep/{profile}/", by_name),
    BOTH("/scep/{profile}/pkiclient.exe", by_name),
    BOTH("/scep/{profile}/cgi-bin/pkiclient.exe", by_name), /* Cisco IOS, where the URL has no program of its own */
    BOTH("/certsrv/mscep/mscep.dll", as_ndes),
    BOTH("/certsrv/mscep/mscep.dll/pkiclient.exe", as_ndes),
    BOTH("/CertSrv/mscep/mscep.dll", as_ndes),
    BOTH("/CertSrv/mscep/mscep.dll/pkiclient.exe", as_ndes),
    {"GET", "/certsrv/mscep_admin/", mscep_admin, ON_WORKER},
    {"GET", "/certsrv/mscep_admin", mscep_admin, ON_WORKER},
    {"GET", "/CertSrv/mscep_admin/", mscep_admin, ON_WORKER},
    {"GET", "/CertSrv/mscep_admin", mscep_admin, ON_WORKER},
    {"GET", "/scep/{profile}/mscep_admin/", mscep_admin_of_profile, ON_WORKER},
    {"GET", "/scep/{profile}/mscep_admin", mscep_admin_of_profile, ON_WORKER},
};
const size_t scep_route_count = sizeof scep_routes / sizeof scep_routes[0];

void
scep_render_failure(void *context, struct http_exchange *x)
{
    const struct failure *failure = &x->rq.failure;
    int status = x->answer.status == 405 ? 405 : http_status_of(failure->kind);

    if (failure->kind != ERR_INTERNAL && failure->kind != ERR_RATE_LIMITED) /* that has noted its own */
        request_note(&x->rq, "rule", "%s", fail_info_rule(failure));
    if (failure->retry_after_s > 0)
        http_header_out(x, "Retry-After", "%d", failure->retry_after_s);
    (void)http_answer_text(x, status, "text/plain; charset=utf-8", arena_format(x->rq.arena, "%s\n", failure->message));
}
