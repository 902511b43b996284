/*
 * initdb, a postmaster and a guardian. The guardian holds one end of a pipe whose other end lives as long as the test; when that
 * is closed, for whatever reason, it stops the server and removes the directory.
 */
#include "kit/postgres_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "base/text.h"

enum { START_MOST_MS = 30000, STEP_MS = 10, CLEAN_MOST_MS = 10000, CLEAN_STEP_MS = 100 };

struct postgres_kit {
    char dir[64];
    char programs[128];
    char url[128];
    char role_url[192];
    pid_t server; /* 0 while it is down */
    pid_t guardian;
    int lifeline; /* the guardian sees this close */
};

static void
give_up(const char *what)
{
    fprintf(stderr, "postgres_kit: %s\n", what);
    abort();
}

/* PostgreSQL refuses to run as root. */
static void
become_postgres(void)
{
    if (geteuid() != 0)
        return;
    const struct passwd *user = getpwnam("postgres");
    if (user == NULL || setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
        give_up("cannot become the user postgres");
}

static void
send_output_to(const char *path)
{
    int to = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (to < 0 || dup2(to, STDOUT_FILENO) < 0 || dup2(to, STDERR_FILENO) < 0)
        _exit(127);
}

static pid_t
start_program(const struct postgres_kit *kit, const char *arguments[])
{
    char program[192];
    snprintf(program, sizeof(program), "%s/%s", kit->programs, arguments[0]);
    pid_t child = fork();
    if (child < 0)
        give_up("fork");
    if (child > 0)
        return child;
    setsid();
    become_postgres();
    if (chdir(kit->dir) != 0)
        _exit(127);
    send_output_to("log");
    arguments[0] = program; /* PostgreSQL's programs look for each other where argv[0] says that they are */
    execv(program, (char *const *)arguments);
    _exit(127);
}

static void
find_programs(struct postgres_kit *kit)
{
    glob_t found;
    if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) != 0)
        give_up("no PostgreSQL in /usr/lib/postgresql");
    const char *last = found.gl_pathv[found.gl_pathc - 1];
    snprintf(kit->programs, sizeof(kit->programs), "%.*s", (int)(strrchr(last, '/') - last), last);
    globfree(&found);
}

static void
make_directory(struct postgres_kit *kit)
{
    snprintf(kit->dir, sizeof(kit->dir), "/tmp/signet-postgres-XXXXXX");
    if (mkdtemp(kit->dir) == NULL)
        give_up("mkdtemp");
    const struct passwd *user = getpwnam("postgres");
    if (geteuid() == 0 && (user == NULL || chown(kit->dir, user->pw_uid, user->pw_gid) != 0))
        give_up("cannot give the directory to the user postgres");
}

static void
write_file(const struct postgres_kit *kit, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/data/%s", kit->dir, name);
    FILE *to = fopen(path, "w");
    if (to == NULL || fputs(text, to) < 0 || fclose(to) != 0)
        give_up(path);
}

static void
make_cluster(struct postgres_kit *kit)
{
    const char *arguments[] = {"initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", NULL};
    int status;
    if (waitpid(start_program(kit, arguments), &status, 0) < 0 || status != 0)
        give_up("initdb failed");
    write_file(kit, "pg_hba.conf", "local all role_with_password scram-sha-256\nlocal all all trust\n");
}

static void
start_server(struct postgres_kit *kit)
{
    const char *arguments[] = {"postgres",
                               "-D",
                               "data",
                               "-k",
                               kit->dir,
                               "-c",
                               "listen_addresses=",
                               "-c",
                               "fsync=off",
                               "-c",
                               "full_page_writes=off",
                               "-c",
                               "shared_buffers=16MB",
                               "-c",
                               "max_wal_size=64MB",
                               "-c",
                               "log_min_messages=warning",
                               "-c",
                               "client_min_messages=warning",
                               NULL};
    for (int waited_ms = 0; waited_ms < START_MOST_MS; waited_ms += STEP_MS) {
        if (kit->server == 0)
            kit->server = start_program(kit, arguments);
        if (PQping(kit->url) == PQPING_OK)
            return;
        /* After a kill the old processes may still hold the shared memory: then it ends at once, and is started again. */
        if (waitpid(kit->server, NULL, WNOHANG) == kit->server)
            kit->server = 0;
        usleep(STEP_MS * 1000);
    }
    give_up("the server does not start");
}

/* ---- all processes of the server ---- */

static pid_t
parent_of(const char *process)
{
    char path[300], stat[512] = "";
    snprintf(path, sizeof(path), "/proc/%s/stat", process);
    FILE *from = fopen(path, "r");
    if (from == NULL)
        return 0;
    char *got = fgets(stat, sizeof(stat), from);
    fclose(from);
    const char *behind_name = got == NULL ? NULL : strrchr(stat, ')');
    return behind_name == NULL || strlen(behind_name) < 5 ? 0 : (pid_t)strtol(behind_name + 4, NULL, 10);
}

/* The postmaster and its children. It is stopped first, so that it makes no more of them. */
static void
signal_all(pid_t server, int signal_number)
{
    kill(server, SIGSTOP);
    DIR *processes = opendir("/proc");
    if (processes == NULL)
        give_up("/proc");
    for (const struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        pid_t process = (pid_t)strtol(entry->d_name, NULL, 10);
        if (process > 1 && parent_of(entry->d_name) == server)
            kill(process, signal_number);
    }
    closedir(processes);
    kill(server, signal_number);
}

static void
wait_for_server(struct postgres_kit *kit)
{
    if (kit->server != 0 && waitpid(kit->server, NULL, 0) != kit->server)
        give_up("waitpid");
    kit->server = 0;
}

void
postgres_kit_kill(struct postgres_kit *kit)
{
    signal_all(kit->server, SIGKILL);
    wait_for_server(kit);
}

void
postgres_kit_shut_down(struct postgres_kit *kit)
{
    kill(kit->server, SIGINT); /* "fast": running transactions are thrown out */
    wait_for_server(kit);
}

void
postgres_kit_start_again(struct postgres_kit *kit)
{
    start_server(kit);
}

void
postgres_kit_freeze(struct postgres_kit *kit)
{
    signal_all(kit->server, SIGSTOP);
}

void
postgres_kit_thaw(struct postgres_kit *kit)
{
    signal_all(kit->server, SIGCONT);
}

/* ---- the guardian ---- */

static pid_t
read_server_pid(const struct postgres_kit *kit)
{
    char path[96], line[32] = "";
    snprintf(path, sizeof(path), "%s/data/postmaster.pid", kit->dir);
    FILE *from = fopen(path, "r");
    if (from == NULL)
        return 0;
    char *got = fgets(line, sizeof(line), from);
    fclose(from);
    return got == NULL ? 0 : (pid_t)strtol(line, NULL, 10);
}

static void
remove_directory(const struct postgres_kit *kit)
{
    pid_t child = fork();
    if (child == 0) {
        execlp("rm", "rm", "-rf", kit->dir, (char *)NULL);
        _exit(127);
    }
    waitpid(child, NULL, 0);
}

/* Again until it is gone: a program that was being started when the test died may still write. */
static void
guard(struct postgres_kit *kit, int lifeline)
{
    char byte;
    while (read(lifeline, &byte, 1) > 0)
        continue;
    for (int waited_ms = 0; waited_ms < CLEAN_MOST_MS && access(kit->dir, F_OK) == 0; waited_ms += CLEAN_STEP_MS) {
        pid_t server = read_server_pid(kit);
        if (server > 1 && kill(server, 0) == 0)
            signal_all(server, SIGKILL);
        remove_directory(kit);
        usleep(CLEAN_STEP_MS * 1000);
    }
    _exit(0);
}

static void
start_guardian(struct postgres_kit *kit)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        give_up("pipe");
    kit->lifeline = ends[1];
    kit->guardian = fork();
    if (kit->guardian < 0)
        give_up("fork");
    if (kit->guardian > 0) {
        close(ends[0]);
        return;
    }
    setsid(); /* a Ctrl-C is not for us */
    close(ends[1]);
    send_output_to("/dev/null"); /* whoever waits for the test's output does not wait for us */
    prctl(PR_SET_NAME, "postgres-guard");
    guard(kit, ends[0]);
}

/* ---- the life of a kit ---- */

struct postgres_kit *
postgres_kit_start(void)
{
    struct postgres_kit *kit = calloc(1, sizeof(*kit));
    if (kit == NULL)
        abort();
    find_programs(kit);
    make_directory(kit);
    start_guardian(kit);
    snprintf(kit->url, sizeof(kit->url), "postgresql://postgres@/postgres?host=%s", kit->dir);
    make_cluster(kit);
    start_server(kit);
    return kit;
}

void
postgres_kit_stop(struct postgres_kit *kit)
{
    if (kit == NULL)
        return;
    if (kit->server != 0) {
        kill(kit->server, SIGQUIT); /* "immediate": nothing here is worth saving */
        wait_for_server(kit);
    }
    close(kit->lifeline);
    waitpid(kit->guardian, NULL, 0);
    free(kit);
}

const char *
postgres_kit_url(const struct postgres_kit *kit)
{
    return kit->url;
}

const char *
postgres_kit_url_of_role(struct postgres_kit *kit, const char *role)
{
    snprintf(kit->role_url, sizeof(kit->role_url), "postgresql://%s@/postgres?host=%s", role, kit->dir);
    return kit->role_url;
}

char *
postgres_kit_ask(struct postgres_kit *kit, const char *sql)
{
    PGconn *connection = PQconnectdb(kit->url);
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s\n", sql);
        give_up(PQerrorMessage(connection));
    }
    char *answer = strdup(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(connection);
    if (answer == NULL)
        abort();
    return answer;
}

void
postgres_kit_run(struct postgres_kit *kit, const char *sql)
{
    free(postgres_kit_ask(kit, sql));
}

static char *
read_file(const char *path)
{
    enum { FILE_MAX = 256 * 1024 };
    char *text = malloc(FILE_MAX);
    FILE *from = fopen(path, "re");

    if (text == NULL || from == NULL)
        give_up(path);
    size_t len = fread(text, 1, FILE_MAX - 1, from);
    fclose(from);
    text[len] = '\0';
    return text;
}

void
postgres_kit_run_file(struct postgres_kit *kit, const char *path)
{
    char *sql = read_file(path);

    postgres_kit_run(kit, sql);
    free(sql);
}

void
postgres_kit_grant(struct postgres_kit *kit, const char *role)
{
    char statement[128], ending[80], *place;
    char *grants = read_file("deploy/database/grants.sql");

    snprintf(statement, sizeof(statement), "CREATE ROLE %s LOGIN", role);
    postgres_kit_run(kit, statement);
    snprintf(ending, sizeof(ending), " TO %s;", role);
    for (char *line = strtok_r(grants, "\n", &place); line != NULL; line = strtok_r(NULL, "\n", &place))
        if (text_starts_with(line, "GRANT ") && text_ends_with(line, ending))
            postgres_kit_run(kit, line);
    free(grants);
}
