/* Reads what was typed behind a command: words, `--name value`, `--name=value`, switches; behind `--` words only. Unknown options are refused by
 * name. */
#include <stdarg.h>
#include <string.h>

#include "base/text.h"
#include "profile.h"
#include "signetctl.h"

static const char common_options[] = "json help";

/* 0: unknown, 1: a switch, 2: takes a value. */
static int
option_kind(const char *table, const char *name, size_t len)
{
    const char *at = table;

    while (*at != '\0') {
        size_t word = strcspn(at, " ");
        bool takes_value = word > 0 && at[word - 1] == '=';
        if (word - takes_value == len && strncmp(at, name, len) == 0)
            return takes_value ? 2 : 1;
        at += word + strspn(at + word, " ");
    }
    return 0;
}

enum error
argument_refused(struct request *rq, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    (void)fail(rq, ERR_BAD_REQUEST, "%s", arena_vformat(rq->arena, format, values));
    va_end(values);
    return fail_reason(rq, "usage");
}

static enum error
usage(struct request *rq, const struct command *command, const char *what, const char *word)
{
    return argument_refused(rq, "%s%s; usage: signetctl %s%s%s%s%s, options: %s%sjson", what, word, command->group, command->verb[0] ? " " : "",
                            command->verb, command->words[0] ? " " : "", command->words, command->options, command->options[0] ? " " : "");
}

static enum error
parse_option(struct ctl *ctl, struct request *rq, int count, char **words, int *at)
{
    struct arguments *arguments = &ctl->arguments;
    const char *name = words[*at] + 2;
    size_t len = strcspn(name, "=");
    int kind = option_kind(ctl->command->options, name, len);
    const char *value = "";

    if (kind == 0)
        kind = option_kind(common_options, name, len);
    if (kind == 0)
        return usage(rq, ctl->command, "there is no option ", words[*at]);
    if (kind == 1 && name[len] == '=')
        return usage(rq, ctl->command, "this option takes no value: ", words[*at]);
    if (kind == 2 && name[len] == '=')
        value = name + len + 1;
    else if (kind == 2) {
        if (*at + 1 >= count)
            return usage(rq, ctl->command, "a value is missing behind ", words[*at]);
        value = words[++*at];
    }
    name = arena_text_n(rq->arena, name, len);
    if (argument(ctl, name) != NULL)
        return usage(rq, ctl->command, "given twice: --", name);
    if (arguments->option_count == ARGUMENTS_MAX)
        return usage(rq, ctl->command, "too many options", "");
    arguments->options[arguments->option_count].name = name;
    arguments->options[arguments->option_count++].value = value;
    return OK;
}

static void
print_command_help(struct ctl *ctl, struct request *rq)
{
    const struct command *command = ctl->command;
    const char *at = command->options;

    printf("signetctl %s%s%s%s%s\n\n  %s\n\nOptions:\n", command->group, command->verb[0] ? " " : "", command->verb, command->words[0] ? " " : "",
           command->words, command->summary);
    while (*at != '\0') {
        size_t word = strcspn(at, " ");
        bool takes_value = word > 0 && at[word - 1] == '=';
        const char *option = arena_text_n(rq->arena, at, word - takes_value);
        if (profile_option_fits(rq->arena, argument(ctl, "kind"), option))
            printf("  --%s%s\n", option, takes_value ? " VALUE" : "");
        at += word + strspn(at + word, " ");
    }
    printf("  --json\n");
}

enum error
arguments_parse(struct ctl *ctl, struct request *rq, int count, char **words)
{
    struct arguments *arguments = &ctl->arguments;
    int at = 1 + command_length(ctl->command);
    bool words_only = false;

    for (; at < count; at++) {
        enum error error = OK;
        if (!words_only && text_equal(words[at], "--"))
            words_only = true;
        else if (!words_only && text_starts_with(words[at], "--"))
            error = parse_option(ctl, rq, count, words, &at);
        else if (arguments->word_count < ARGUMENTS_MAX)
            arguments->words[arguments->word_count++] = words[at];
        if (error)
            return error;
    }
    ctl->json = argument(ctl, "json") != NULL;
    if (argument(ctl, "help") != NULL) {
        print_command_help(ctl, rq);
        return OK;
    }
    if (arguments->word_count < (size_t)ctl->command->word_count && ctl->command->words[0] != '[')
        return usage(rq, ctl->command, "missing: ", ctl->command->words);
    if (arguments->word_count > (size_t)ctl->command->word_count)
        return usage(rq, ctl->command, "one word too many: ", arguments->words[ctl->command->word_count]);
    return OK;
}

const char *
argument(const struct ctl *ctl, const char *name)
{
    size_t i;

    for (i = 0; i < ctl->arguments.option_count; i++)
        if (text_equal(ctl->arguments.options[i].name, name))
            return ctl->arguments.options[i].value;
    return NULL;
}

const char *
argument_or(const struct ctl *ctl, const char *name, const char *fallback)
{
    const char *value = argument(ctl, name);

    return value != NULL ? value : fallback;
}

enum error
argument_number(const struct ctl *ctl, struct request *rq, const char *name, int64_t least, int64_t most, int64_t fallback, int64_t *ret_number)
{
    const char *value = argument(ctl, name);

    if (value == NULL) {
        *ret_number = fallback;
        return OK;
    }
    if (text_parse_number(value, least, most, ret_number))
        return OK;
    return argument_refused(rq, "--%s is a number from %lld to %lld, not \"%s\"", name, (long long)least, (long long)most, value);
}
