/*
 * Work that outlives a request: a row with a due time, an attempt counter and a lease. NATS or a wake-up only shortens the wait.
 *
 * The owner's table has the columns  due_at timestamptz, leased_until timestamptz, lease_holder text, attempts int  and a statement that takes
 * at most $1 rows for $2 seconds in the name of $3, by  UPDATE … WHERE id IN (SELECT … FOR UPDATE SKIP LOCKED) RETURNING … .
 * lease_open runs it, hands each row to `work` on a bounded pool, and repeats at once while rows come, else after a pause or lease_wake.
 * `work` ends the row itself (done, or due again later) in one statement guarded by the holder's name, so that a lease that ran out
 * cannot be ended by its late holder. A process that dies leaves its rows to the next taker when the lease runs out; one that lives, but
 * could not end its row, says lease_leave.
 *
 * With `renew`, leases are short, so that little is lost with who dies, and those of work that takes longer are renewed, all of them by one statement
 * each second. Work that is done within a second costs none. Who was held up so long that a lease of his ran out works on, as his successor does, and
 * what he says at the end counts for nothing.
 */
#ifndef SIGNET_LINK_LEASE_H
#define SIGNET_LINK_LEASE_H

#include "link/db.h"
#include "link/service.h"

struct lease;

/* A row of ours that is being worked on. */
struct kept_row {
    const char *id;
    int64_t since_ms;
    struct kept_row *next, **link;
};

struct lease_about {
    const char *name;                 /* for the log: "acme.validation" */
    const struct db_statement *take;  /* $1 int: how many, $2 int: seconds, $3 text: holder; with `renew`, its first column is the id, text */
    const struct db_statement *leave; /* $1 text[]: ids, $2 text: holder; gives up those leases. NULL: lease_leave is not called */
    const struct db_statement *renew; /* $1 text[]: ids, $2 int: seconds from now, $3 text: holder. NULL: leases are as long as the work */
    int seconds;                      /* length of a lease */
    int work_seconds;                 /* with `renew`: the deadline of the work; no lease is renewed beyond it */
    int threads;
    int pause_ms;
    void (*work)(void *context, struct request *rq, const struct db_rows *rows, size_t row); /* reports through rq->failure */
    void *context;
};

/* `ret_lease` is set before the first row is worked on. The drain finishes what was begun; a lease_wake after it does nothing. */
enum error lease_open(struct service *service, struct request *rq, struct db *db, const struct lease_about *about, struct lease **ret_lease)
    MUST_CHECK;
void lease_wake(struct lease *lease);
/* A row of ours could not be ended, for the database was away, and nobody here works on it any more. Its lease is given up as soon as the database is
 * back, by whoever has it then: nothing happens to a lease that has run out and is another's. */
void lease_leave(struct lease *lease, const char *id);
/* Work that no thread of the lease does, on a row that was taken in this holder's name: its lease is renewed from lease_keep to lease_let_go.
 * `ret_row` and `id` live until then. */
void lease_keep(struct lease *lease, const char *id, struct kept_row *ret_row);
void lease_let_go(struct lease *lease, struct kept_row *row);
const char *lease_holder(const struct lease *lease);

#endif
