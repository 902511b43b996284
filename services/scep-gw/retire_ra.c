/*
 * The key of a profile's RA lives on the token, and shall not outlive the profile. Deleting the profile leaves a row that says so; one replica leases
 * it at a time and has the signer destroy the key, until that is done. Asking twice harms nothing, so this may die anywhere.
 */
#include "link/lease.h"
#include "link/rpc.h"
#include "scep.h"

#define LEASE_S 60
#define PAUSE_MS 3000
#define DELAY_S 15 /* when the signer or the token is away, times the attempts */
#define DELAY_MOST_S 600

static enum error
destroy(struct scep *scep, struct request *rq, const char *ra, const char *operator_)
{
    Pb__DestroyScepRaRequest input = PB__DESTROY_SCEP_RA_REQUEST__INIT;
    const Pb__DestroyScepRaReply *reply;

    input.profile = ra;
    input.operator_ = operator_;
    enum error error = RPC_CALL(scep->bus, rq, signer, DestroyScepRa, &input, &reply);
    if (error == OK)
        request_note(rq, "destroyed", "%s", reply->destroyed ? "now" : "before");
    return error;
}

static void
work(void *context, struct request *rq, const struct db_rows *rows, size_t row)
{
    struct scep *scep = context;
    const char *ra = db_text(rows, row, 0), *holder = db_text(rows, row, 2);
    int64_t delay_s = db_int(rows, row, 3) * DELAY_S;

    request_note(rq, "ra", "%s", ra);
    /* What cannot be written down is done again when the lease has run out. */
    if (destroy(scep, rq, ra, db_text(rows, row, 1)) == OK && store_forget_retired_ra(scep, rq, ra, holder) == OK)
        return;
    struct failure why = rq->failure;
    failure_clear(rq);
    if (store_delay_retired_ra(scep, rq, ra, holder, (int)(delay_s < DELAY_MOST_S ? delay_s : DELAY_MOST_S)) == OK)
        rq->failure = why;
}

enum error
retire_ras(struct service *service, struct request *rq, struct scep *scep)
{
    const struct lease_about about = {.name = "scep.retired_ra",
                                      .take = &store_take_retired_ras,
                                      .seconds = LEASE_S,
                                      .threads = 1,
                                      .pause_ms = PAUSE_MS,
                                      .work = work,
                                      .context = scep};

    return lease_open(service, rq, scep->db, &about, &scep->retired_ras);
}
