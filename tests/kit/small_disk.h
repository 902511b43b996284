/*
 * A file system of a few megabytes over a directory, for servers that shall find their disk full. Only this thread and the processes that it
 * starts from now on see it, and it ends with the last of them.
 *
 *     nats_kit_kill(nats);
 *     if (!small_disk_mount(nats_kit_store(nats), 8))
 *         skip();
 *     nats_kit_start_again(nats);
 *     small_disk_fill(nats_kit_store(nats));
 *
 * Trouble aborts the test.
 */
#ifndef SIGNET_KIT_SMALL_DISK_H
#define SIGNET_KIT_SMALL_DISK_H

#include <stdbool.h>

/* False when this user may not mount. What was in the directory is hidden. */
bool small_disk_mount(const char *directory, int megabytes);

void small_disk_fill(const char *directory);
void small_disk_empty(const char *directory); /* of what filled it */

#endif
