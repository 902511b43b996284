/* What the store files share. */
#ifndef SIGNET_ACME_GW_STORE_H
#define SIGNET_ACME_GW_STORE_H

/* Whose an order is, is a filter on the one row that its id finds. With `=` a plan made while the tables were empty goes through all orders of the
 * account by the index that lists them, and stays in force for minutes after they have filled. */
#define ACCOUNT_IS "account_id IS NOT DISTINCT FROM "
/* What a row that its id finds must still be: of all that are in work there is an index, and with `=` such a plan goes through it from end to end. */
#define STATUS_IS_STILL(status_) "coalesce(status, '') = '" status_ "'"
/* What a policy approved beforehand looks valid, but nobody has proven it: it is worth nothing beyond its order. An attested device is worth
 * something for one key alone, and the next order has another. */
#define IS_PROVEN                                                                                                                                  \
    "a.status = 'valid' AND a.attested_key IS NULL AND (a.subdomains OR NOT EXISTS (SELECT FROM acme.orders p WHERE p.id = a.order_id AND a.name " \
    "= ANY (p.preapproved)))"
/* Of the wanted name w: the authorisation a is its own, or one at a domain above that holds for all names below (RFC 9444). */
#define COVERS_IT "a.name = ANY (string_to_array(w.covers, ' ')) AND (a.name = w.name OR a.subdomains)"
/* A proof that is about to run out is none to build an order on. */
#define AUTHORIZATION_REST "1 hour"

/* What must not go on is found where it is known, with each turn, and whenever the certificate is fetched or its order explained. Who revokes one of
 * the certificates that hold means their common key, also when it is not the present one any more. */
#define STAR_OBSTACLE                                                                                                                \
    "CASE WHEN o.status <> 'valid' THEN 'the order was canceled' WHEN k.status <> 'valid' THEN 'the account is not valid any more' " \
    "WHEN EXISTS (SELECT FROM acme.authorization a WHERE a.id = ANY (o.authorization_ids) AND a.status <> 'valid') "                 \
    "THEN 'an authorization of the order was given up' "                                                                             \
    "WHEN EXISTS (SELECT FROM acme.authorization a WHERE a.id = ANY (o.authorization_ids) AND a.proof_ends_at <= now()) "            \
    "THEN 'a proof of the order holds no longer' "                                                                                   \
    "WHEN EXISTS (SELECT FROM acme.star_certificate f JOIN ra.certificate_status c ON c.expiry_month = f.expiry_month AND "          \
    "c.serial = f.serial WHERE f.order_id = o.id AND c.revoked_at IS NOT NULL) "                                                     \
    "THEN 'a certificate of it was revoked by the operator of this server' END"

/* An order as store_order_of_row takes it, which wants a CSR behind. */
#define ORDER_COLUMNS                                                                                                                            \
    "o.id, o.account_id, o.status, array_to_string(o.names, ' '), array_to_string(o.authorization_ids, ' '), o.expires_at, o.finalized_at, "     \
    "o.client_address, o.problem, o.attempts, o.policy, array_to_string(o.preapproved, ' '), o.not_before, o.not_after, o.profile, o.replaces, " \
    "o.owner, o.principal, o.auto_renewal"
#define ORDER_COLUMN_COUNT 19

/* The place of a name in a table that begins at 1 and ends with NULL. */
int store_status(const char *const *names, const char *name);

#endif
