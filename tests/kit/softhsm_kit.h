/*
 * A SoftHSM token of one's own, for tests and benches: a fresh directory with one token and its PIN file, found through SOFTHSM2_CONF.
 *
 *     struct softhsm_kit *softhsm = softhsm_kit_start();
 *     … .module = softhsm_kit_module(softhsm), .token = "signet", .pin_file = softhsm_kit_pin_file(softhsm) …
 *
 * The module is tests/fakes/pkcs11-shim, which is SoftHSM until softhsm_kit_disturb says otherwise (its shim.c lists the faults). Start it
 * before threads: it sets environment variables. Trouble aborts the test.
 */
#ifndef SIGNET_KIT_SOFTHSM_H
#define SIGNET_KIT_SOFTHSM_H

struct softhsm_kit;

struct softhsm_kit *softhsm_kit_start(void);
/* Removes the directory. */
void softhsm_kit_stop(struct softhsm_kit *kit);

/* Points the environment at this one again, after another was started. */
void softhsm_kit_use(const struct softhsm_kit *kit);

const char *softhsm_kit_module(const struct softhsm_kit *kit);
const char *softhsm_kit_pin_file(const struct softhsm_kit *kit);
/* The hsm-worker of this build. */
const char *softhsm_kit_worker_file(const struct softhsm_kit *kit);

/* From now on; "" ends the bad day. Forgets what struck and what was counted before. */
void softhsm_kit_disturb(struct softhsm_kit *kit, const char *faults);
/* How often the module heard this function ("login", "sign", …) since the last softhsm_kit_disturb. */
int softhsm_kit_calls(const struct softhsm_kit *kit, const char *function);

/* Replaces the content of the PIN file; NULL: the right PIN. */
void softhsm_kit_write_pin(struct softhsm_kit *kit, const char *pin);
/* Hides the token from the module, or puts it back. */
void softhsm_kit_pull_token(struct softhsm_kit *kit);
void softhsm_kit_insert_token(struct softhsm_kit *kit);
/* Leaves the token as a login that was killed half-way: its own file is there, and empty. */
void softhsm_kit_empty_token(struct softhsm_kit *kit);
/* Runs `make`, and sets the counter back by which SoftHSM tells its processes of new objects: those that run do not learn of what was made. */
void softhsm_kit_make_unheard(struct softhsm_kit *kit, void (*make)(void));

#endif
