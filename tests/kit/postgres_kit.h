/*
 * A real PostgreSQL of one's own, for tests: a fresh cluster in a temporary directory, on a Unix socket in it, without fsync.
 *
 *     struct postgres_kit *postgres = postgres_kit_start();
 *     struct db_options options = {.name = "test", .url = postgres_kit_url(postgres), .password_file = "", .connections = 4};
 *
 * Start it before threads. It is stopped and removed by postgres_kit_stop, at exit, and also when the test crashes or is killed: a guardian
 * process waits for that. Every role may log in without a password, but `role_with_password` needs one (SCRAM). Trouble aborts the test.
 */
#ifndef SIGNET_KIT_POSTGRES_H
#define SIGNET_KIT_POSTGRES_H

struct postgres_kit;

struct postgres_kit *postgres_kit_start(void);
void postgres_kit_stop(struct postgres_kit *kit);

/* As the superuser `postgres`, in the database `postgres`; and as another role. Owned by the kit. */
const char *postgres_kit_url(const struct postgres_kit *kit);
const char *postgres_kit_url_of_role(struct postgres_kit *kit, const char *role);

/* Commands as the superuser over a connection that is opened and closed here; aborts on error. */
void postgres_kit_run(struct postgres_kit *kit, const char *sql);
/* The same with the text of a file, from the root of the tree. */
void postgres_kit_run_file(struct postgres_kit *kit, const char *path);
/* Makes the role, and gives it the rights that stand on lines of their own in deploy/database/grants.sql. */
void postgres_kit_grant(struct postgres_kit *kit, const char *role);
/* The same for one value as text, "" for none. Freed by the caller. */
char *postgres_kit_ask(struct postgres_kit *kit, const char *sql);

/* Bad days: SIGKILL to the server and all its processes; an orderly shutdown that throws clients out; starting again. */
void postgres_kit_kill(struct postgres_kit *kit);
void postgres_kit_shut_down(struct postgres_kit *kit);
void postgres_kit_start_again(struct postgres_kit *kit);
/* Stops every process of the server where it is (SIGSTOP), and lets it go on: it accepts, and does not answer. */
void postgres_kit_freeze(struct postgres_kit *kit);
void postgres_kit_thaw(struct postgres_kit *kit);

#endif
