/* The catalogue: context and the prototypes of its files. */
#ifndef SIGNET_INVENTORY_H
#define SIGNET_INVENTORY_H

#include "base/request.h"
#include "link/bus.h"
#include "link/db.h"
#include "link/events.h"
#include "link/message.h"
#include "signet/v1/event.pb-c.h"
#include "signet/v1/inventory.pb-c.h"

struct inventory_config {
    int workers;
    int batch;
};

struct inventory {
    struct inventory_config config;
    struct bus *bus;
    struct db *db;
};

/* handlers.c */
ProtobufCService *inventory_handlers(void);

/* find_certificates.c, show_certificate.c */
enum error find_certificates(struct inventory *inventory, struct request *rq, const Pb__FindCertificatesRequest *request,
                             Pb__FindCertificatesReply *ret_reply) MUST_CHECK;
enum error show_certificate(struct inventory *inventory, struct request *rq, const Pb__ShowCertificateRequest *request,
                            Pb__ShowCertificateReply *ret_reply) MUST_CHECK;

/* on_certificate_issued.c, on_certificate_revoked.c */
events_handler on_certificate_issued;
events_handler on_certificate_revoked;

/* store.c */
struct store_page {
    int64_t before_us;       /* issued_at of the last row of the page before; 0: the first page */
    struct bytes before_sha; /* and its SHA-256 */
    size_t limit;
};
struct store_found {
    Pb__CatalogEntry **entries;
    int64_t *issued_us; /* of each, for cursors */
    size_t count;
};

/* All of a batch or nothing. What is there already stays as it is. */
enum error store_add_certificates(struct inventory *inventory, struct request *rq, const struct event *events, size_t count) MUST_CHECK;
enum error store_add_revocations(struct inventory *inventory, struct request *rq, const struct event *events, size_t count) MUST_CHECK;
enum error store_find_certificates(struct inventory *inventory, struct request *rq, const Pb__FindCertificatesRequest *filter,
                                   const struct store_page *page, struct store_found *ret_found) MUST_CHECK;
/* By SHA-256, or by serial when `sha256` is empty. ERR_NOT_FOUND; ERR_CONFLICT when several issuers used the serial. */
enum error store_load_certificate(struct inventory *inventory, struct request *rq, struct bytes sha256, struct bytes serial,
                                  Pb__CatalogEntry **ret_entry, struct bytes *ret_certificate) MUST_CHECK;

#endif
