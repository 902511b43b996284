/*
 * rpc SignCrl: called by crl-publisher on its schedule and after revocations. The number is taken, and committed, first and the entries are read
 * after that: so of two CRLs the one with the greater number never knows less than what was revoked before the other was asked for. A page of entries
 * is in memory at a time, beside the CRL that grows from them; the CRL goes into a row, for it may be too large for a message.
 */
#include "signer.h"

#include "base/clock.h"
#include "pki/crl.h"

#define LIFE_MOST_S (400 * 86400)
#define CLOCK_LEEWAY_S 300
#define KEEP_LEAST_S (7 * 86400)
#define PAGE 10000
#define ENTRIES_MAX 1000000 /* about 50 MB, of which there are a few copies while it is signed */

static enum error
check_request(struct request *rq, const Pb__SignCrlRequest *request, int64_t *ret_after)
{
    struct bytes after = message_bytes(request->after_number);
    int64_t number = 0;

    if (request->this_update_s > clock_now_s() + CLOCK_LEEWAY_S || request->this_update_s < 0)
        return fail(rq, ERR_BAD_REQUEST, "thisUpdate lies in the future");
    if (request->next_update_s <= request->this_update_s || request->next_update_s > request->this_update_s + LIFE_MOST_S)
        return fail(rq, ERR_BAD_REQUEST, "nextUpdate must be after thisUpdate, by at most 400 days");
    while (after.len > 0 && after.at[0] == 0)
        after = BYTES(after.at + 1, after.len - 1);
    if (after.len > 7)
        return fail(rq, ERR_CONFLICT, "the last CRL number is greater than any that is given out here");
    for (size_t i = 0; i < after.len; i++)
        number = number << 8 | after.at[i];
    *ret_after = number;
    return OK;
}

static struct bytes
encode_number(struct arena *arena, int64_t number)
{
    uint8_t *octets = arena_alloc(arena, 8);
    size_t skip = 0;

    for (int i = 0; i < 8; i++)
        octets[i] = (uint8_t)(number >> (56 - 8 * i));
    while (skip < 7 && octets[skip] == 0)
        skip++;
    return BYTES(octets + skip, 8 - skip);
}

static enum error
check_own(struct request *rq, struct bytes der, const struct crl_plan *plan, size_t entry_count)
{
    struct crl crl;

    if (crl_parse(rq, der, &crl) == OK && bytes_equal(crl.number, plan->number) && crl.entry_count == entry_count &&
        crl.this_update_s == plan->this_update_s && crl.next_update_s == plan->next_update_s && bytes_equal(crl.issuer, plan->issuer))
        return OK;
    failure_clear(rq);
    return fail_privately(rq, ERR_INTERNAL, "internal error", "our own CRL does not read as it was planned");
}

/* RFC 5280 §3.3: an entry stays until it was on one regular CRL after the certificate's end. The next regular one comes before this one ends. */
static int64_t
keep_after_expiry_s(const Pb__SignCrlRequest *request)
{
    int64_t life_s = request->next_update_s - request->this_update_s;

    return life_s > KEEP_LEAST_S ? life_s : KEEP_LEAST_S;
}

/* Adds a page in a request of its own, whose memory goes with it. */
static enum error
add_page(struct signer *signer, struct request *rq, const char *authority, int64_t alive_at_s, struct crl_writer *writer, struct bytes *after,
         size_t *ret_count)
{
    AUTO_STRUCT(request, own) = request_new();
    struct crl_entry *entries;
    size_t count;

    own->deadline_ms = rq->deadline_ms;
    enum error error = store_list_revoked(signer, own, authority, alive_at_s, *after, PAGE, &entries, &count);
    rq->sql_round_trips += own->sql_round_trips;
    if (error != OK) {
        rq->failure = own->failure;
        return error;
    }
    for (size_t i = 0; i < count; i++)
        crl_add(writer, &entries[i]);
    if (count > 0)
        *after = bytes_copy(rq->arena, entries[count - 1].serial);
    *ret_count = count;
    return OK;
}

static enum error
add_entries(struct signer *signer, struct request *rq, const char *authority, int64_t alive_at_s, struct crl_writer *writer)
{
    struct bytes after = BYTES("", 0);
    size_t count = PAGE;

    while (count == PAGE) {
        enum error error = add_page(signer, rq, authority, alive_at_s, writer, &after, &count);
        if (error != OK)
            return error;
        if (writer->entry_count > ENTRIES_MAX)
            return fail(rq, ERR_TOO_LARGE, "the CRL of %s would have more than %d entries", authority, ENTRIES_MAX);
    }
    return OK;
}

static enum error
sign_and_store(struct signer *signer, struct request *rq, const struct authority *authority, const struct crl_plan *plan, int64_t number,
               struct crl_writer *writer, struct bytes *ret_sha256)
{
    struct bytes tbs = crl_end(writer, plan), signature;
    uint8_t *sha256 = arena_alloc(rq->arena, 32);

    enum error error = hsm_key_sign(signer, rq, &authority->key, tbs, &signature);
    if (error != OK)
        return error;
    struct bytes crl = signed_join(rq->arena, tbs, plan->algorithm, signature);
    error = check_own(rq, crl, plan, writer->entry_count);
    if (error != OK)
        return error;
    certificate_sha256(crl, sha256);
    *ret_sha256 = BYTES(sha256, 32);
    return store_put_crl(signer, rq, authority->row.name, number, *ret_sha256, crl);
}

enum error
sign_crl(struct signer *signer, struct request *rq, const Pb__SignCrlRequest *request, Pb__SignCrlReply *ret_reply)
{
    const struct authority *authority;
    struct bytes sha256 = BYTES_NONE;
    int64_t after = 0, number = 0;

    request_note(rq, "issuer", "%s", request->issuer);
    enum error error = check_request(rq, request, &after);
    if (error == OK)
        error = authority_load(signer, rq, request->issuer, &authority);
    if (error == OK)
        error = store_next_crl_number(signer, rq, authority->row.name, after, &number);
    if (error != OK)
        return error;
    struct crl_plan plan = {
        .algorithm = authority->key.algorithm,
        .issuer = authority->certificate.subject,
        .this_update_s = request->this_update_s,
        .next_update_s = request->next_update_s,
        .number = encode_number(rq->arena, number),
        .authority_key_id = authority->subject_key_id,
    };
    struct crl_writer writer = crl_begin(rq->arena, &plan);
    error = add_entries(signer, rq, authority->row.name, request->this_update_s - keep_after_expiry_s(request), &writer);
    request_note(rq, "number", "%lld", (long long)number);
    request_note(rq, "entries", "%zu", writer.entry_count);
    if (error == OK)
        error = sign_and_store(signer, rq, authority, &plan, number, &writer, &sha256);
    if (error != OK)
        return error;
    metric_add(signer->crls, 1);
    ret_reply->sha256 = message_data(sha256);
    ret_reply->number = message_data(plan.number);
    ret_reply->this_update_s = plan.this_update_s;
    ret_reply->next_update_s = plan.next_update_s;
    ret_reply->entries = (uint32_t)writer.entry_count;
    return OK;
}
