/* What a stranger's zone may hold, TXT and CAA records of any octets, and what may come around them. Neither lets a certificate out that the texts do
 * not allow. */
#include <stdlib.h>
#include <string.h>

#include "validator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define THUMBPRINT "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
#define ACCOUNT "https://ca.example/acct/123"
#define PREFIX "https://ca.example/account-hash/"

static const char *const issuers[] = {"authority.example"};
static const char *const thumbprints[] = {THUMBPRINT};

/* validate_challenge.c is not linked here. */
enum error
found(struct request *rq, const char *problem, const char *format, ...)
{
    (void)fail(rq, ERR_CONFLICT, "%s", format);
    return fail_reason(rq, problem);
}

static bool
contains(struct bytes text, const char *part)
{
    return memmem(text.at, text.len, part, strlen(part)) != NULL;
}

static bool
names_us(struct arena *arena, struct bytes text)
{
    return strcasestr(bytes_text(arena, text), issuers[0]) != NULL || memchr(text.at, '\0', text.len) != NULL;
}

static void
check_persistent(struct request *rq, struct bytes text, bool wildcard)
{
    struct proof proof = {.name = {.type = IDENTIFIER_DNS, .value = "example.com"},
                          .wildcard = wildcard,
                          .account_uri = ACCOUNT,
                          .issuer_names = issuers,
                          .issuer_name_count = 1,
                          .account_hash_prefix = PREFIX,
                          .thumbprints = thumbprints,
                          .thumbprint_count = 1};
    int64_t until_s = 0;

    if (dns_persist_01_check(rq, text, &proof, 1800000000, &until_s) != OK)
        return;
    if (!names_us(rq->arena, text) || !contains(text, PREFIX "sha-256/") || (until_s != 0 && until_s < 1800000000))
        abort();
}

static void
check_caa_record(struct request *rq, struct bytes record, bool wildcard)
{
    struct caa_subject subject = {
        .name = "example.com", .wildcard = wildcard, .method = "dns-01", .account_uri = ACCOUNT, .issuer_names = issuers, .issuer_name_count = 1};
    struct caa caa;

    if (caa_refusal(rq->arena, &record, 1, &subject) != NULL)
        return;
    if (!caa_decode(record, &caa))
        abort();
    if (caa.tag.len == 5 && strncasecmp((const char *)caa.tag.at, "issue", 5) == 0 && !names_us(rq->arena, caa.value))
        abort();
}

static void
read_answer(struct arena *arena, struct bytes packet)
{
    struct dns_answer answer;

    if (!dns_answer_read(arena, packet, RRTYPE_TXT, &answer))
        return;
    for (size_t i = 0; i < answer.count && i < RECORDS_MAX; i++)
        if (answer.records[i].len > packet.len)
            abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes text;

    if (size < 1 || size > 8192)
        return 0;
    bool wildcard = data[0] & 1;
    struct bytes record = BYTES(data + 1, size - 1);
    if (txt_decode(rq->arena, record, &text)) {
        if (text.len >= record.len)
            abort();
        check_persistent(rq, text, wildcard);
    }
    failure_clear(rq);
    check_caa_record(rq, record, wildcard);
    read_answer(rq->arena, record);
    return 0;
}
