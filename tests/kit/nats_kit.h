/*
 * A real nats-server of one's own, for tests: JetStream in a temporary directory, on a free port of the loopback.
 *
 *     struct nats_kit *nats = nats_kit_start("");
 *     struct bus_options options = {.name = "test", .url = nats_kit_url(nats), .ca_file = ""};
 *
 * Start it before threads. It is stopped and removed by nats_kit_stop, and dies with the test when that crashes. The port stays the same when it is
 * started again. Trouble aborts the test.
 */
#ifndef SIGNET_KIT_NATS_H
#define SIGNET_KIT_NATS_H

struct nats_kit;

/* `config` is appended to the server's configuration: an authorization block, for instance. */
struct nats_kit *nats_kit_start(const char *config);
void nats_kit_stop(struct nats_kit *kit);

/* "nats://127.0.0.1:…"; and as a user with a password. Owned by the kit. */
const char *nats_kit_url(const struct nats_kit *kit);
const char *nats_kit_url_of_user(struct nats_kit *kit, const char *user, const char *password);

/* The directory of its streams. */
const char *nats_kit_store(const struct nats_kit *kit);

/* Bad days: SIGKILL; starting again with what is on disk; a server that accepts and does not answer; another configuration at the next start. */
void nats_kit_kill(struct nats_kit *kit);
void nats_kit_start_again(struct nats_kit *kit);
void nats_kit_freeze(struct nats_kit *kit);
void nats_kit_thaw(struct nats_kit *kit);
void nats_kit_configure(struct nats_kit *kit, const char *config);

#endif
