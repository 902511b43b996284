/* Certificates as the database knows them: to deliver, to renew, to be replaced. They are ra's; an order only names one. */
#include "acme.h"

#include <string.h>

#include "store.h"

static const struct db_statement load_certificate = {
    "load_certificate", "SELECT i.certificate, ARRAY(SELECT c.pem FROM acme.chain c JOIN unnest(o.chain_sha256 || o.alternate_chains) WITH "
                        "ORDINALITY AS u (sha256, place) ON u.sha256 = c.sha256 ORDER BY u.place) FROM acme.orders o JOIN ra.issued_certificate i "
                        "ON i.expiry_month = o.expiry_month AND i.serial = o.serial WHERE o.id = $1 AND o." ACCOUNT_IS
                        "$2 AND o.status = 'valid' AND o.auto_renewal IS NULL"};
static const struct db_statement load_known = {
    "load_known", "SELECT i.certificate, i.issuer, s.revoked_at IS NOT NULL, i.account_id, i.issued_at FROM ra.issued_certificate i "
                  "LEFT JOIN ra.certificate_status s ON s.expiry_month = i.expiry_month AND s.serial = i.serial "
                  "WHERE i.expiry_month = $1 AND i.serial = $2"};
/* Both halves go by the index of selections. $4: all that the `name` of a window can be. */
static const struct db_statement find_renewal_window = {
    "find_renewal_window",
    "SELECT w.starts_at, w.ends_at, w.explanation FROM (SELECT * FROM acme.renewal_window WHERE serial = $3 AND name = ANY ($4) "
    "UNION ALL SELECT * FROM acme.renewal_window WHERE serial IS NULL AND name = ANY ($4)) AS w "
    "WHERE w.issued_before > $1 AND w.issuer IN ('', $2) ORDER BY w.id DESC LIMIT 1"};

enum error
store_load_certificate(struct acme *acme, struct request *rq, const char *account_id, const char *order_id, struct bytes *ret_leaf,
                       const char *const **ret_chain_pem, size_t *ret_chain_count)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &load_certificate, &rows, DB_TEXT(order_id), DB_TEXT(account_id));
    if (error)
        return error;
    if (db_count(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no such certificate of this account");
    *ret_leaf = db_bytes(rows, 0, 0);
    *ret_chain_count = db_text_array(rows, 0, 1, ret_chain_pem);
    return OK;
}

enum error
store_load_known(struct acme *acme, struct request *rq, int expiry_month, struct bytes serial, struct known_certificate *ret_known)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &load_known, &rows, DB_INT(expiry_month), DB_BYTES(serial));
    if (error)
        return error;
    if (db_count(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no such certificate");
    *ret_known = (struct known_certificate){.der = db_bytes(rows, 0, 0),
                                            .issuer = db_text(rows, 0, 1),
                                            .is_revoked = db_bool(rows, 0, 2),
                                            .account_id = db_text(rows, 0, 3),
                                            .issued_at_s = db_time_s(rows, 0, 4)};
    return OK;
}

/* Those of the certificate and all names above them; "", which is any name. */
static const char **
names_of_windows(struct arena *arena, const struct identifier *names, size_t name_count, size_t *ret_count)
{
    size_t most = 1, count = 0;

    for (size_t i = 0; i < name_count; i++)
        most += 1 + strlen(names[i].value);
    const char **found = arena_array(arena, most, sizeof *found);
    found[count++] = "";
    for (size_t i = 0; i < name_count; i++) {
        found[count++] = names[i].value;
        for (const char *dot = strchr(names[i].value, '.'); dot != NULL; dot = strchr(dot + 1, '.'))
            found[count++] = dot + 1;
    }
    *ret_count = count;
    return found;
}

enum error
store_find_renewal_window(struct acme *acme, struct request *rq, const struct known_certificate *known, struct renewal_window *window)
{
    struct identifier *names = NULL;
    size_t count = 0;
    struct db_rows *rows;

    enum error error = certificate_names(rq, &known->certificate, &names, &count);
    if (error)
        return error;
    const char **values = names_of_windows(rq->arena, names, count, &count);
    /* Not since notBefore, which is earlier for clocks that are late: a replacement would be replaced again. */
    error = DB_QUERY(acme->db, rq, &find_renewal_window, &rows, DB_TIME_S(known->issued_at_s), DB_TEXT(known->issuer),
                     DB_BYTES(known->certificate.serial), DB_TEXT_ARRAY(values, count));
    if (error || db_count(rows) == 0)
        return error;
    *window = (struct renewal_window){.starts_s = db_time_s(rows, 0, 0), .ends_s = db_time_s(rows, 0, 1), .explanation = db_text(rows, 0, 2)};
    return OK;
}
