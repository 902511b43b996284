/* All SQL of the catalogue. */
#include "inventory.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "pki/certificate.h"
#include "pki/name.h"

/* ---- writing, a batch of events in one transaction ---- */

static const struct db_statement insert_certificates = {
    "insert_certificates",
    "INSERT INTO inventory.certificate (sha256, serial, issuer, subject, name_types, name_values, not_before, not_after, template, protocol, owner,"
    " principal_kind, principal_id, key_type, issued_at, certificate)"
    " SELECT sha256, serial, issuer, subject, string_to_array(types, ',')::int[], string_to_array(names, E'\\n'), not_before, not_after, template,"
    " protocol, owner, principal_kind, principal_id, key_type, issued_at, certificate"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
    " AS row (sha256, serial, issuer, subject, types, names, not_before, not_after, template, protocol, owner, principal_kind, principal_id, "
    "key_type,"
    " issued_at, certificate)"
    " ON CONFLICT DO NOTHING"};

static const struct db_statement insert_names = {
    "insert_names", "INSERT INTO inventory.certificate_name (value, sha256) SELECT DISTINCT * FROM unnest($1, $2) ON CONFLICT DO NOTHING"};

/* The news may come in any order, and so which reason is the last one follows from the reasons: keyCompromise (1) stays, and certificateHold (6) does
 * not (ra/revoke.c). */
static const struct db_statement insert_revocations = {
    "insert_revocations",
    "INSERT INTO inventory.revocation AS known (issuer, serial, revoked_at, reason)"
    " SELECT DISTINCT ON (issuer, serial) issuer, serial, revoked_at, reason FROM unnest($1, $2, $3, $4) AS row (issuer, serial, revoked_at, reason)"
    " ORDER BY issuer, serial, reason = 1 DESC, reason = 6, revoked_at"
    " ON CONFLICT (issuer, serial) DO UPDATE SET reason = excluded.reason"
    " WHERE known.reason <> 1 AND (excluded.reason = 1 OR known.reason = 6 AND excluded.reason <> 6)"};

static struct bytes
bytes_of(ProtobufCBinaryData data)
{
    /* An empty field is an empty value, not SQL NULL. */
    return data.len == 0 ? BYTES("", 0) : message_bytes(data);
}

/* One column of a batch: an array in the arena, one element per event. */
struct columns {
    struct bytes *sha256, *serial, *certificate;
    const char **issuer, **subject, **types, **names, **template_, **protocol, **owner, **principal_kind, **principal_id, **key_type;
    int64_t *not_before_us, *not_after_us, *issued_us;
};

static struct columns
columns_new(struct arena *arena, size_t count)
{
    struct columns columns = {0};
    struct bytes **const spans[] = {&columns.sha256, &columns.serial, &columns.certificate};
    const char ***const texts[] = {&columns.issuer,   &columns.subject, &columns.types,          &columns.names,        &columns.template_,
                                   &columns.protocol, &columns.owner,   &columns.principal_kind, &columns.principal_id, &columns.key_type};
    int64_t **const times[] = {&columns.not_before_us, &columns.not_after_us, &columns.issued_us};
    size_t i;

    for (i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        *spans[i] = arena_array(arena, count, sizeof(struct bytes));
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i] = arena_array(arena, count, sizeof(char *));
    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        *times[i] = arena_array(arena, count, sizeof(int64_t));
    return columns;
}

static void
columns_set(struct columns *columns, struct arena *arena, size_t row, const Pb__CertificateIssued *issued)
{
    struct buffer types = buffer_in(arena), names = buffer_in(arena);
    size_t i;

    for (i = 0; i < issued->n_names; i++) {
        buffer_append_format(&types, "%s%d", i ? "," : "", (int)issued->names[i]->type);
        buffer_append_format(&names, "%s%s", i ? "\n" : "", issued->names[i]->value);
    }
    columns->sha256[row] = bytes_of(issued->sha256);
    columns->serial[row] = bytes_of(issued->serial);
    columns->certificate[row] = bytes_of(issued->certificate);
    columns->issuer[row] = issued->issuer;
    columns->subject[row] = issued->subject;
    columns->types[row] = buffer_text(&types);
    columns->names[row] = buffer_text(&names);
    columns->template_[row] = issued->template_;
    columns->protocol[row] = issued->channel;
    columns->owner[row] = issued->owner;
    columns->principal_kind[row] = issued->principal ? issued->principal->kind : "";
    columns->principal_id[row] = issued->principal ? issued->principal->id : "";
    columns->key_type[row] = issued->key_type;
    columns->not_before_us[row] = issued->not_before_s * 1000000;
    columns->not_after_us[row] = issued->not_after_s * 1000000;
    columns->issued_us[row] = issued->issued_at_s * 1000000;
}

/* What a search by name finds: names and the certificates that have them. */
struct index {
    const char **values;
    struct bytes *sha256;
    size_t count;
};

/* In lower case, because searches are. */
static void
index_add(struct index *index, struct arena *arena, const char *value, struct bytes sha256)
{
    index->values[index->count] = text_lower(arena, value);
    index->sha256[index->count++] = sha256;
}

/* NULL when there is none: a certificate of foreign making need not be one that we can read. */
static const char *
common_name_of(struct request *rq, struct bytes der)
{
    struct certificate *certificate = arena_alloc(rq->arena, sizeof(*certificate));

    if (certificate_parse(rq, der, certificate) != OK) {
        failure_clear(rq);
        return NULL;
    }
    return name_common_name(rq->arena, certificate->subject);
}

static struct index
index_of(struct request *rq, const struct event *events, size_t count, const struct columns *columns)
{
    size_t room = count, i, k; /* a common name each, and its alternative names */
    struct index index = {0};

    for (i = 0; i < count; i++)
        room += ((const Pb__CertificateIssued *)events[i].message)->n_names;
    index.values = arena_array(rq->arena, room, sizeof(*index.values));
    index.sha256 = arena_array(rq->arena, room, sizeof(*index.sha256));
    for (i = 0; i < count; i++) {
        const Pb__CertificateIssued *issued = (const Pb__CertificateIssued *)events[i].message;
        const char *common_name = common_name_of(rq, columns->certificate[i]);
        if (!text_is_empty(common_name))
            index_add(&index, rq->arena, common_name, columns->sha256[i]);
        for (k = 0; k < issued->n_names; k++)
            index_add(&index, rq->arena, issued->names[k]->value, columns->sha256[i]);
    }
    return index;
}

enum error
store_add_certificates(struct inventory *inventory, struct request *rq, const struct event *events, size_t count)
{
    struct columns columns = columns_new(rq->arena, count);
    struct index index;
    size_t i;

    for (i = 0; i < count; i++)
        columns_set(&columns, rq->arena, i, (const Pb__CertificateIssued *)events[i].message);
    index = index_of(rq, events, count, &columns);

    const struct db_step steps[] = {
        DB_STEP(&insert_certificates, NULL, DB_BYTES_ARRAY(columns.sha256, count), DB_BYTES_ARRAY(columns.serial, count),
                DB_TEXT_ARRAY(columns.issuer, count), DB_TEXT_ARRAY(columns.subject, count), DB_TEXT_ARRAY(columns.types, count),
                DB_TEXT_ARRAY(columns.names, count), DB_TIME_ARRAY(columns.not_before_us, count), DB_TIME_ARRAY(columns.not_after_us, count),
                DB_TEXT_ARRAY(columns.template_, count), DB_TEXT_ARRAY(columns.protocol, count), DB_TEXT_ARRAY(columns.owner, count),
                DB_TEXT_ARRAY(columns.principal_kind, count), DB_TEXT_ARRAY(columns.principal_id, count), DB_TEXT_ARRAY(columns.key_type, count),
                DB_TIME_ARRAY(columns.issued_us, count), DB_BYTES_ARRAY(columns.certificate, count)),
        DB_STEP(&insert_names, NULL, DB_TEXT_ARRAY(index.values, index.count), DB_BYTES_ARRAY(index.sha256, index.count)),
    };
    return db_atomic(inventory->db, rq, steps, sizeof(steps) / sizeof(steps[0]));
}

enum error
store_add_revocations(struct inventory *inventory, struct request *rq, const struct event *events, size_t count)
{
    const char **issuers = arena_array(rq->arena, count, sizeof(*issuers));
    struct bytes *serials = arena_array(rq->arena, count, sizeof(*serials));
    int64_t *times = arena_array(rq->arena, count, sizeof(*times));
    int32_t *reasons = arena_array(rq->arena, count, sizeof(*reasons));
    size_t i;

    for (i = 0; i < count; i++) {
        const Pb__CertificateRevoked *revoked = (const Pb__CertificateRevoked *)events[i].message;
        issuers[i] = revoked->issuer;
        serials[i] = bytes_of(revoked->serial);
        times[i] = revoked->revoked_at_s * 1000000;
        reasons[i] = (int32_t)revoked->reason;
    }
    return DB_QUERY(inventory->db, rq, &insert_revocations, NULL, DB_TEXT_ARRAY(issuers, count), DB_BYTES_ARRAY(serials, count),
                    DB_TIME_ARRAY(times, count), DB_INT_ARRAY(reasons, count));
}

/* ---- reading ---- */

#define ENTRY_COLUMNS                                                                                                                           \
    "c.serial, c.issuer, c.sha256, c.subject, c.name_types::text[], c.name_values, c.not_before, c.not_after, c.template, c.protocol, c.owner," \
    " c.principal_kind, c.principal_id, c.key_type, c.issued_at, r.revoked_at, r.reason"
#define ENTRY_TABLES "inventory.certificate c LEFT JOIN inventory.revocation r ON r.issuer = c.issuer AND r.serial = c.serial"

#define PAGE_FILTERS                                                                                                                      \
    " ($1 = '' OR c.owner = $1) AND ($2 = '' OR c.issuer = $2) AND ($4 = '' OR c.template = $4)"                                          \
    " AND ($3 = '' OR c.protocol = $3 OR split_part(c.protocol, '/', 1) = $3)"                                                            \
    " AND ($5 = '' OR ($5 = 'revoked' AND r.revoked_at IS NOT NULL) OR ($5 = 'expired' AND r.revoked_at IS NULL AND c.not_after < now())" \
    "      OR ($5 = 'valid' AND r.revoked_at IS NULL AND c.not_after >= now()))"                                                          \
    " AND ($6::timestamptz IS NULL OR c.not_after < $6) AND ($7::timestamptz IS NULL OR c.not_after > $7)"                                \
    " AND ($8::timestamptz IS NULL OR (c.issued_at, c.sha256) < ($8, $9))"
#define PAGE_ORDER " ORDER BY c.issued_at DESC, c.sha256 DESC LIMIT $10"

static const struct db_statement select_page = {"select_page", "SELECT " ENTRY_COLUMNS " FROM " ENTRY_TABLES " WHERE" PAGE_FILTERS PAGE_ORDER};

/* Apart from the search without a name, so that the names' indexes lead the way. */
static const struct db_statement select_page_by_name = {
    "select_page_by_name",
    "SELECT " ENTRY_COLUMNS " FROM " ENTRY_TABLES
    " WHERE c.sha256 IN (SELECT sha256 FROM inventory.certificate_name WHERE value LIKE $11 AND reverse(value) LIKE $12) AND" PAGE_FILTERS
        PAGE_ORDER};

static const struct db_statement select_by_sha256 = {"select_by_sha256",
                                                     "SELECT " ENTRY_COLUMNS ", c.certificate FROM " ENTRY_TABLES " WHERE c.sha256 = $1"};

static const struct db_statement select_by_serial = {"select_by_serial",
                                                     "SELECT " ENTRY_COLUMNS ", c.certificate FROM " ENTRY_TABLES " WHERE c.serial = $1 LIMIT 2"};

static void
fill_names(struct request *rq, const struct db_rows *rows, size_t row, Pb__CatalogEntry *entry)
{
    const char *const *types, *const *values;
    size_t type_count = db_text_array(rows, row, 4, &types), value_count = db_text_array(rows, row, 5, &values), i;
    size_t count = type_count < value_count ? type_count : value_count;

    entry->names = arena_array(rq->arena, count, sizeof(*entry->names));
    entry->n_names = count;
    for (i = 0; i < count; i++) {
        int64_t number = 0;
        (void)text_parse_number(types[i], 0, 100, &number);
        entry->names[i] = arena_alloc(rq->arena, sizeof(Pb__Name));
        pb__name__init(entry->names[i]);
        entry->names[i]->type = (Pb__NameType)number;
        entry->names[i]->value = values[i];
    }
}

static Pb__CatalogEntry *
entry_of_row(struct request *rq, const struct db_rows *rows, size_t row)
{
    Pb__CatalogEntry *entry = arena_alloc(rq->arena, sizeof(*entry));

    pb__catalog_entry__init(entry);
    entry->serial = message_data(db_bytes(rows, row, 0));
    entry->issuer = db_text(rows, row, 1);
    entry->sha256 = message_data(db_bytes(rows, row, 2));
    entry->subject = db_text(rows, row, 3);
    fill_names(rq, rows, row, entry);
    entry->not_before_s = db_time_s(rows, row, 6);
    entry->not_after_s = db_time_s(rows, row, 7);
    entry->template_ = db_text(rows, row, 8);
    entry->protocol = db_text(rows, row, 9);
    entry->owner = db_text(rows, row, 10);
    entry->principal = arena_alloc(rq->arena, sizeof(Pb__Principal));
    pb__principal__init(entry->principal);
    entry->principal->kind = db_text(rows, row, 11);
    entry->principal->id = db_text(rows, row, 12);
    entry->key_type = db_text(rows, row, 13);
    entry->issued_at_s = db_time_s(rows, row, 14);
    entry->revoked_at_s = db_time_s(rows, row, 15);
    entry->reason = (Pb__RevocationReason)db_int(rows, row, 16);
    entry->status = entry->revoked_at_s != 0 ? "revoked" : entry->not_after_s < clock_now_s() ? "expired" : "valid";
    return entry;
}

/* The same search from the other end, so that "*.example.org" finds its index too. Not for UTF-8: there the search runs from the start alone. */
static const char *
backwards(struct arena *arena, const char *pattern)
{
    size_t len = strlen(pattern), i;
    char *reversed = arena_text_n(arena, pattern, len);

    if (!text_is_printable_ascii(bytes_of_text(pattern)))
        return "*";
    for (i = 0; i < len; i++)
        reversed[i] = pattern[len - 1 - i];
    return reversed;
}

/* '*' of the search is SQL's '%'; SQL's own wildcards are literal. */
static const char *
like_pattern(struct arena *arena, const char *pattern)
{
    struct buffer like = buffer_in(arena);

    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '%' || *pattern == '_' || *pattern == '\\')
            buffer_append_text(&like, "\\");
        buffer_append(&like, *pattern == '*' ? "%" : pattern, 1);
    }
    return buffer_text(&like);
}

enum error
store_find_certificates(struct inventory *inventory, struct request *rq, const Pb__FindCertificatesRequest *filter, const struct store_page *page,
                        struct store_found *ret_found)
{
    const char *name = text_lower(rq->arena, filter->name);
    const struct db_value values[] = {
        DB_TEXT(filter->owner),
        DB_TEXT(filter->issuer),
        DB_TEXT(filter->protocol),
        DB_TEXT(filter->template_),
        DB_TEXT(filter->status),
        filter->expires_before_s ? DB_TIME_S(filter->expires_before_s) : DB_NULL,
        filter->expires_after_s ? DB_TIME_S(filter->expires_after_s) : DB_NULL,
        page->before_us ? DB_TIME_US(page->before_us) : DB_NULL,
        DB_BYTES(page->before_sha),
        DB_BIGINT((int64_t)page->limit),
        DB_TEXT(like_pattern(rq->arena, name)),
        DB_TEXT(like_pattern(rq->arena, backwards(rq->arena, name))),
    };
    size_t value_count = sizeof(values) / sizeof(values[0]);
    struct store_found found = {0};
    struct db_rows *rows;
    enum error error;

    if (name[0] != '\0')
        error = db_query(inventory->db, rq, &select_page_by_name, values, value_count, &rows);
    else
        error = db_query(inventory->db, rq, &select_page, values, value_count - 2, &rows);
    if (error)
        return error;

    found.count = db_count(rows);
    found.entries = arena_array(rq->arena, found.count, sizeof(*found.entries));
    found.issued_us = arena_array(rq->arena, found.count, sizeof(*found.issued_us));
    for (size_t i = 0; i < found.count; i++) {
        found.entries[i] = entry_of_row(rq, rows, i);
        found.issued_us[i] = db_time_us(rows, i, 14);
    }
    *ret_found = found;
    return OK;
}

enum error
store_load_certificate(struct inventory *inventory, struct request *rq, struct bytes sha256, struct bytes serial, Pb__CatalogEntry **ret_entry,
                       struct bytes *ret_certificate)
{
    struct db_rows *rows;
    enum error error;

    if (sha256.len > 0)
        error = DB_QUERY(inventory->db, rq, &select_by_sha256, &rows, DB_BYTES(sha256));
    else
        error = DB_QUERY(inventory->db, rq, &select_by_serial, &rows, DB_BYTES(serial));
    if (error)
        return error;
    if (db_count(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "the catalogue has no certificate with this %s", sha256.len > 0 ? "fingerprint" : "serial number");
    if (db_count(rows) > 1)
        return fail(rq, ERR_CONFLICT, "more than one issuer used this serial number: name the certificate by its SHA-256 fingerprint");

    *ret_entry = entry_of_row(rq, rows, 0);
    *ret_certificate = db_bytes(rows, 0, 17);
    return OK;
}
