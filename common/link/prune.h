/*
 * Rows that are only kept for a while, and who forgets them.
 *
 *     static const struct db_statement forget = {"forget_deliveries", PRUNE_ROWS("est.delivery", "delivered_at < now() - make_interval(days =>
 * $1)")}; est.prune = (struct prune){.db = est.db, .forget = &forget, .keep_days = est.config.keep_days}; prune_every_hour(service, "est.prune",
 * &est.prune);
 *
 * In small transactions, so that nobody waits for one; rows that somebody else holds are passed over, so that replicas share the work. What is left
 * over is the next turn's. Owner: the struct is the caller's, until the service has ended. Threads: any.
 */
#ifndef SIGNET_LINK_PRUNE_H
#define SIGNET_LINK_PRUNE_H

#include "link/db.h"
#include "link/service.h"

#define PRUNE_ROWS(table, which) \
    "DELETE FROM " table " WHERE ctid = ANY (ARRAY(SELECT ctid FROM " table " WHERE " which " LIMIT $2 FOR UPDATE SKIP LOCKED))"

struct prune {
    struct db *db;
    const struct db_statement *forget; /* $1 int: days that rows are kept, $2 int: rows at most */
    int keep_days;
};

void prune_every_hour(struct service *service, const char *name, struct prune *prune);
/* One turn: what may be forgotten now, up to a bound. */
enum error prune_now(struct prune *prune, struct request *rq, size_t *ret_count) MUST_CHECK;

#endif
