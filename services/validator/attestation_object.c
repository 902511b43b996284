/* An attestation object (WebAuthn §6.5.4): {"fmt": text, "attStmt": {…}}. authData has no meaning here (the draft's §5) and is passed over. */
#include "attestation.h"

#define MEMBERS_MAX 16
#define NUMBER_MAX 65536

static enum error
bad(struct request *rq, const char *why)
{
    return found(rq, "badAttestationStatement", "the attestation object %s", why);
}

/* ---- a map with texts as keys, none of them twice ---- */

struct member {
    const char *name;
    enum item_kind kind;
    struct item item;
    bool is_there;
    struct cbor_reader inside; /* of arrays and maps: behind the head */
};

static struct member *
find(struct member *members, size_t count, struct bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(name, bytes_of_text(members[i].name)))
            return &members[i];
    return NULL;
}

/* NULL, or what is wrong. Arrays and maps that are wanted are read later, from where they stand. */
static const char *
take_member(struct cbor_reader *in, struct member *members, size_t count)
{
    struct item key;

    if (!cbor_reader_take(in, &key) || key.kind != ITEM_TEXT)
        return "has a map whose keys are not texts, or is cut off";
    struct member *member = find(members, count, key.content);
    if (member == NULL)
        return cbor_reader_skip(in) ? NULL : "is cut off, nested too deeply or too long, or is not in the canonical form of CTAP2";
    if (member->is_there)
        return "has a member twice";
    struct cbor_reader whole = *in;
    if (!cbor_reader_take(&whole, &member->item) || member->item.kind != member->kind)
        return "has a member of another type than WebAuthn says, or is cut off";
    member->is_there = true;
    member->inside = whole;
    return cbor_reader_skip(in) ? NULL : "is cut off, nested too deeply or too long, or is not in the canonical form of CTAP2";
}

static const char *
take_members(struct cbor_reader *in, uint64_t pairs, struct member *members, size_t count)
{
    const char *wrong = pairs > MEMBERS_MAX ? "has too many members" : NULL;

    for (uint64_t i = 0; wrong == NULL && i < pairs; i++)
        wrong = take_member(in, members, count);
    return wrong;
}

/* ---- the statement ---- */

static const char *
take_certificates(const struct member *x5c, struct statement *statement)
{
    struct cbor_reader in = x5c->inside;
    struct item item;

    if (!x5c->is_there || x5c->item.number == 0)
        return "has no certificates (x5c)";
    if (x5c->item.number > X5C_MAX)
        return "has too many certificates (x5c)";
    for (uint64_t i = 0; i < x5c->item.number; i++) {
        if (!cbor_reader_take(&in, &item) || item.kind != ITEM_BYTES)
            return "has something else than octets among its certificates (x5c)";
        statement->certificates[statement->certificate_count++] = item.content;
    }
    return NULL;
}

static const char *
read_statement(const struct member *map, struct statement *statement)
{
    enum { ALG, SIG, X5C, VER, CERT_INFO, PUB_AREA, COUNT };
    struct member members[COUNT] = {
        [ALG] = {.name = "alg", .kind = ITEM_NEGATIVE},
        [SIG] = {.name = "sig", .kind = ITEM_BYTES},
        [X5C] = {.name = "x5c", .kind = ITEM_ARRAY},
        [VER] = {.name = "ver", .kind = ITEM_TEXT},
        [CERT_INFO] = {.name = "certInfo", .kind = ITEM_BYTES},
        [PUB_AREA] = {.name = "pubArea", .kind = ITEM_BYTES},
    };
    struct cbor_reader in = map->inside;

    const char *wrong = take_members(&in, map->item.number, members, COUNT);
    if (wrong == NULL)
        wrong = take_certificates(&members[X5C], statement);
    if (wrong != NULL)
        return wrong;
    if (members[ALG].is_there)
        statement->algorithm = members[ALG].item.number < NUMBER_MAX ? -1 - (int64_t)members[ALG].item.number : INT64_MIN;
    statement->signature = members[SIG].item.content;
    statement->version = members[VER].item.content;
    statement->certified = members[CERT_INFO].item.content;
    statement->public_area = members[PUB_AREA].item.content;
    return NULL;
}

enum error
statement_decode(struct request *rq, struct bytes object, struct statement *ret_statement)
{
    struct member members[] = {{.name = "fmt", .kind = ITEM_TEXT}, {.name = "attStmt", .kind = ITEM_MAP}};
    struct cbor_reader in = cbor_reader_of(object);
    struct statement statement = {.algorithm = 0};
    struct item map;

    if (!cbor_reader_take(&in, &map) || map.kind != ITEM_MAP)
        return bad(rq, "is not a CBOR map");
    const char *wrong = take_members(&in, map.number, members, 2);
    if (wrong == NULL && !cbor_reader_at_end(&in))
        wrong = "is followed by something else";
    if (wrong == NULL && (!members[0].is_there || !members[1].is_there))
        wrong = "has no \"fmt\" or no \"attStmt\"";
    if (wrong == NULL)
        wrong = read_statement(&members[1], &statement);
    if (wrong != NULL)
        return bad(rq, wrong);
    statement.format = members[0].item.content;
    *ret_statement = statement;
    return OK;
}
