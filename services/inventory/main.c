/*
 * inventory: the catalogue of certificates.
 *
 * Serves:     signet.inventory.find_certificates, .show_certificate
 * Calls:      nobody
 * Announces:  nothing
 * Hears:      certificate.issued, certificate.revoked (durable: it catches up on what happened while it was away)
 * Privileges: the schema inventory; no key, no token, no address that a client chose
 * On failure: events wait in the stream; the catalogue is late, never wrong
 */
#include "base/config.h"
#include "inventory.h"
#include "link/rpc.h"
#include "link/service.h"

static const struct setting settings[] = {
    SETTING_NUMBER(struct inventory_config, workers, "SIGNET_INVENTORY_WORKERS", "4", 1, 64, "searches worked on at once"),
    SETTING_NUMBER(struct inventory_config, batch, "SIGNET_INVENTORY_BATCH", "200", 1, 1000, "events written in one transaction"),
};

static const struct service_about about = {
    .name = "inventory",
    .summary = "Keeps the catalogue of certificates: what exists, until when, whose it is.",
    .uses = USES_BUS | USES_DATABASE,
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(settings[0]),
};

int
main(int argc, char **argv)
{
    struct inventory inventory = {0};
    struct service *service = service_start(argc, argv, &about, &inventory.config);
    AUTO_STRUCT(request, rq) = request_new();

    inventory.db = service_database(service);
    inventory.bus = service_bus(service);

    service_must(service, rq,
                 rpc_serve(inventory.bus, rq, inventory_handlers(), &inventory,
                           &(struct rpc_options){.threads = inventory.config.workers, .queue_limit = 256}));
    service_must(service, rq,
                 events_follow(inventory.bus, rq,
                               &(struct events_follower){.durable = "inventory-certificate-issued",
                                                         .subject = "signet.event.certificate.issued",
                                                         .type = &pb__certificate_issued__descriptor,
                                                         .handle = on_certificate_issued,
                                                         .context = &inventory,
                                                         .batch = inventory.config.batch}));
    service_must(service, rq,
                 events_follow(inventory.bus, rq,
                               &(struct events_follower){.durable = "inventory-certificate-revoked",
                                                         .subject = "signet.event.certificate.revoked",
                                                         .type = &pb__certificate_revoked__descriptor,
                                                         .handle = on_certificate_revoked,
                                                         .context = &inventory,
                                                         .batch = inventory.config.batch}));
    return service_run(service);
}
