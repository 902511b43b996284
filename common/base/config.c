/*
 * Settings from the environment. Called once by service_start: config_load fills the service's struct or reports all that is wrong at once,
 * so that whoever installs the service mends everything in one round.
 */
#include "base/config.h"

#include <assert.h>
#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define HOST_ROOM 256
#define HELP_COLUMNS 120
#define DEFAULT_COLUMNS 28
#define VALUE_SHOWN 60

bool
config_split_address(const char *address, char *ret_host, int *ret_port)
{
    char host[HOST_ROOM];
    struct in6_addr v6;
    int64_t port;

    if (address == NULL)
        return false;
    const char *colon = strrchr(address, ':');
    bool bracketed = *address == '[' && colon != NULL && colon - address >= 2 && colon[-1] == ']';
    const char *from = address + bracketed;
    if (colon == NULL || !text_parse_number(colon + 1, 0, 65535, &port) || colon[1] == '-')
        return false;
    size_t len = (size_t)(colon - bracketed - from);
    if (len == 0 || len >= sizeof host)
        return false;
    memcpy(host, from, len);
    host[len] = '\0';
    bool is_host =
        bracketed ? inet_pton(AF_INET6, host, &v6) == 1 : strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == len;
    if (!is_host)
        return false;
    memcpy(ret_host, host, len + 1);
    *ret_port = (int)port;
    return true;
}

static bool
is_one_of(const char *value, const char *const words[4])
{
    for (size_t i = 0; i < 4; i++)
        if (text_equal_nocase(value, words[i]))
            return true;
    return false;
}

static bool
parse_switch(const char *value, bool *ret_on)
{
    static const char *const yes[4] = {"1", "true", "yes", "on"}, *const no[4] = {"0", "false", "no", "off"};

    if (!is_one_of(value, yes) && !is_one_of(value, no))
        return false;
    *ret_on = is_one_of(value, yes);
    return true;
}

/* What was set, or the fallback. Set but empty is not set: that is how compose files and unit files leave something out. */
static const char *
value_of(const struct setting *setting)
{
    const char *value = getenv(setting->name);

    return text_is_empty(value) ? setting->fallback : value;
}

/* What is wrong is appended to `wrong`. */
static void
load_one(const struct setting *setting, void *into, struct buffer *wrong)
{
    const char *value = value_of(setting);
    void *member = (char *)into + setting->offset;
    char host[HOST_ROOM];
    int64_t number;
    int port;

    assert(setting->least >= INT_MIN && setting->most <= INT_MAX);
    if (value == NULL) {
        buffer_append_format(wrong, "; %s must be set", setting->name);
        return;
    }
    switch (setting->type) {
    case SETTING_IS_TEXT:
        *(const char **)member = value;
        return;
    case SETTING_IS_NUMBER:
        if (!text_parse_number(value, setting->least, setting->most, &number))
            buffer_append_format(wrong, "; %s must be a number from %ld to %ld, not \"%.*s\"", setting->name, setting->least, setting->most,
                                 VALUE_SHOWN, value);
        else
            *(int *)member = (int)number;
        return;
    case SETTING_IS_SWITCH:
        if (!parse_switch(value, member))
            buffer_append_format(wrong, "; %s must be \"on\" or \"off\", not \"%.*s\"", setting->name, VALUE_SHOWN, value);
        return;
    case SETTING_IS_ADDRESS:
        /* An empty fallback makes an address optional too. */
        if (*value != '\0' && !config_split_address(value, host, &port))
            buffer_append_format(wrong, "; %s must be \"host:port\" or \"[v6]:port\", not \"%.*s\"", setting->name, VALUE_SHOWN, value);
        else
            *(const char **)member = value;
        return;
    }
}

enum error
config_load(struct request *rq, const struct setting *settings, size_t count, void *into)
{
    struct buffer wrong = buffer_in(rq->arena);

    for (size_t i = 0; i < count; i++)
        load_one(&settings[i], into, &wrong);
    if (wrong.len > 0)
        return fail(rq, ERR_BAD_REQUEST, "%s", buffer_text(&wrong) + strlen("; "));
    return OK;
}

static const char *
default_shown(const struct setting *setting)
{
    if (setting->fallback == NULL)
        return "(required)";
    return *setting->fallback == '\0' ? "(none)" : setting->fallback;
}

static int
widest(const struct setting *settings, size_t count, const char *(*shown)(const struct setting *), size_t most)
{
    size_t width = 0;

    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(shown(&settings[i]));
        if (len > width && len <= most)
            width = len;
    }
    return (int)width;
}

static const char *
name_shown(const struct setting *setting)
{
    return setting->name;
}

/* Breaks at blanks so that a meaning stays in its column. */
static void
print_wrapped(FILE *to, const char *text, int indent)
{
    int column = indent;

    for (const char *word = text; *word != '\0';) {
        size_t len = strcspn(word, " ");
        if (column > indent && column + 1 + (int)len > HELP_COLUMNS) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        }
        fprintf(to, "%s%.*s", column > indent ? " " : "", (int)len, word);
        column += (int)len + (column > indent);
        word += len;
        word += strspn(word, " ");
    }
}

void
config_print_help(FILE *to, const struct setting *settings, size_t count)
{
    int names = widest(settings, count, name_shown, SIZE_MAX);
    int defaults = widest(settings, count, default_shown, DEFAULT_COLUMNS);
    int indent = 2 + names + 2 + defaults + 2;

    for (size_t i = 0; i < count; i++) {
        const struct setting *setting = &settings[i];
        char range[64] = "";
        if ((int)strlen(default_shown(setting)) > defaults)
            fprintf(to, "  %-*s  %s\n%*s", names, setting->name, default_shown(setting), indent, "");
        else
            fprintf(to, "  %-*s  %-*s  ", names, setting->name, defaults, default_shown(setting));
        if (setting->type == SETTING_IS_NUMBER)
            snprintf(range, sizeof range, " (%ld to %ld)", setting->least, setting->most);
        else if (setting->type == SETTING_IS_SWITCH)
            snprintf(range, sizeof range, " (on or off)");
        AUTO_STRUCT(arena, arena) = arena_new();
        print_wrapped(to, arena_format(arena, "%s%s", setting->help, range), indent);
        fputc('\n', to);
    }
}

/* Up to the secret of a libpq parameter: "?password=…", "sslpassword = '…'". Where it ends depends on how it is quoted, so nothing behind it is
 * shown. */
static const char *
find_secret(const char *value)
{
    for (const char *at = value; (at = strstr(at, "password")) != NULL;) {
        at += strlen("password");
        if (at[strspn(at, " ")] == '=')
            return at + strspn(at, " ") + 1;
    }
    return NULL;
}

/* Passwords belong into …_FILE settings; who writes one into a URL all the same shall not find it in a log. */
static void
print_masked(FILE *to, const char *value)
{
    const char *scheme_end = strstr(value, "://");
    const char *user = scheme_end == NULL ? NULL : scheme_end + 3;
    size_t authority = user == NULL ? 0 : strcspn(user, "/?#");
    const char *at_sign = user == NULL ? NULL : memrchr(user, '@', authority);
    const char *colon = at_sign == NULL ? NULL : memchr(user, ':', (size_t)(at_sign - user));
    const char *rest = colon == NULL ? value : at_sign;
    const char *secret = find_secret(rest);

    if (colon != NULL)
        fprintf(to, "%.*s:***", (int)(colon - value), value);
    if (secret != NULL)
        fprintf(to, "%.*s***\n", (int)(secret - rest), rest);
    else
        fprintf(to, "%s\n", rest);
}

void
config_print_values(FILE *to, const struct setting *settings, size_t count, const void *from)
{
    for (size_t i = 0; i < count; i++) {
        const void *member = (const char *)from + settings[i].offset;
        const char *text;
        fprintf(to, "%s=", settings[i].name);
        switch (settings[i].type) {
        case SETTING_IS_NUMBER:
            fprintf(to, "%d\n", *(const int *)member);
            break;
        case SETTING_IS_SWITCH:
            fprintf(to, "%s\n", *(const bool *)member ? "on" : "off");
            break;
        case SETTING_IS_TEXT:
        case SETTING_IS_ADDRESS:
            text = *(const char *const *)member;
            print_masked(to, text == NULL ? "" : text);
            break;
        }
    }
}
