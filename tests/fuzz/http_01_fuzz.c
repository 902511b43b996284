/* What a stranger's web server may answer: a text, and a place to go on to. Only the expected text passes; only http, https and usual ports are gone
 * to. */
#include <stdlib.h>
#include <string.h>

#include "validator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECTED "token-token-token-token-token.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"

/* validate_challenge.c is not linked here. */
enum error
found(struct request *rq, const char *problem, const char *format, ...)
{
    (void)fail(rq, ERR_CONFLICT, "%s", format);
    return fail_reason(rq, problem);
}

static void
check_body(struct request *rq, struct bytes body)
{
    bool begins = body.len >= strlen(EXPECTED) && memcmp(body.at, EXPECTED, strlen(EXPECTED)) == 0;

    if (http_01_body_check(rq, "here", body, false, EXPECTED) == OK && !begins)
        abort();
    failure_clear(rq);
}

static void
check_redirect(struct request *rq, const char *location)
{
    struct address_rules rules = {.http01_port = 5002};
    struct hop hop;

    if (redirect_parse(rq, &rules, location, &hop) != OK)
        return;
    if (!port_is_allowed(&rules, hop.port) || hop.port == 80 || hop.host[0] == '\0' || strpbrk(hop.host, "/@ []?#\\") != NULL)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();

    if (size > 4096)
        return 0;
    check_body(rq, BYTES(data, size));
    check_redirect(rq, bytes_text(rq->arena, BYTES(data, size)));
    return 0;
}
