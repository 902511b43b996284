/*
 * signer: owns the HSM and every CA key.
 *
 * Serves:     signet.signer.sign_certificates, .sign_crl, .sign_ocsp, .sign_audit_head, .create_ca, .import_ca, .list_cas, .list_templates,
 *             .import_template, .get_scep_ra, .open_scep_envelope, .sign_scep_reply, .sign_scep_next_ca, .destroy_scep_ra, .name_successor
 * Calls:      nobody
 * Announces:  ca.created, configuration.changed
 * Hears:      nothing; NOTIFY ca_changed of its own schema, so that all replicas forget what they cached
 * Privileges: the schema ca, and the view ra.revoked_serial; the token, through hsm-worker children, which alone load the PKCS#11 module
 * On failure: nothing is signed that was not stored before, and nothing leaves that does not verify. Without the HSM it is unready with the reason
 * and recovers by itself; a wrong PIN waits for a new PIN file, or for SIGHUP
 */
#include <signal.h>

#include "base/config.h"
#include "link/rpc.h"
#include "link/service.h"
#include "signer.h"

static const struct setting settings[] = {
    SETTING_TEXT(struct signer_config, hsm_module, "SIGNET_HSM_MODULE", "/usr/lib/softhsm/libsofthsm2.so", "the PKCS#11 module"),
    SETTING_TEXT(struct signer_config, hsm_token, "SIGNET_HSM_TOKEN", "signet", "label of the token"),
    SETTING_TEXT(struct signer_config, hsm_pin_file, "SIGNET_HSM_PIN_FILE", NULL, "file with the token's user PIN"),
    SETTING_TEXT(struct signer_config, hsm_worker, "SIGNET_HSM_WORKER", "", "the hsm-worker program; empty: the one beside this program"),
    SETTING_NUMBER(struct signer_config, hsm_workers, "SIGNET_HSM_WORKERS", "2", 1, HSM_WORKERS_MAX, "hsm-worker processes, each with a session"),
    SETTING_NUMBER(struct signer_config, hsm_queue, "SIGNET_SIGNER_HSM_QUEUE", "256", 1, 100000, "requests that may wait for a worker"),
    SETTING_NUMBER(struct signer_config, hsm_start_ms, "SIGNET_SIGNER_HSM_START_MS", "15000", 100, 600000,
                   "until a worker has logged in, else it is killed"),
    SETTING_NUMBER(struct signer_config, hsm_operation_ms, "SIGNET_SIGNER_HSM_OPERATION_MS", "2000", 50, 600000,
                   "until a worker has signed, else it is killed"),
    SETTING_NUMBER(struct signer_config, hsm_generate_ms, "SIGNET_SIGNER_HSM_GENERATE_MS", "30000", 100, 600000, "until a worker has made a key"),
    SETTING_NUMBER(struct signer_config, hsm_retire_after, "SIGNET_SIGNER_HSM_RETIRE_AFTER", "1000000", 1, 2000000000,
                   "operations after which a worker is replaced"),
    SETTING_NUMBER(struct signer_config, threads, "SIGNET_SIGNER_WORKERS", "8", 1, 256, "calls worked on at once"),
    SETTING_NUMBER(struct signer_config, queue, "SIGNET_SIGNER_QUEUE", "512", 1, 100000, "calls that may wait"),
    SETTING_TEXT(struct signer_config, warrant_key_files, "SIGNET_SIGNER_WARRANT_KEY_FILES", NULL,
                 "PEM files with ra's public Ed25519 keys, comma-separated"),
    SETTING_TEXT(struct signer_config, ocsp_url, "SIGNET_SIGNER_OCSP_URL", "", "URL of the OCSP responder, put into certificates; empty: none"),
    SETTING_TEXT(struct signer_config, publish_url, "SIGNET_SIGNER_PUBLISH_URL", "",
                 "base URL of CRLs and CA certificates, put into certificates; empty: none"),
    SETTING_NUMBER(struct signer_config, responder_days, "SIGNET_SIGNER_OCSP_RESPONDER_DAYS", "30", 1, 365,
                   "life of the OCSP responders' certificates"),
};

static const struct service_about about = {
    .name = "signer",
    .summary = "Owns the HSM and every CA key; encodes and signs certificates, CRLs, OCSP responses and audit heads.",
    .uses = USES_BUS | USES_DATABASE,
    .settings = settings,
    .setting_count = sizeof settings / sizeof settings[0],
};

static struct hsm_pool *volatile pool_to_retry; /* for the handler of SIGHUP */

static void
on_hangup(int number)
{
    if (pool_to_retry != NULL)
        hsm_pool_retry_pin(pool_to_retry);
}

static void
close_pool(void *pool)
{
    pool_to_retry = NULL;
    hsm_pool_close(pool);
}

static struct hsm_pool *
open_pool(struct service *service, const struct signer_config *config)
{
    struct hsm_pool *pool = hsm_pool_open(&(struct hsm_pool_options){.worker_file = config->hsm_worker,
                                                                     .module = config->hsm_module,
                                                                     .token = config->hsm_token,
                                                                     .pin_file = config->hsm_pin_file,
                                                                     .workers = config->hsm_workers,
                                                                     .queue_limit = config->hsm_queue,
                                                                     .start_ms = config->hsm_start_ms,
                                                                     .operation_ms = config->hsm_operation_ms,
                                                                     .generate_ms = config->hsm_generate_ms,
                                                                     .retire_after = config->hsm_retire_after});

    pool_to_retry = pool;
    sigaction(SIGHUP, &(struct sigaction){.sa_handler = on_hangup, .sa_flags = SA_RESTART}, NULL);
    service_at_drain(service, close_pool, pool);
    service_ready_when(service, "hsm", hsm_pool_check, pool);
    return pool;
}

int
main(int argc, char **argv)
{
    struct signer signer = {0};
    struct service *service = service_start(argc, argv, &about, &signer.config);
    AUTO_STRUCT(request, rq) = request_new();

    signer_init(&signer);
    service_must(service, rq, warrant_keys_load(&signer, rq));
    signer.hsm = open_pool(service, &signer.config);
    signer.db = service_database(service);
    signer.bus = service_bus(service);

    service_must(service, rq, authorities_follow(&signer, rq));
    service_must(service, rq, outbox_open(service, rq, signer.bus, signer.db, "ca", &signer.outbox));
    service_must(service, rq,
                 rpc_serve(signer.bus, rq, signer_handlers(), &signer,
                           &(struct rpc_options){.threads = signer.config.threads, .queue_limit = signer.config.queue}));
    int code = service_run(service);
    signer_free(&signer);
    return code;
}
