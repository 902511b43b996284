/*
 * What is known of a serial number now. Never issued is never "good" (RFC 6960 §2.2): a serial must have our form and its row in ra's
 * certificates, with this issuer, or be the serial of a CA certificate that this CA issued.
 */
#include "base/text.h"
#include "ocsp_responder.h"
#include "pki/serial.h"

static const struct db_statement select_status = {
    "select_status", "SELECT revoked_at, reason FROM ra.certificate_status WHERE expiry_month = $1 AND serial = $2 AND issuer = $3"};

/* NULL: it is none. */
static const struct sub_ca *
find_sub_ca(const struct issuer *issuer, struct bytes serial)
{
    size_t i;

    for (i = 0; i < issuer->sub_ca_count; i++)
        if (bytes_equal(issuer->sub_cas[i].serial, serial))
            return &issuer->sub_cas[i];
    return NULL;
}

static enum error
status_load(struct responder *responder, struct request *rq, const struct issuer *issuer, struct bytes serial, struct status *ret_status)
{
    const struct sub_ca *sub_ca = find_sub_ca(issuer, serial);
    struct status status = {.status = OCSP_UNKNOWN};
    struct db_rows *rows;
    enum error error;
    int month;

    if (sub_ca != NULL) {
        status = (struct status){.status = OCSP_GOOD};
        if (sub_ca->revoked_at_s != 0)
            status = (struct status){.status = OCSP_REVOKED, .revoked_at_s = sub_ca->revoked_at_s, .reason = sub_ca->reason};
        *ret_status = status;
        return OK;
    }
    if (!serial_parse(serial, &month)) {
        *ret_status = status;
        return OK;
    }
    error = DB_QUERY(responder->db, rq, &select_status, &rows, DB_INT(month), DB_BYTES(serial), DB_TEXT(issuer->name));
    if (error)
        return error;
    if (db_count(rows) > 0) {
        status.status = db_is_null(rows, 0, 0) ? OCSP_GOOD : OCSP_REVOKED;
        status.revoked_at_s = db_time_s(rows, 0, 0);
        status.reason = (int)db_int(rows, 0, 1);
    }
    *ret_status = status;
    return OK;
}

enum error
status_load_all(struct responder *responder, struct request *rq, const struct ocsp_request *request, const struct issuer **ret_issuer,
                struct status *ret_statuses)
{
    const struct issuer *first = NULL;
    size_t i;

    for (i = 0; i < request->id_count; i++) {
        const struct issuer *issuer = issuers_match(responder->issuers, rq, &request->ids[i]);
        enum error error;

        if (issuer == NULL)
            return fail(rq, ERR_NOT_FOUND, "none of our CAs issued this certificate");
        if (first != NULL && !text_equal(issuer->name, first->name))
            return fail(rq, ERR_NOT_FOUND, "the certificates asked for are not all of one CA");
        first = issuer;
        error = status_load(responder, rq, issuer, request->ids[i].serial, &ret_statuses[i]);
        if (error)
            return error;
    }
    *ret_issuer = first;
    return OK;
}
