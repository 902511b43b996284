/* The SQL of templates. Versions are only ever added. */
#include "signer.h"

#include <string.h>

#include "base/text.h"

#define TEMPLATE_COLUMNS                                                                                                                           \
    "name, version, description, enabled, validity_days, key_types, min_rsa_bits, key_usage, extended_key_usage, is_ca, path_length, name_types, " \
    "san_required, subject, requires_approval, issuer, include_ocsp, include_crl, include_aia, backdate_s, max_names"

static const struct db_statement list_newest = {"list_newest_templates", "SELECT DISTINCT ON (name) " TEMPLATE_COLUMNS
                                                                         " FROM ca.template WHERE $1 = '' OR name = $1 ORDER BY name, version DESC"};
static const struct db_statement list_version = {"list_template_version",
                                                 "SELECT " TEMPLATE_COLUMNS " FROM ca.template WHERE name = $1 AND version = $2"};

static const char *const name_type_names[] = {
    [PB__NAME_TYPE__NAME_TYPE_DNS] = "dns",
    [PB__NAME_TYPE__NAME_TYPE_IP] = "ip",
    [PB__NAME_TYPE__NAME_TYPE_EMAIL] = "email",
    [PB__NAME_TYPE__NAME_TYPE_URI] = "uri",
    [PB__NAME_TYPE__NAME_TYPE_PERMANENT_IDENTIFIER] = "permanent-identifier",
    [PB__NAME_TYPE__NAME_TYPE_HARDWARE_MODULE] = "hardware-module",
    [PB__NAME_TYPE__NAME_TYPE_UPN] = "upn",
};
#define NAME_TYPE_MOST PB__NAME_TYPE__NAME_TYPE_UPN

static Pb__NameType
name_type_of(const char *name)
{
    for (Pb__NameType type = PB__NAME_TYPE__NAME_TYPE_DNS; type <= NAME_TYPE_MOST; type++)
        if (text_equal(name_type_names[type], name))
            return type;
    return PB__NAME_TYPE__NAME_TYPE_UNSPECIFIED;
}

static void
read_name_types(struct request *rq, const struct db_rows *rows, size_t row, size_t column, Pb__Template *template)
{
    const char *const *names;

    template->n_name_types = db_text_array(rows, row, column, &names);
    template->name_types = arena_array(rq->arena, template->n_name_types, sizeof *template->name_types);
    for (size_t i = 0; i < template->n_name_types; i++)
        template->name_types[i] = name_type_of(names[i]);
}

static size_t
read_texts(const struct db_rows *rows, size_t row, size_t column, const char ***ret_texts)
{
    const char *const *texts;
    size_t count = db_text_array(rows, row, column, &texts);

    *ret_texts = (const char **)texts;
    return count;
}

static Pb__Template *
read_template(struct request *rq, const struct db_rows *rows, size_t row)
{
    Pb__Template *template = arena_alloc(rq->arena, sizeof *template);
    size_t column = 0;

    pb__template__init(template);
    template->name = db_text(rows, row, column++);
    template->version = (uint32_t)db_int(rows, row, column++);
    template->description = db_text(rows, row, column++);
    template->enabled = db_bool(rows, row, column++);
    template->validity_days = (uint32_t)db_int(rows, row, column++);
    template->n_key_types = read_texts(rows, row, column++, &template->key_types);
    template->min_rsa_bits = (uint32_t)db_int(rows, row, column++);
    template->n_key_usage = read_texts(rows, row, column++, &template->key_usage);
    template->n_extended_key_usage = read_texts(rows, row, column++, &template->extended_key_usage);
    template->is_ca = db_bool(rows, row, column++);
    template->path_length = (int32_t)db_int(rows, row, column++);
    read_name_types(rq, rows, row, column++, template);
    template->san_required = db_bool(rows, row, column++);
    template->subject = db_text(rows, row, column++);
    template->requires_approval = db_bool(rows, row, column++);
    template->issuer = db_text(rows, row, column++);
    template->include_ocsp = db_bool(rows, row, column++);
    template->include_crl = db_bool(rows, row, column++);
    template->include_aia = db_bool(rows, row, column++);
    template->backdate_s = (uint32_t)db_int(rows, row, column++);
    template->max_names = (uint32_t)db_int(rows, row, column++);
    return template;
}

enum error
store_list_templates(struct db *db, struct request *rq, const char *name, uint32_t version, Pb__Template ***ret_templates, size_t *ret_count)
{
    struct db_rows *rows;
    enum error error;

    if (version == 0)
        error = DB_QUERY(db, rq, &list_newest, &rows, DB_TEXT(name));
    else
        error = DB_QUERY(db, rq, &list_version, &rows, DB_TEXT(name), DB_INT((int32_t)version));
    if (error != OK)
        return error;
    size_t count = db_count(rows);
    Pb__Template **templates = arena_array(rq->arena, count, sizeof(Pb__Template *));
    for (size_t i = 0; i < count; i++)
        templates[i] = read_template(rq, rows, i);
    *ret_templates = templates;
    *ret_count = count;
    return OK;
}

enum error
store_list_disabled_templates(struct db *db, struct request *rq, const char *const **ret_names, size_t *ret_count)
{
    static const struct db_statement list_disabled = {
        "list_disabled_templates",
        "SELECT coalesce(array_agg(name), '{}') FROM (SELECT DISTINCT ON (name) name, enabled FROM ca.template ORDER BY name, version DESC) AS newest"
        " WHERE NOT enabled"};
    struct db_rows *rows;
    enum error error = DB_QUERY0(db, rq, &list_disabled, &rows);

    if (error != OK)
        return error;
    *ret_count = db_text_array(rows, 0, 0, ret_names);
    return OK;
}

/* Two imports at one moment: the second is refused by the primary key, as a conflict. */
static const struct db_statement add_template = {
    "add_template", "INSERT INTO ca.template (" TEMPLATE_COLUMNS ") "
                    "SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20 "
                    "FROM ca.template WHERE name = $1 RETURNING version"};

enum error
store_add_template(struct db *db, struct request *rq, const Pb__Template *template, uint32_t *ret_version)
{
    const char **name_types = arena_array(rq->arena, template->n_name_types, sizeof(const char *));
    struct db_rows *rows;

    for (size_t i = 0; i < template->n_name_types; i++)
        name_types[i] = name_type_names[template->name_types[i]];
    enum error error =
        DB_QUERY(db, rq, &add_template, &rows, DB_TEXT(template->name), DB_TEXT(template->description), DB_BOOL(template->enabled),
                 DB_INT((int32_t) template->validity_days), DB_TEXT_ARRAY(template->key_types, template->n_key_types),
                 DB_INT((int32_t) template->min_rsa_bits), DB_TEXT_ARRAY(template->key_usage, template->n_key_usage),
                 DB_TEXT_ARRAY(template->extended_key_usage, template->n_extended_key_usage), DB_BOOL(template->is_ca), DB_INT(template->path_length),
                 DB_TEXT_ARRAY(name_types, template->n_name_types), DB_BOOL(template->san_required), DB_TEXT(template->subject),
                 DB_BOOL(template->requires_approval), DB_TEXT(template->issuer), DB_BOOL(template->include_ocsp), DB_BOOL(template->include_crl),
                 DB_BOOL(template->include_aia), DB_INT((int32_t) template->backdate_s), DB_INT((int32_t) template->max_names));
    if (error != OK)
        return error;
    *ret_version = (uint32_t)db_int(rows, 0, 0);
    return OK;
}
