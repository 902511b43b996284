/*
 * Called when an operator searches. Reads the catalogue only, newest first, a page at a time: the cursor is the place of the last row
 * ("<issued_at in µs>.<SHA-256 in hex>"), so that pages neither repeat nor skip rows while new ones arrive. A page is also cut where the bus's
 * bound for one message would be passed: certificates may have many names.
 */
#include <string.h>

#include "base/text.h"
#include "inventory.h"
#include "link/rpc.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 1000
#define FILTER_MAX 300
#define YEAR_9999_ENDS_S 253402300799
#define PAGE_OCTETS_MAX (RPC_BODY_MAX / 2)

static enum error
check_filters(struct request *rq, const Pb__FindCertificatesRequest *request)
{
    const char *const texts[] = {request->name, request->owner, request->issuer, request->protocol, request->template_, request->cursor};
    static const char *const states[] = {"", "valid", "revoked", "expired"};
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strlen(texts[i]) > FILTER_MAX)
            return fail(rq, ERR_BAD_REQUEST, "a filter may have %d characters", FILTER_MAX);
    if (request->limit > LIMIT_MAX)
        return fail(rq, ERR_BAD_REQUEST, "limit is at most %d", LIMIT_MAX);
    if (request->expires_before_s < 0 || request->expires_before_s > YEAR_9999_ENDS_S || request->expires_after_s < 0 ||
        request->expires_after_s > YEAR_9999_ENDS_S)
        return fail(rq, ERR_BAD_REQUEST, "a time of expiry lies between 1970 and 9999");
    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (text_equal(request->status, states[i]))
            return OK;
    return fail(rq, ERR_BAD_REQUEST, "status is valid, revoked or expired, not \"%.40s\"", request->status);
}

static enum error
parse_cursor(struct request *rq, const char *cursor, struct store_page *page)
{
    const char *dot = strchr(cursor, '.');

    if (cursor[0] == '\0')
        return OK;
    if (dot == NULL || !text_parse_number(arena_text_n(rq->arena, cursor, (size_t)(dot - cursor)), 1, INT64_MAX, &page->before_us) ||
        !bytes_from_hex(rq->arena, dot + 1, &page->before_sha) || page->before_sha.len != 32)
        return fail(rq, ERR_BAD_REQUEST, "the cursor is not one that a search has answered");
    return OK;
}

/* How many of the entries go into one answer: at least one, or a page would lead to itself. */
static size_t
count_fitting(const struct store_found *found, size_t limit)
{
    size_t octets = 0, i;

    for (i = 0; i < found->count && i < limit; i++) {
        octets += protobuf_c_message_get_packed_size(&found->entries[i]->base);
        if (octets > PAGE_OCTETS_MAX && i > 0)
            break;
    }
    return i;
}

enum error
find_certificates(struct inventory *inventory, struct request *rq, const Pb__FindCertificatesRequest *request, Pb__FindCertificatesReply *ret_reply)
{
    size_t limit = request->limit ? request->limit : LIMIT_DEFAULT, count;
    struct store_page page = {.limit = limit + 1}; /* one more tells whether there are more */
    struct store_found found;
    enum error error;

    error = check_filters(rq, request);
    if (!error)
        error = parse_cursor(rq, request->cursor, &page);
    if (!error)
        error = store_find_certificates(inventory, rq, request, &page, &found);
    if (error)
        return error;

    count = count_fitting(&found, limit);
    ret_reply->entries = found.entries;
    ret_reply->n_entries = count;
    if (count < found.count) {
        const ProtobufCBinaryData *sha256 = &found.entries[count - 1]->sha256;
        ret_reply->next_cursor =
            arena_format(rq->arena, "%lld.%s", (long long)found.issued_us[count - 1], bytes_hex(rq->arena, BYTES(sha256->data, sha256->len), 0));
    }
    return OK;
}
