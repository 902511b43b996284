/* Used by the signer's unit tests and the signing bench. The token lives below $TMPDIR or /tmp and is gone with softhsm_kit_stop. */
#include "softhsm_kit.h"

#include <fcntl.h>
#include <glob.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIN "482913"
#define PATH_ROOM 512

struct softhsm_kit {
    char folder[PATH_ROOM];
    char worker_file[PATH_ROOM], module[PATH_ROOM], pin_file[PATH_ROOM], control[PATH_ROOM];
};

static void
must(int is_good, const char *what)
{
    if (is_good)
        return;
    fprintf(stderr, "softhsm_kit: %s\n", what);
    abort();
}

static void format_path(char *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
format_path(char *to, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    int len = vsnprintf(to, PATH_ROOM, format, values);
    va_end(values);
    must(len > 0 && len < PATH_ROOM, "a path is too long");
}

static void
write_file(const char *path, const char *content)
{
    FILE *file = fopen(path, "we");

    must(file != NULL, path);
    must(fputs(content, file) >= 0 && fclose(file) == 0, path);
    must(chmod(path, 0600) == 0, path);
}

/* build/<variant>: this program stands in …/tests/unit/<service>/ or …/bench/. */
static void
find_build(char *ret_build)
{
    char self[PATH_ROOM];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

    must(len > 0, "/proc/self/exe");
    self[len] = '\0';
    for (char *slash; (slash = strrchr(self, '/')) != NULL;) {
        *slash = '\0';
        format_path(ret_build, "%.400s", self);
        char worker[PATH_ROOM];
        format_path(worker, "%.400s/bin/hsm-worker", self);
        if (access(worker, X_OK) == 0)
            return;
    }
    must(0, "bin/hsm-worker is not built");
}

/* What the command says is dropped: a bench writes its figures to stdout. */
static void
run(const char *const *words)
{
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = -1;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    must(posix_spawnp(&child, words[0], &actions, NULL, (char *const *)words, environ) == 0, words[0]);
    posix_spawn_file_actions_destroy(&actions);
    must(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, words[0]);
}

/* What the module counted and struck: the files that begin with the control file's name and a point. */
static void
forget_counts(const struct softhsm_kit *kit)
{
    char pattern[PATH_ROOM];
    glob_t found;

    format_path(pattern, "%.400s.*", kit->control);
    int status = glob(pattern, 0, NULL, &found);
    must(status == 0 || status == GLOB_NOMATCH, pattern);
    for (size_t i = 0; status == 0 && i < found.gl_pathc; i++)
        must(unlink(found.gl_pathv[i]) == 0, found.gl_pathv[i]);
    globfree(&found);
}

struct softhsm_kit *
softhsm_kit_start(void)
{
    struct softhsm_kit *kit = calloc(1, sizeof *kit);
    const char *parent = getenv("TMPDIR");
    char build[PATH_ROOM], path[PATH_ROOM], text[2 * PATH_ROOM];

    must(kit != NULL, "memory");
    find_build(build);
    format_path(kit->folder, "%.300s/signet-softhsm-XXXXXX", parent != NULL ? parent : "/tmp");
    must(mkdtemp(kit->folder) != NULL, kit->folder);
    format_path(kit->worker_file, "%.400s/bin/hsm-worker", build);
    format_path(kit->module, "%.400s/fakes/pkcs11-shim.so", build);
    format_path(kit->pin_file, "%.400s/pin", kit->folder);
    format_path(kit->control, "%.400s/control", kit->folder);
    format_path(path, "%.400s/tokens", kit->folder);
    must(mkdir(path, 0700) == 0, path);
    snprintf(text, sizeof text, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", path);
    format_path(path, "%.400s/softhsm2.conf", kit->folder);
    write_file(path, text);
    softhsm_kit_use(kit);
    run((const char *[]){"softhsm2-util", "--init-token", "--free", "--label", "signet", "--so-pin", "77665544", "--pin", PIN, NULL});
    softhsm_kit_write_pin(kit, NULL);
    softhsm_kit_disturb(kit, "");
    return kit;
}

void
softhsm_kit_stop(struct softhsm_kit *kit)
{
    run((const char *[]){"rm", "-rf", kit->folder, NULL});
    free(kit);
}

void
softhsm_kit_use(const struct softhsm_kit *kit)
{
    char path[PATH_ROOM];

    format_path(path, "%.400s/softhsm2.conf", kit->folder);
    setenv("SOFTHSM2_CONF", path, 1);
    setenv("PKCS11_SHIM_CONTROL", kit->control, 1);
}

const char *
softhsm_kit_module(const struct softhsm_kit *kit)
{
    return kit->module;
}

const char *
softhsm_kit_pin_file(const struct softhsm_kit *kit)
{
    return kit->pin_file;
}

const char *
softhsm_kit_worker_file(const struct softhsm_kit *kit)
{
    return kit->worker_file;
}

void
softhsm_kit_disturb(struct softhsm_kit *kit, const char *faults)
{
    char fresh[PATH_ROOM];

    forget_counts(kit);
    format_path(fresh, "%.400s/control-next", kit->folder);
    write_file(fresh, faults);
    must(rename(fresh, kit->control) == 0, kit->control);
}

int
softhsm_kit_calls(const struct softhsm_kit *kit, const char *function)
{
    char path[PATH_ROOM], line[64];
    int count = 0;

    format_path(path, "%.400s.calls", kit->control);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, function, strlen(function)) == 0 && line[strlen(function)] == '\n')
            count++;
    fclose(file);
    return count;
}

/* A new file over the old one, as an operator's tool would do it: no reader sees half a PIN. */
void
softhsm_kit_write_pin(struct softhsm_kit *kit, const char *pin)
{
    char fresh[PATH_ROOM];

    format_path(fresh, "%.400s/pin-next", kit->folder);
    write_file(fresh, pin != NULL ? pin : PIN);
    must(rename(fresh, kit->pin_file) == 0, kit->pin_file);
}

/* One rename hides all of them. Nothing happens when it is so already. */
static void
move_token(const struct softhsm_kit *kit, const char *from, const char *to)
{
    char source[PATH_ROOM], target[PATH_ROOM];

    format_path(source, "%.400s/%s", kit->folder, from);
    format_path(target, "%.400s/%s", kit->folder, to);
    must(rename(source, target) == 0 || access(target, F_OK) == 0, source);
}

void
softhsm_kit_pull_token(struct softhsm_kit *kit)
{
    move_token(kit, "tokens", "tokens-pulled");
}

void
softhsm_kit_insert_token(struct softhsm_kit *kit)
{
    move_token(kit, "tokens-pulled", "tokens");
}

void
softhsm_kit_empty_token(struct softhsm_kit *kit)
{
    char pattern[PATH_ROOM];
    glob_t found;

    format_path(pattern, "%.400s/tokens/*/token.object", kit->folder);
    must(glob(pattern, 0, NULL, &found) == 0, pattern);
    for (size_t i = 0; i < found.gl_pathc; i++)
        must(truncate(found.gl_pathv[i], 0) == 0, found.gl_pathv[i]);
    globfree(&found);
}

void
softhsm_kit_make_unheard(struct softhsm_kit *kit, void (*make)(void))
{
    char pattern[PATH_ROOM];
    uint8_t counter[64];
    glob_t found;

    format_path(pattern, "%.400s/tokens/*/generation", kit->folder);
    must(glob(pattern, 0, NULL, &found) == 0, pattern);
    int file = open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
    ssize_t len = pread(file, counter, sizeof counter, 0);
    must(len > 0, found.gl_pathv[0]);
    make();
    must(pwrite(file, counter, (size_t)len, 0) == len, found.gl_pathv[0]);
    close(file);
    globfree(&found);
}
