/* One nats-server per test program, one bus and one request per case. */
#ifndef SIGNET_TESTS_UNIT_LINK_BUS_FIXTURE_H
#define SIGNET_TESTS_UNIT_LINK_BUS_FIXTURE_H

#include "unit/kit.h"

#include <string.h>

#include "base/clock.h"
#include "kit/nats_kit.h"
#include "link/bus_nats.h"
#include "wait_for.h"

static struct nats_kit *nats;

struct fixture {
    struct bus *bus;
    struct request *rq;
};

static inline int
start_nats(void **state)
{
    nats = nats_kit_start("");
    return 0;
}

static inline int
stop_nats(void **state)
{
    nats_kit_stop(nats);
    return 0;
}

static inline struct bus *
open_bus(struct request *rq, const char *name, const char *url)
{
    struct bus_options options = {.name = name, .url = url, .ca_file = "", .cert_file = "", .key_file = ""};
    struct bus *bus = NULL;
    assert_int_equal(bus_open(rq, &options, &bus), OK);
    return bus;
}

static inline bool
bus_is_ready(struct bus *bus)
{
    AUTO_STRUCT(request, rq) = request_new();
    return bus_check(bus, rq) == OK;
}

static inline int
open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->rq = request_new();
    fixture->bus = open_bus(fixture->rq, "test", nats_kit_url(nats));
    *state = fixture;
    return 0;
}

static inline int
close_fixture(void **state)
{
    struct fixture *fixture = *state;
    bus_close(fixture->bus, 2000);
    request_free(fixture->rq);
    free(fixture);
    return 0;
}

#endif
