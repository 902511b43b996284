/*
 * signetctl: the operator's command.
 *
 * Serves:     nothing
 * Calls:      ra, signer, inventory, crl-publisher, acme-gw; asks every service for its health
 * Announces:  nothing
 * Hears:      nothing
 * Privileges: its bus user; the owner of the database, for `migrate` and `audit …` only
 * On failure: says what happened and what to do next; exit codes are in --help
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/text.h"
#include "link/service.h"
#include "signetctl.h"

static const struct setting settings[] = {
    SETTING_TEXT(struct ctl_config, nats_url, "SIGNET_NATS_URL", "", "the bus, tls://host:port"),
    SETTING_TEXT(struct ctl_config, nats_ca_file, "SIGNET_NATS_CA_FILE", "", "PEM file that the bus's certificate is checked with"),
    SETTING_TEXT(struct ctl_config, nats_cert_file, "SIGNET_NATS_CERT_FILE", "", "PEM file with our certificate on the bus"),
    SETTING_TEXT(struct ctl_config, nats_key_file, "SIGNET_NATS_KEY_FILE", "", "PEM file with its key"),
    SETTING_TEXT(struct ctl_config, database_url, "SIGNET_DATABASE_URL", "", "the database, as its owner (migrate, audit verify)"),
    SETTING_TEXT(struct ctl_config, database_password_file, "SIGNET_DATABASE_PASSWORD_FILE", "", "file with the owner's password"),
    SETTING_NUMBER(struct ctl_config, timeout_ms, "SIGNET_TIMEOUT_MS", "30000", 100, 600000, "how long one command may take"),
};
static const size_t setting_count = sizeof(settings) / sizeof(settings[0]);

static void
print_command(FILE *to, const struct command *command)
{
    char line[160];

    (void)snprintf(line, sizeof(line), "%s %s %s", command->group, command->verb, command->words);
    fprintf(to, "  signetctl %-42s %s\n", line, command->summary);
}

static void
print_help(FILE *to)
{
    size_t i;

    fputs("signetctl: the operator's command of Signet.\n\n", to);
    for (i = 0; i < command_count; i++)
        print_command(to, &commands[i]);
    fputs("\nEvery command takes --json for programs and --help for its options.\n"
          "Exit codes: 0 done, 1 refused, 2 wrong usage, 3 something is away, 4 not found, 5 the audit log does not verify.\n\nSettings:\n\n",
          to);
    config_print_help(to, settings, setting_count);
}

/* "policy create" is two of the words typed. */
static bool
has_verb(const struct command *command, int argc, char **argv)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    size_t count, i;
    char **verb = text_split(arena, command->verb, ' ', &count);

    for (i = 0; i < count; i++)
        if ((int)i + 2 >= argc || !text_equal(argv[i + 2], verb[i]))
            return false;
    return true;
}

static const struct command *
find_command(int argc, char **argv)
{
    size_t i;

    for (i = 0; i < command_count; i++)
        if (argc > 1 && text_equal(argv[1], commands[i].group) && has_verb(&commands[i], argc, argv))
            return &commands[i];
    return NULL;
}

/* "ca --help", "acme policy --help": the commands that begin so; false when there are none. */
static bool
print_group(int argc, char **argv)
{
    bool found = false;
    size_t i;

    for (i = 0; i < command_count; i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        size_t count;
        char **verb = text_split(arena, commands[i].verb, ' ', &count);
        bool begins_so = text_equal(argv[1], commands[i].group) && (size_t)argc <= count + 2;
        for (int at = 2; begins_so && at < argc; at++)
            begins_so = text_equal(argv[at], verb[at - 2]);
        if (begins_so)
            print_command(stdout, &commands[i]);
        found = found || begins_so;
    }
    return found;
}

/* "ca" alone, or "ca frobnicate": the commands that there are. */
static int
refuse_command(int argc, char **argv)
{
    bool group_known = false;
    size_t i;

    for (i = 0; i < command_count; i++)
        group_known = group_known || text_equal(argv[1], commands[i].group);
    fprintf(stderr, "signetctl: there is no command \"%s%s%s\"", argv[1], argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
    if (!group_known) {
        fputs(": see signetctl --help\n", stderr);
        return EXIT_USAGE;
    }
    fputs("; there are:\n", stderr);
    for (i = 0; i < command_count; i++)
        if (text_equal(argv[1], commands[i].group))
            fprintf(stderr, "  signetctl %s %s %s\n", commands[i].group, commands[i].verb, commands[i].words);
    return EXIT_USAGE;
}

/* What fails before the options are read is told as their reader wants it. */
static bool
has_word(int argc, char **argv, const char *word)
{
    for (int i = 1; i < argc; i++)
        if (text_equal(argv[i], word))
            return true;
    return false;
}

static int
exit_code(enum error error, const struct request *rq)
{
    if (error == OK)
        return 0;
    if (text_equal(rq->failure.reason, "unverified"))
        return EXIT_UNVERIFIED;
    if (text_equal(rq->failure.reason, "usage"))
        return EXIT_USAGE;
    if (error == ERR_NOT_FOUND)
        return EXIT_NOT_FOUND;
    return error_is_retriable(error) ? EXIT_UNAVAILABLE : EXIT_REFUSED;
}

static void
print_failure(const struct ctl *ctl, const struct request *rq, enum error error)
{
    if (ctl->json) {
        json_print_to(stderr, json_pack("{s:{s:s, s:s, s:s, s:i}}", "error", "kind", error_name(error), "message", rq->failure.message, "layer",
                                        rq->failure.layer, "retry_after_s", rq->failure.retry_after_s));
        return;
    }
    fprintf(stderr, "signetctl: %s%s%s", rq->failure.layer, rq->failure.layer[0] ? ": " : "", rq->failure.message);
    if (rq->failure.detail[0] != '\0')
        fprintf(stderr, " (%s)", rq->failure.detail);
    fputc('\n', stderr);
    if (error == ERR_UNAVAILABLE && ctl->command->run != status)
        fputs("`signetctl status` shows which service is away\n", stderr);
}

int
main(int argc, char **argv)
{
    struct ctl ctl = {0};
    AUTO_STRUCT(request, rq) = request_new();
    enum error error;
    int code;

    if (argc > 1 && text_equal(argv[1], "--version"))
        return printf("signetctl %s\n", service_version()) < 0;
    if (argc < 2 || text_equal(argv[1], "--help") || text_equal(argv[1], "-h") || text_equal(argv[1], "help"))
        return print_help(argc < 2 ? stderr : stdout), argc < 2 ? EXIT_USAGE : 0;
    ctl.command = find_command(argc, argv);
    if (ctl.command == NULL && text_equal(argv[argc - 1], "--help") && print_group(argc - 1, argv))
        return 0;
    if (ctl.command == NULL)
        return refuse_command(argc, argv);
    ctl.json = has_word(argc, argv, "--json");

    log_open("signetctl", "signetctl", LOG_LEVEL_ERROR);
    error = config_load(rq, settings, setting_count, &ctl.config);
    if (!error)
        error = arguments_parse(&ctl, rq, argc, argv);
    if (!error && argument(&ctl, "help") == NULL) {
        rq->deadline_ms = clock_monotonic_ms() + ctl.config.timeout_ms;
        error = ctl.command->run(&ctl, rq);
    }
    if (error)
        print_failure(&ctl, rq, error);
    code = exit_code(error, rq);
    ctl_close(&ctl);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("signetctl: standard output cannot be written\n", stderr);
        return code != 0 ? code : EXIT_REFUSED;
    }
    return code;
}
