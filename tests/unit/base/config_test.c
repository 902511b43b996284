/* Settings from the environment. */
#include "unit/kit.h"

#include <string.h>

#include "base/config.h"

struct sample {
    const char *key_file;
    const char *motto;
    int workers;
    bool strict;
    const char *listen;
    const char *upstream;
};

static const struct setting settings[] = {
    SETTING_TEXT(struct sample, key_file, "SIGNET_TEST_KEY_FILE", NULL, "PEM file with the Ed25519 key of the warrants"),
    SETTING_TEXT(struct sample, motto, "SIGNET_TEST_MOTTO", "", "words for the front page"),
    SETTING_NUMBER(struct sample, workers, "SIGNET_TEST_WORKERS", "8", 1, 256, "calls worked on at once"),
    SETTING_SWITCH(struct sample, strict, "SIGNET_TEST_STRICT", "on", "refuse what is merely odd"),
    SETTING_ADDRESS(struct sample, listen, "SIGNET_TEST_LISTEN", "127.0.0.1:8080", "where to listen"),
    SETTING_ADDRESS(struct sample, upstream, "SIGNET_TEST_UPSTREAM", "", "where to forward; none: nowhere"),
};

static struct request *rq;

static int
begin(void **state)
{
    rq = request_new();
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        unsetenv(settings[i].name);
    return 0;
}

static int
end(void **state)
{
    request_free(TAKE(rq));
    return 0;
}

static enum error
load(struct sample *sample)
{
    return config_load(rq, settings, COUNT_OF(settings), sample);
}

static void
fallbacks_stand_where_nothing_is_set(void **state)
{
    struct sample sample = {0};

    setenv("SIGNET_TEST_KEY_FILE", "/etc/key.pem", 1);
    assert_int_equal(load(&sample), OK);
    assert_string_equal(sample.key_file, "/etc/key.pem");
    assert_string_equal(sample.motto, "");
    assert_int_equal(sample.workers, 8);
    assert_true(sample.strict);
    assert_string_equal(sample.listen, "127.0.0.1:8080");
    assert_string_equal(sample.upstream, "");
}

static void
what_is_set_counts(void **state)
{
    struct sample sample = {0};

    setenv("SIGNET_TEST_KEY_FILE", "k", 1);
    setenv("SIGNET_TEST_MOTTO", "fiat lux", 1);
    setenv("SIGNET_TEST_WORKERS", "256", 1);
    setenv("SIGNET_TEST_STRICT", "No", 1);
    setenv("SIGNET_TEST_LISTEN", "[::1]:0", 1);
    setenv("SIGNET_TEST_UPSTREAM", "nats.example:4222", 1);
    assert_int_equal(load(&sample), OK);
    assert_string_equal(sample.motto, "fiat lux");
    assert_int_equal(sample.workers, 256);
    assert_false(sample.strict);
    assert_string_equal(sample.listen, "[::1]:0");
    assert_string_equal(sample.upstream, "nats.example:4222");
}

static void
set_but_empty_is_not_set(void **state)
{
    struct sample sample = {0};

    setenv("SIGNET_TEST_KEY_FILE", "", 1);
    setenv("SIGNET_TEST_WORKERS", "", 1);
    assert_int_equal(load(&sample), ERR_BAD_REQUEST);
    assert_string_equal(rq->failure.message, "SIGNET_TEST_KEY_FILE must be set");
    assert_int_equal(sample.workers, 8);
}

static void
every_wrong_setting_is_reported_at_once(void **state)
{
    struct sample sample = {0};

    setenv("SIGNET_TEST_WORKERS", "257", 1);
    setenv("SIGNET_TEST_STRICT", "maybe", 1);
    setenv("SIGNET_TEST_LISTEN", "8080", 1);
    setenv("SIGNET_TEST_UPSTREAM", "nats.example:99999", 1);
    assert_int_equal(load(&sample), ERR_BAD_REQUEST);
    assert_string_equal(rq->failure.message, "SIGNET_TEST_KEY_FILE must be set; SIGNET_TEST_WORKERS must be a number from 1 to 256, not \"257\"; "
                                             "SIGNET_TEST_STRICT must be \"on\" or \"off\", not \"maybe\"; "
                                             "SIGNET_TEST_LISTEN must be \"host:port\" or \"[v6]:port\", not \"8080\"; "
                                             "SIGNET_TEST_UPSTREAM must be \"host:port\" or \"[v6]:port\", not \"nats.example:99999\"");
}

static void
switches_have_eight_words(void **state)
{
    static const char *const on[] = {"1", "true", "yes", "on", "TRUE", "On"}, *const off[] = {"0", "false", "no", "off", "OFF"};
    struct sample sample = {0};

    setenv("SIGNET_TEST_KEY_FILE", "k", 1);
    for (size_t i = 0; i < COUNT_OF(on); i++) {
        setenv("SIGNET_TEST_STRICT", on[i], 1);
        sample.strict = false;
        assert_int_equal(load(&sample), OK);
        assert_true(sample.strict);
    }
    for (size_t i = 0; i < COUNT_OF(off); i++) {
        setenv("SIGNET_TEST_STRICT", off[i], 1);
        assert_int_equal(load(&sample), OK);
        assert_false(sample.strict);
    }
}

static void
numbers_out_of_bounds_or_words_are_refused(void **state)
{
    static const char *const refused[] = {"0", "-1", "8x", " 8", "eight", "4294967304"};
    struct sample sample = {0};

    setenv("SIGNET_TEST_KEY_FILE", "k", 1);
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        setenv("SIGNET_TEST_WORKERS", refused[i], 1);
        failure_clear(rq);
        if (load(&sample) != ERR_BAD_REQUEST)
            fail_msg("accepted \"%s\"", refused[i]);
    }
    setenv("SIGNET_TEST_WORKERS", "1", 1);
    failure_clear(rq);
    assert_int_equal(load(&sample), OK);
}

static char *
printed(void (*print)(FILE *))
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    print(to);
    fclose(to);
    char *copy = arena_text(rq->arena, text);
    free(text);
    return copy;
}

static void
print_help(FILE *to)
{
    config_print_help(to, settings, COUNT_OF(settings));
}

static void
help_is_a_table(void **state)
{
    assert_string_equal(printed(print_help), "  SIGNET_TEST_KEY_FILE  (required)      PEM file with the Ed25519 key of the warrants\n"
                                             "  SIGNET_TEST_MOTTO     (none)          words for the front page\n"
                                             "  SIGNET_TEST_WORKERS   8               calls worked on at once (1 to 256)\n"
                                             "  SIGNET_TEST_STRICT    on              refuse what is merely odd (on or off)\n"
                                             "  SIGNET_TEST_LISTEN    127.0.0.1:8080  where to listen\n"
                                             "  SIGNET_TEST_UPSTREAM  (none)          where to forward; none: nowhere\n");
}

static const struct setting long_settings[] = {
    SETTING_TEXT(
        struct sample, motto, "SIGNET_TEST_LONG", "a fallback that is far longer than its column",
        "a meaning that goes on and on until it has to be broken, so that it stays in its own column and the table can still be read with ease"),
    SETTING_NUMBER(struct sample, workers, "SIGNET_TEST_N", "8", 1, 9, "short"),
};

static void
print_long_help(FILE *to)
{
    config_print_help(to, long_settings, COUNT_OF(long_settings));
}

static void
long_help_stays_in_its_columns(void **state)
{
    assert_string_equal(printed(print_long_help),
                        "  SIGNET_TEST_LONG  a fallback that is far longer than its column\n"
                        "                       a meaning that goes on and on until it has to be broken, so that it stays in its own column and\n"
                        "                       the table can still be read with ease\n"
                        "  SIGNET_TEST_N     8  short (1 to 9)\n");
}

static struct sample shown;

static void
print_values(FILE *to)
{
    config_print_values(to, settings, COUNT_OF(settings), &shown);
}

static void
values_are_shown_without_passwords(void **state)
{
    shown = (struct sample){.key_file = "postgresql://ra:s3c@r:et@db.example:5432/signet?a=b@c",
                            .motto = "mailto://user@host",
                            .workers = 12,
                            .strict = false,
                            .listen = "0.0.0.0:80"};
    assert_string_equal(printed(print_values), "SIGNET_TEST_KEY_FILE=postgresql://ra:***@db.example:5432/signet?a=b@c\n"
                                               "SIGNET_TEST_MOTTO=mailto://user@host\n"
                                               "SIGNET_TEST_WORKERS=12\n"
                                               "SIGNET_TEST_STRICT=off\n"
                                               "SIGNET_TEST_LISTEN=0.0.0.0:80\n"
                                               "SIGNET_TEST_UPSTREAM=\n");
}

static void
passwords_of_other_forms_are_not_shown_either(void **state)
{
    static const struct {
        const char *value, *shown;
    } cases[] = {{"postgresql://ra:s3c@db/signet?sslmode=require&password=secret", "postgresql://ra:***@db/signet?sslmode=require&password=***"},
                 {"host=db password = 'se cret' user=ra", "host=db password =***"},
                 {"postgresql://db/signet?sslpassword=secret", "postgresql://db/signet?sslpassword=***"},
                 {"/etc/signet/password", "/etc/signet/password"}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        shown = (struct sample){.key_file = cases[i].value, .motto = "", .listen = "", .upstream = ""};
        const char *first = printed(print_values), *wanted = arena_format(arena, "SIGNET_TEST_KEY_FILE=%s\n", cases[i].shown);
        assert_memory_equal(first, wanted, strlen(wanted));
    }
}

static void
addresses_are_split(void **state)
{
    static const struct {
        const char *address, *host;
        int port;
    } cases[] = {{"127.0.0.1:0", "127.0.0.1", 0},
                 {"ra.signet.svc:8443", "ra.signet.svc", 8443},
                 {"localhost:65535", "localhost", 65535},
                 {"my_host-1:1", "my_host-1", 1},
                 {"[::]:80", "::", 80},
                 {"[2001:db8::1]:443", "2001:db8::1", 443}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char host[256];
        int port = -1;
        assert_true(config_split_address(cases[i].address, host, &port));
        assert_string_equal(host, cases[i].host);
        assert_int_equal(port, cases[i].port);
    }
}

static void
what_is_no_address_is_refused(void **state)
{
    static const char *const refused[] = {"",       ":",       ":80",    "host",  "host:",      "host:65536", "host:-0",      "host:+1", "host:80 ",
                                          "a b:80", "host:8o", "::1:80", "[]:80", "[::1]",      "[::1:80",    "[host]:80",    "::1]:80", "[::1]x:80",
                                          "[:80",   "]:80",    "[::1]:", "*:80",  "http://h:1", "[::1%lo]:1", "[127.0.0.1]:1"};
    char host[256] = "untouched", long_name[300];
    int port = 42;

    for (size_t i = 0; i < COUNT_OF(refused); i++)
        if (config_split_address(refused[i], host, &port))
            fail_msg("accepted \"%s\"", refused[i]);
    assert_false(config_split_address(NULL, host, &port));
    memset(long_name, 'a', 256);
    memcpy(long_name + 256, ":1", sizeof ":1");
    assert_false(config_split_address(long_name, host, &port));
    assert_string_equal(host, "untouched");
    assert_int_equal(port, 42);
    assert_true(config_split_address(long_name + 1, host, &port));
}

#define WITH_REQUEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_REQUEST(fallbacks_stand_where_nothing_is_set),
        WITH_REQUEST(what_is_set_counts),
        WITH_REQUEST(set_but_empty_is_not_set),
        WITH_REQUEST(every_wrong_setting_is_reported_at_once),
        WITH_REQUEST(switches_have_eight_words),
        WITH_REQUEST(numbers_out_of_bounds_or_words_are_refused),
        WITH_REQUEST(help_is_a_table),
        WITH_REQUEST(long_help_stays_in_its_columns),
        WITH_REQUEST(values_are_shown_without_passwords),
        WITH_REQUEST(passwords_of_other_forms_are_not_shown_either),
        cmocka_unit_test(addresses_are_split),
        cmocka_unit_test(what_is_no_address_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
