/* Called by a loop of the service; see the header. */
#include "link/prune.h"

#define PAUSE_MS (60 * 60 * 1000)
#define BATCH_ROWS 1000
#define BATCHES_MOST 1000 /* in one turn */

enum error
prune_now(struct prune *prune, struct request *rq, size_t *ret_count)
{
    size_t count = 0;

    for (int batch = 0; batch < BATCHES_MOST; batch++) {
        AUTO_STRUCT(request, own) = request_new(); /* a long backlog needs no more memory than a short one */
        struct db_rows *rows;
        enum error error = DB_QUERY(prune->db, own, prune->forget, &rows, DB_INT(prune->keep_days), DB_INT(BATCH_ROWS));
        if (error) {
            rq->failure = own->failure;
            return error;
        }
        count += db_affected(rows);
        if (db_affected(rows) < BATCH_ROWS)
            break;
    }
    *ret_count = count;
    return OK;
}

static void
turn(void *context, struct request *rq)
{
    size_t count = 0;

    if (prune_now(context, rq, &count) == OK && count > 0)
        request_note(rq, "forgotten", "%zu", count);
}

void
prune_every_hour(struct service *service, const char *name, struct prune *prune)
{
    (void)service_every(service, name, PAUSE_MS, turn, prune);
}
