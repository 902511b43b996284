/*
 * Who makes a CRL, and when. A CA's row in crl.schedule is leased, so at most one signing is in flight for it among all replicas, and a replica that
 * dies leaves the row to the next when the lease runs out; one that still works renews it.
 *
 * `wanted` counts the demands, and the row that is taken tells how many there were: all of these are met by the CRL that is signed after that. A
 * revocation that comes during the signing counts one more, so another signing follows. The delay makes a burst of revocations few CRLs.
 */
#include "base/clock.h"
#include "crl_publisher.h"

/* What a dead holder had begun is late by this much. */
#define LEASE_S 5
/* Signing takes milliseconds; a million entries 8 seconds, or minutes on slow machines. What a dead signer had begun is late by as much as it was
 * given, for nobody tells of its death: so it is given what the last one took, and some. */
#define WORK_LEAST_MS 20000
#define TIMES_THE_LAST 3
#define WORK_MOST_S 300
#define DOUBLINGS_MOST 5
#define LEASE_PAUSE_MS 1000
#define ALARM_PAUSE_MS 60000
#define BACK_OFF_MS 1000
#define BACK_OFF_MOST_MS 15000

/* Without one, the pause of the lease does it, a moment later. */
static void
set_alarm(struct publisher *publisher)
{
    struct service_loop *alarm = publisher->alarm;

    atomic_store(&publisher->alarm_set, true);
    if (alarm != NULL)
        service_wake(alarm);
}

/* Wakes the lease when the delay of a demand is over. A demand that comes meanwhile sets it once more. */
static void
alarm_turn(void *context, struct request *rq)
{
    struct publisher *publisher = context;
    struct lease *lease = publisher->lease;

    if (!atomic_exchange(&publisher->alarm_set, false) || lease == NULL)
        return;
    clock_sleep_ms(publisher->config.delay_ms);
    lease_wake(lease);
}

void
schedule_open(struct publisher *publisher, struct service *service, struct request *rq)
{
    struct lease *lease;

    service_must(service, rq,
                 lease_open(service, rq, publisher->db,
                            &(struct lease_about){.name = "crl.schedule",
                                                  .take = &store_take_due,
                                                  .renew = &store_renew_due,
                                                  .seconds = LEASE_S,
                                                  .work_seconds = WORK_MOST_S,
                                                  .threads = publisher->config.workers,
                                                  .pause_ms = LEASE_PAUSE_MS,
                                                  .work = schedule_work,
                                                  .context = publisher},
                            &lease));
    publisher->lease = lease;
    publisher->alarm = service_every(service, "crl alarm", ALARM_PAUSE_MS, alarm_turn, publisher);
}

enum error
schedule_soon(struct publisher *publisher, struct request *rq, const char *const *issuers, size_t count)
{
    enum error error = store_want_soon(publisher, rq, issuers, count);

    if (error)
        return error;
    set_alarm(publisher);
    return OK;
}

static int
back_off_ms(int attempts)
{
    int shift = attempts < 1 ? 0 : attempts > 5 ? 4 : attempts - 1;
    int ms = BACK_OFF_MS << shift;

    return ms > BACK_OFF_MOST_MS ? BACK_OFF_MOST_MS : ms;
}

/* Twice as long after each failure: there may be many more entries now. */
static int64_t
work_ms(const struct due_crl *due)
{
    int failures = due->attempts - 1;
    int64_t ms = (WORK_LEAST_MS + due->last.took_s * TIMES_THE_LAST * 1000) << (failures > DOUBLINGS_MOST ? DOUBLINGS_MOST : failures);

    return ms > WORK_MOST_S * INT64_C(1000) ? WORK_MOST_S * INT64_C(1000) : ms;
}

/* Numbers must go on from what relying parties have seen, even when the database is an older copy of itself. */
static void
go_on_from_memory(struct publisher *publisher, struct due_crl *due)
{
    struct crl_number served = shelf_number(publisher->shelf, due->issuer);

    if (crl_number_compare(&served, &due->last.number) > 0)
        due->last.number = served;
}

static enum error
renew_and_store(struct publisher *publisher, struct request *rq, const struct due_crl *due)
{
    struct new_crl new;
    bool again;
    enum error error = renew_crl(publisher, rq, due->issuer, due->certificate, &due->last, &new);

    if (!error)
        error = store_replace(publisher, rq, due, &new, &again);
    if (error)
        return error;
    request_note(rq, "number", "%s", bytes_hex(rq->arena, new.crl.number, 0));
    request_note(rq, "entries", "%zu", new.crl.entry_count);
    request_note(rq, "next_update", "%s", clock_format_rfc3339(rq->arena, new.crl.next_update_s));
    if (again)
        set_alarm(publisher);
    return OK;
}

void
schedule_work(void *context, struct request *rq, const struct db_rows *rows, size_t row)
{
    struct publisher *publisher = context;
    struct due_crl due = store_due_of_row(rows, row);
    enum error error;

    request_note(rq, "issuer", "%s", due.issuer);
    go_on_from_memory(publisher, &due);
    rq->deadline_ms = clock_monotonic_ms() + work_ms(&due);
    error = renew_and_store(publisher, rq, &due);
    if (error == OK) {
        metric_add(metric_counter("signet_crl_published_total", "CRLs made and stored", "issuer", due.issuer), 1);
        return;
    }
    metric_add(metric_counter("signet_crl_failures_total", "CRLs that could not be made", "kind", error_name(error)), 1);
    request_note(rq, "attempts", "%d", due.attempts);
    {
        /* Of its own, for the row must be told of the failure whatever it was; without a database the lease runs out. */
        AUTO_STRUCT(request, ending) = request_new();
        if (store_postpone(publisher, ending, &due, back_off_ms(due.attempts), rq->failure.message) != OK)
            request_note(rq, "postponed", "no: %s", ending->failure.message);
    }
}
