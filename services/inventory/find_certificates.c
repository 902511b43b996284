/*
 * Called when an operator searches. Reads the catalogue only, newest first, a page at a time: the cursor is the place of the last row
 * ("<issued_at in µs>.<SHA-256 in hex>"), so that pages neither repeat nor skip rows while new ones arrive.
 */
#include <string.h>

#include "base/text.h"
#include "inventory.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 1000
#define FILTER_MAX 300

static enum error
check_filters(struct request *rq, const Pb__FindCertificatesRequest *request)
{
    const char *const texts[] = {request->name, request->owner, request->issuer, request->protocol, request->template_, request->cursor};
    static const char *const states[] = {"", "valid", "revoked", "expired"};
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strlen(texts[i]) > FILTER_MAX)
            return fail(rq, ERR_TOO_LARGE, "a filter may have %d characters", FILTER_MAX);
    if (request->limit > LIMIT_MAX)
        return fail(rq, ERR_BAD_REQUEST, "limit is at most %d", LIMIT_MAX);
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

enum error
find_certificates(struct inventory *inventory, struct request *rq, const Pb__FindCertificatesRequest *request, Pb__FindCertificatesReply *ret_reply)
{
    struct store_page page = {.limit = request->limit ? request->limit : LIMIT_DEFAULT};
    Pb__CatalogEntry **entries;
    size_t count;
    int64_t last_us;
    enum error error;

    error = check_filters(rq, request);
    if (!error)
        error = parse_cursor(rq, request->cursor, &page);
    if (!error)
        error = store_find_certificates(inventory, rq, request, &page, &entries, &count, &last_us);
    if (error)
        return error;

    ret_reply->entries = entries;
    ret_reply->n_entries = count;
    if (count == page.limit) {
        const ProtobufCBinaryData *sha256 = &entries[count - 1]->sha256;
        ret_reply->next_cursor = arena_format(rq->arena, "%lld.%s", (long long)last_us, bytes_hex(rq->arena, BYTES(sha256->data, sha256->len), 0));
    }
    return OK;
}
