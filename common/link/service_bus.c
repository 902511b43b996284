/* service_bus: connects this process to the bus, and with that answers surveys of its health. */
#include <assert.h>

#include "link/bus.h"
#include "link/service_internal.h"

static void
close_bus(void *context)
{
    struct service *service = context;
    bus_close(service->bus, service_drain_part_ms(service));
}

struct bus *
service_bus(struct service *service)
{
    const struct service_bus_settings *settings = &service->bus_settings;
    const struct bus_options options = {
        .name = service->about->name,
        .url = settings->url,
        .ca_file = settings->ca_file,
        .cert_file = settings->cert_file,
        .key_file = settings->key_file,
    };

    assert((service->about->uses & USES_BUS) != 0 && service->bus == NULL);
    service_must(service, service->rq, bus_open(service->rq, &options, &service->bus));
    service_ready_when(service, "bus", bus_check, service->bus);
    service_at_drain(service, close_bus, service);
    health_serve(service, service->bus);
    return service->bus;
}
