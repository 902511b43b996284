/*
 * ra: the registration authority, the only way to a signature.
 *
 * Serves:     signet.ra.enroll, .revoke, .withdraw, .explain, .approve, .list_pending
 * Calls:      signet.signer.sign_certificates, sign_audit_head, list_cas, list_templates
 * Announces:  signet.event.certificate.issued, signet.event.certificate.revoked (through ra.outbox)
 * Hears:      ca.created, configuration.changed, account.changed (durable: they go on record), NOTIFY ra_policy
 * Privileges: the database role `ra` (schemas ra and audit, deploy/database/grants.sql), the Ed25519 key of the warrants. No CA key.
 * On failure: an enrolment is an intent in the database before it is signed; whoever dies later leaves it to the client's repeat or to recover.c
 *             of any replica. Without database or signer every call answers "unavailable", and the process recovers by itself.
 */
#include "ra.h"

static const struct setting settings[] = {
    SETTING_TEXT(struct ra_config, warrant_key_file, "SIGNET_RA_WARRANT_KEY_FILE", NULL, "PEM file with the Ed25519 private key that signs warrants"),
    SETTING_NUMBER(struct ra_config, workers, "SIGNET_RA_WORKERS", "128", 1, 512,
                   "calls worked on at once; most of them wait for signer or database"),
    SETTING_NUMBER(struct ra_config, queue_limit, "SIGNET_RA_QUEUE", "512", 1, 65536, "calls that may wait for a worker; more are answered busy"),
    SETTING_NUMBER(struct ra_config, recover_after_s, "SIGNET_RA_RECOVER_AFTER", "15", 1, 86400,
                   "seconds after which an open intent is finished here"),
    SETTING_NUMBER(struct ra_config, seal_pause_ms, "SIGNET_RA_SEAL_PAUSE_MS", "300", 10, 60000,
                   "milliseconds between two looks for audit records to seal"),
    SETTING_NUMBER(struct ra_config, refresh_s, "SIGNET_RA_REFRESH", "5", 1, 3600, "seconds between two readings of CAs and templates"),
};

static const struct service_about about = {
    .name = "ra",
    .summary = "Authorises enrolments and revocations, records them, and has certificates signed.",
    .uses = USES_BUS | USES_DATABASE,
    .settings = settings,
    .setting_count = sizeof settings / sizeof settings[0],
};

static void
follow_events(struct ra *ra, struct request *rq)
{
    const struct events_follower followers[] = {
        {.durable = "ra-ca-created",
         .subject = "signet.event.ca.created",
         .type = &pb__ca_created__descriptor,
         .handle = on_ca_created,
         .context = ra},
        {.durable = "ra-configuration-changed",
         .subject = "signet.event.configuration.changed",
         .type = &pb__configuration_changed__descriptor,
         .handle = on_configuration_changed,
         .context = ra},
        {.durable = "ra-account-changed",
         .subject = "signet.event.account.changed",
         .type = &pb__account_changed__descriptor,
         .handle = on_account_changed,
         .context = ra},
    };

    for (size_t i = 0; i < sizeof followers / sizeof followers[0]; i++)
        service_must(ra->service, rq, events_follow(ra->bus, rq, &followers[i]));
}

int
main(int argc, char **argv)
{
    struct ra ra = {0};
    struct service *service = service_start(argc, argv, &about, &ra.config);
    AUTO_STRUCT(request, rq) = request_new();

    ra.service = service;
    service_must(service, rq, warrant_key_load(rq, ra.config.warrant_key_file, &ra.warrant_key));
    ra.bus = service_bus(service);
    ra.db = service_database(service);
    ra.policy = snapshot_slot_new();
    ra.directory = snapshot_slot_new();
    ra.commits = commit_queue_new(issue_batch, &ra);

    service_must(service, rq, outbox_open(service, rq, ra.bus, ra.db, "ra", &ra.outbox));
    service_must(service, rq, policy_follow(&ra, rq));
    directory_follow(&ra);
    seal_open(&ra);
    figures_follow(&ra);
    service_must(service, rq, recover_open(&ra, rq));
    service_must(service, rq, handlers_serve(&ra, rq));
    follow_events(&ra, rq);

    int code = service_run(service);
    commit_queue_free(ra.commits);
    snapshot_slot_free(ra.directory);
    snapshot_slot_free(ra.policy);
    warrant_key_free(ra.warrant_key);
    return code;
}
