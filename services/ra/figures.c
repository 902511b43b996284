/* What operators see: counters and gauges under /metrics, and the lag in `signetctl status`. Labels come from bounded sets only. */
#include "ra.h"

#define FIGURES_PAUSE_MS 5000

/* RFC 5280 §5.3.1, by number; revoke.c lets no other in. */
static const char *const reasons[] = {
    [0] = "unspecified",          [1] = "keyCompromise",   [2] = "cACompromise",       [3] = "affiliationChanged", [4] = "superseded",
    [5] = "cessationOfOperation", [6] = "certificateHold", [9] = "privilegeWithdrawn", [10] = "aACompromise",
};

/* Templates are named by administrators, so there are few. A metric with the same labels is the same object. */
void
figures_issued(const char *template)
{
    metric_add(metric_counter("signet_ra_issued_total", "certificates issued", "template", template), 1);
}

void
figures_refused(enum error kind)
{
    metric_add(metric_counter("signet_ra_refused_total", "enrolments that got no certificate, by kind of error", "kind", error_name(kind)), 1);
}

void
figures_revoked(int reason)
{
    metric_add(metric_counter("signet_ra_revoked_total", "certificates revoked", "reason", reasons[reason]), 1);
}

void
figures_signed(int64_t us)
{
    metric_observe_us(metric_histogram("signet_ra_sign_seconds", "from the warrant to the signer's answer", NULL, NULL), us);
}

static void
turn(void *context, struct request *rq)
{
    struct ra *ra = context;
    struct counts counts;

    if (store_count(ra, rq, &counts) != OK)
        return;
    metric_set(metric_gauge("signet_ra_open_intents", "intents without an end yet", NULL, NULL), counts.open_intents);
    metric_set(metric_gauge("signet_ra_unsealed_records", "audit records not yet in the chain", NULL, NULL), counts.unsealed_records);
}

void
figures_follow(struct ra *ra)
{
    service_every(ra->service, "ra.figures", FIGURES_PAUSE_MS, turn, ra);
}
