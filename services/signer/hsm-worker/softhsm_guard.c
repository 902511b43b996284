/*
 * Before the module is loaded, and only for SoftHSM's tokens in files. SoftHSM 2.6 writes token.object at each login by cutting it to nothing and
 * writing it anew: who is killed in between, or loses power, leaves an empty file, and then the token with all its keys is found no more. So the
 * file is copied beside itself while it is whole, and put back from the copy when it is not. The keys have files of their own, written once.
 */
#include "worker.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"

#define PATH_ROOM 4096
#define NAME_ROOM (PATH_ROOM + 32)
#define TOKEN_FILE_MAX 65536
#define GENERATION_LEN 8 /* a counter in front, which every login raises */

/* SoftHSM takes only names that end in ".object" for objects. */
struct token_file {
    char path[NAME_ROOM], copy[NAME_ROOM], next[NAME_ROOM];
};

struct content {
    size_t len;
    uint8_t at[TOKEN_FILE_MAX];
};

static bool
read_content(const char *path, struct content *ret_content)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got = fd < 0 ? -1 : read(fd, ret_content->at, sizeof ret_content->at);

    ret_content->len = got > 0 ? (size_t)got : 0;
    return got >= 0;
}

/* After a power cut a file may have its length and nothing in it. */
static bool
is_whole(const struct content *content)
{
    for (size_t i = GENERATION_LEN; i < content->len; i++)
        if (content->at[i] != 0)
            return content->len < TOKEN_FILE_MAX;
    return false;
}

static bool
is_same_token(const struct content *a, const struct content *b)
{
    return a->len == b->len && memcmp(a->at + GENERATION_LEN, b->at + GENERATION_LEN, a->len - GENERATION_LEN) == 0;
}

static void
replace(const struct token_file *file, const char *path, const struct content *content)
{
    AUTO_FD fd = open(file->next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 || write(fd, content->at, content->len) != (ssize_t)content->len || fsync(fd) != 0 || rename(file->next, path) != 0)
        (void)unlink(file->next); /* what was there stays; the module says what it thinks of it */
}

static void
guard_token(const char *folder)
{
    static struct content now, kept;
    struct token_file file;

    if (strlen(folder) >= PATH_ROOM)
        return;
    (void)snprintf(file.path, sizeof file.path, "%s/token.object", folder);
    (void)snprintf(file.copy, sizeof file.copy, "%s/token.kept", folder);
    (void)snprintf(file.next, sizeof file.next, "%s/token.%d", folder, getpid());
    if (!read_content(file.path, &now))
        return;
    bool has_copy = read_content(file.copy, &kept) && is_whole(&kept);
    if (!is_whole(&now)) {
        if (has_copy)
            replace(&file, file.path, &kept);
    } else if (!has_copy || !is_same_token(&now, &kept)) {
        replace(&file, file.copy, &now);
    }
}

/* The line "directories.tokendir = PATH" of SoftHSM's configuration. */
static bool
read_token_directory(char *ret_directory)
{
    const char *configuration = getenv("SOFTHSM2_CONF");
    FILE *file = fopen(configuration != NULL ? configuration : "/etc/softhsm/softhsm2.conf", "re");
    char line[PATH_ROOM + 64];
    bool found = false;

    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = sscanf(line, " directories.tokendir = %4000s", ret_directory) == 1;
    fclose(file);
    return found;
}

void
softhsm_guard(void)
{
    char directory[PATH_ROOM], pattern[NAME_ROOM];
    glob_t tokens = {0};

    if (!read_token_directory(directory))
        return;
    (void)snprintf(pattern, sizeof pattern, "%s/*", directory);
    if (glob(pattern, GLOB_NOSORT | GLOB_ONLYDIR, NULL, &tokens) == 0)
        for (size_t i = 0; i < tokens.gl_pathc; i++)
            guard_token(tokens.gl_pathv[i]);
    globfree(&tokens);
}
