/* The SQL of SCEP's RA certificates. */
#include "signer.h"

enum error
store_find_scep_ra(struct signer *signer, struct request *rq, const char *profile, const char *authority, bool *ret_found,
                   struct bytes *ret_certificate)
{
    static const struct db_statement find_scep_ra = {"find_scep_ra",
                                                     "SELECT certificate FROM ca.scep_ra_certificate WHERE profile = $1 AND authority = $2"
                                                     " AND certificate IS NOT NULL ORDER BY not_after DESC LIMIT 1"};
    struct db_rows *rows;

    enum error error = DB_QUERY(signer->db, rq, &find_scep_ra, &rows, DB_TEXT(profile), DB_TEXT(authority));
    if (error != OK)
        return error;
    *ret_found = db_count(rows) > 0;
    if (*ret_found)
        *ret_certificate = db_bytes(rows, 0, 0);
    return OK;
}

enum error
store_begin_scep_ra(struct signer *signer, struct request *rq, const char *profile, const char *authority, const struct certificate_plan *plan)
{
    static const struct db_statement begin_scep_ra = {
        "begin_scep_ra", "INSERT INTO ca.scep_ra_certificate (serial, profile, authority, not_before, not_after) VALUES ($1, $2, $3, $4, $5)"};

    return DB_QUERY(signer->db, rq, &begin_scep_ra, NULL, DB_BYTES(plan->serial), DB_TEXT(profile), DB_TEXT(authority), DB_TIME_S(plan->not_before_s),
                    DB_TIME_S(plan->not_after_s));
}

enum error
store_set_scep_ra(struct signer *signer, struct request *rq, struct bytes serial, struct bytes certificate)
{
    static const struct db_statement set_scep_ra = {"set_scep_ra",
                                                    "UPDATE ca.scep_ra_certificate SET certificate = $2 WHERE serial = $1 AND certificate IS NULL"};

    return DB_QUERY(signer->db, rq, &set_scep_ra, NULL, DB_BYTES(serial), DB_BYTES(certificate));
}
