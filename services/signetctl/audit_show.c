/* audit show: the newest records of the audit log, for people as a table, with --json as they are stored. Whether they are whole, `audit verify`
 * says. */
#include <string.h>

#include "base/text.h"
#include "signetctl.h"

#define RECORDS_USUAL 50
#define RECORDS_MAX 10000

static const struct db_statement select_newest = {
    "select_newest", "SELECT position, body FROM audit.record WHERE $1 = '' OR starts_with(body::jsonb ->> 'action', $1) ORDER BY id DESC LIMIT $2"};

static const char *
member(const json_t *record, const char *name)
{
    const char *text = json_string_value(json_object_get(record, name));
    return text == NULL ? "" : text;
}

static void
put_all(struct buffer *to, const json_t *texts, const char *between)
{
    for (size_t i = 0; i < json_array_size(texts); i++)
        buffer_append_format(to, "%s%s", i > 0 ? between : "", json_string_value(json_array_get(texts, i)));
}

static void
put_member(struct buffer *to, const char *before, const json_t *record, const char *name)
{
    if (json_object_get(record, name) != NULL)
        buffer_append_format(to, "%s%s", before, member(record, name));
}

/* An ACME account, with the key that it has now and where that comes from. */
static void
put_account(struct buffer *to, const json_t *record)
{
    buffer_append_format(to, "account %s", member(record, "account"));
    put_member(to, " key ", record, "key_thumbprint");
    put_member(to, " before ", record, "former_thumbprint");
    put_member(to, " policy ", record, "policy");
    put_member(to, " eab ", record, "eab");
    put_member(to, " from ", record, "client");
    if (json_object_get(record, "contacts") != NULL || json_object_get(record, "former_contacts") != NULL) {
        buffer_append_text(to, " contacts ");
        put_all(to, json_object_get(record, "contacts"), ",");
    }
    if (json_object_get(record, "former_contacts") != NULL) {
        buffer_append_text(to, " before ");
        put_all(to, json_object_get(record, "former_contacts"), ",");
    }
}

/* What the record is about: a thing that was changed, an account, or a certificate by its names; and what was said of it. */
static const char *
subject(struct arena *arena, const json_t *record)
{
    struct buffer text = buffer_in(arena);

    if (json_object_get(record, "what") != NULL) {
        buffer_append_format(&text, "%s %s %s", member(record, "what"), member(record, "name"), member(record, "done"));
        buffer_append_text(&text, json_object_get(record, "changes") == NULL ? "" : ": ");
        put_all(&text, json_object_get(record, "changes"), "; ");
    } else if (json_object_get(record, "account") != NULL) {
        put_account(&text, record);
    } else {
        put_all(&text, json_object_get(record, "names"), ",");
        if (json_object_get(record, "serial") != NULL)
            buffer_append_format(&text, "%s%s", text.len > 0 ? " " : "", member(record, "serial"));
    }
    if (json_object_get(record, "not_granted") != NULL)
        buffer_append_format(&text, "; not granted: %s", member(record, "not_granted"));
    if (json_object_get(record, "message") != NULL)
        buffer_append_format(&text, "%s%s", text.len > 0 ? ": " : "", member(record, "message"));
    return buffer_text(&text);
}

static void
add_record(struct request *rq, struct table *table, const void *element)
{
    const json_t *one = element, *record = json_object_get(one, "record");
    const char *by = member(record, "operator");
    const char *const cells[] = {member(one, "position"),  member(record, "at"),
                                 member(record, "action"), by[0] != '\0' ? by : member(record, "principal"),
                                 member(record, "result"), subject(rq->arena, record)};
    table_row(table, cells);
}

/* What is as long as a change may be stands last: before another column it would push that out of everybody's sight. */
static const struct listing records = {.heads = {"POSITION", "AT", "ACTION", "WHO", "RESULT", "WHAT"}, .add_row = add_record};

/* [{"position": "17", "record": {…}}, …]; what the sealer has not come to yet has no position. */
static json_t *
read_records(struct request *rq, const struct db_rows *rows)
{
    json_t *list = json_array();

    for (size_t i = 0; i < db_count(rows); i++) {
        const char *position = db_is_null(rows, i, 0) ? "" : arena_format(rq->arena, "%lld", (long long)db_int(rows, i, 0));
        json_array_append_new(list, json_pack("{s:s, s:o}", "position", position, "record", json_loads(db_text(rows, i, 1), 0, NULL)));
    }
    return list;
}

enum error
audit_show(struct ctl *ctl, struct request *rq)
{
    struct db_rows *rows;
    int64_t limit = 0;

    enum error error = argument_number(ctl, rq, "limit", 1, RECORDS_MAX, RECORDS_USUAL, &limit);
    if (!error)
        error = ctl_database(ctl, rq);
    if (!error)
        error = DB_QUERY(ctl->db, rq, &select_newest, &rows, DB_TEXT(argument_or(ctl, "action", "")), DB_INT(limit));
    if (error)
        return error;
    AUTO(json_t, list) = read_records(rq, rows);
    const void **elements = arena_array(rq->arena, json_array_size(list), sizeof *elements);
    for (size_t i = 0; i < json_array_size(list); i++)
        elements[i] = json_array_get(list, i);
    if (ctl->json)
        json_print(json_incref(list));
    else
        list_print(rq, &records, elements, json_array_size(list));
    return OK;
}
