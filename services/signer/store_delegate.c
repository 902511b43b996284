/* The SQL of delegated certificates: OCSP responders and SCEP's RAs. */
#include "signer.h"

static void
take_newest(const struct db_rows *rows, bool *ret_found, struct bytes *ret_certificate)
{
    *ret_found = db_count(rows) > 0;
    if (*ret_found)
        *ret_certificate = db_bytes(rows, 0, 0);
}

/* ---- OCSP responders ---- */

enum error
store_find_responder(struct signer *signer, struct request *rq, const struct delegate_place *place, bool *ret_found, struct bytes *ret_certificate)
{
    static const struct db_statement find_responder = {
        "find_responder",
        "SELECT certificate FROM ca.responder_certificate WHERE authority = $1 AND certificate IS NOT NULL ORDER BY not_after DESC LIMIT 1"};
    struct db_rows *rows;

    enum error error = DB_QUERY(signer->db, rq, &find_responder, &rows, DB_TEXT(place->authority->row.name));
    if (error != OK)
        return error;
    take_newest(rows, ret_found, ret_certificate);
    return OK;
}

enum error
store_begin_responder(struct signer *signer, struct request *rq, const struct delegate_place *place, const struct certificate_plan *plan)
{
    static const struct db_statement begin_responder = {
        "begin_responder", "INSERT INTO ca.responder_certificate (serial, authority, not_before, not_after) VALUES ($1, $2, $3, $4)"};

    return DB_QUERY(signer->db, rq, &begin_responder, NULL, DB_BYTES(plan->serial), DB_TEXT(place->authority->row.name),
                    DB_TIME_S(plan->not_before_s), DB_TIME_S(plan->not_after_s));
}

enum error
store_set_responder(struct signer *signer, struct request *rq, struct bytes serial, struct bytes certificate)
{
    static const struct db_statement set_responder = {
        "set_responder", "UPDATE ca.responder_certificate SET certificate = $2 WHERE serial = $1 AND certificate IS NULL"};

    return DB_QUERY(signer->db, rq, &set_responder, NULL, DB_BYTES(serial), DB_BYTES(certificate));
}

/* ---- SCEP's RAs ---- */

enum error
store_find_scep_ra(struct signer *signer, struct request *rq, const struct delegate_place *place, bool *ret_found, struct bytes *ret_certificate)
{
    static const struct db_statement find_scep_ra = {"find_scep_ra",
                                                     "SELECT certificate FROM ca.scep_ra_certificate WHERE profile = $1 AND authority = $2"
                                                     " AND certificate IS NOT NULL ORDER BY not_after DESC LIMIT 1"};
    struct db_rows *rows;

    enum error error = DB_QUERY(signer->db, rq, &find_scep_ra, &rows, DB_TEXT(place->name), DB_TEXT(place->authority->row.name));
    if (error != OK)
        return error;
    take_newest(rows, ret_found, ret_certificate);
    return OK;
}

enum error
store_begin_scep_ra(struct signer *signer, struct request *rq, const struct delegate_place *place, const struct certificate_plan *plan)
{
    static const struct db_statement begin_scep_ra = {
        "begin_scep_ra", "INSERT INTO ca.scep_ra_certificate (serial, profile, authority, not_before, not_after) VALUES ($1, $2, $3, $4, $5)"};

    return DB_QUERY(signer->db, rq, &begin_scep_ra, NULL, DB_BYTES(plan->serial), DB_TEXT(place->name), DB_TEXT(place->authority->row.name),
                    DB_TIME_S(plan->not_before_s), DB_TIME_S(plan->not_after_s));
}

enum error
store_set_scep_ra(struct signer *signer, struct request *rq, struct bytes serial, struct bytes certificate)
{
    static const struct db_statement set_scep_ra = {"set_scep_ra",
                                                    "UPDATE ca.scep_ra_certificate SET certificate = $2 WHERE serial = $1 AND certificate IS NULL"};

    return DB_QUERY(signer->db, rq, &set_scep_ra, NULL, DB_BYTES(serial), DB_BYTES(certificate));
}
