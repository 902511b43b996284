/* The SQL of events of others that go on record. Used by on_*.c. */
#include "ra.h"

static const struct db_statement insert_heard = {
    "insert_heard", "WITH first_time AS (INSERT INTO ra.heard (event_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING event_id)"
                    " INSERT INTO audit.record (body) SELECT $2 FROM first_time"};

enum error
store_heard(struct ra *ra, struct request *rq, const char *event_id, const char *record)
{
    return DB_QUERY(ra->db, rq, &insert_heard, NULL, DB_TEXT(event_id), DB_TEXT(record));
}
