/* service_database: the pool of connections to this service's schema. */
#include <assert.h>

#include "link/db.h"
#include "link/service_internal.h"

static void
close_database(struct service *service)
{
    db_close(service->database);
}

struct db *
service_database(struct service *service)
{
    const struct service_database_settings *settings = &service->database_settings;
    const struct db_options options = {
        .name = service->about->name,
        .url = settings->url,
        .password_file = settings->password_file,
        .connections = settings->connections,
    };

    assert((service->about->uses & USES_DATABASE) != 0 && service->database == NULL);
    service_must(service, service->rq, db_open(service->rq, &options, &service->database));
    service_ready_when(service, "database", db_check, service->database);
    service->close_database = close_database;
    return service->database;
}
