/* A tmpfs in a mount namespace of the test's own: nobody has to unmount it. */
#include "small_disk.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

enum { PIECE = 4096 };

static void
give_up(const char *what)
{
    perror(what);
    abort();
}

static void
name_ballast(const char *directory, char path[256])
{
    snprintf(path, 256, "%s/ballast", directory);
}

bool
small_disk_mount(const char *directory, int megabytes)
{
    char size[32];
    snprintf(size, sizeof(size), "size=%dm", megabytes);
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount("tmpfs", directory, "tmpfs", 0, size) == 0;
}

void
small_disk_fill(const char *directory)
{
    static const char piece[PIECE];
    char path[256];
    name_ballast(directory, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        give_up(path);
    while (write(fd, piece, sizeof(piece)) > 0)
        ;
    close(fd);
}

void
small_disk_empty(const char *directory)
{
    char path[256];
    name_ballast(directory, path);
    if (unlink(path) != 0)
        give_up(path);
}
