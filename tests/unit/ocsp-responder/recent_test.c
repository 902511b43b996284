/* Answers by the octets of their requests. Run it under sanitizers too: they see an answer that is freed twice or never. */
#include "unit/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ocsp_responder.h"

static const struct http_route get = {"GET", "/", NULL, ON_LOOP, 0}, post = {"POST", "/", NULL, ON_LOOP, 0};

/* Both live as long as their process. */
static struct cache *cache;
static struct recent *recent;

static int
begin(void **state)
{
    if (cache == NULL)
        cache = cache_new(100000);
    recent = recent_new();
    return 0;
}

/* Each case has cleared the cache; what still stands here is let go when it is looked for. */
static int
end(void **state)
{
    free(recent);
    return 0;
}

/* An answer about `serial`, new in the cache. */
static const struct cached *
put(const char *serial)
{
    struct bytes id = bytes_of_text(serial);
    struct cached from = {.serial = id, .cert_id = id, .response = id, .etag = "", .last_modified = "", .expires = "", .cache_control = ""};

    return cache_put(cache, cache_ticket(cache, id), &from);
}

static void
keep(const char *octets, const char *serial)
{
    const struct cached *entry = put(serial);

    recent_keep(recent, &get, bytes_of_text(octets), entry);
    cache_release((void *)entry);
}

/* What these octets are answered with; "" for nothing. */
static const char *
found(const struct http_route *route, const char *octets)
{
    static char text[64];
    const struct cached *entry;
    struct recent_answer *answer = recent_find(recent, route, bytes_of_text(octets), &entry);

    text[0] = '\0';
    if (answer != NULL) {
        (void)snprintf(text, sizeof text, "%.*s", (int)entry->response.len, (const char *)entry->response.at);
        recent_release(answer);
    }
    return text;
}

static void
finds_the_same_octets_of_the_same_route(void **state)
{
    keep("request-1", "01");
    keep("request-2", "02");
    assert_string_equal(found(&get, "request-1"), "01");
    assert_string_equal(found(&get, "request-2"), "02");
    assert_string_equal(found(&get, "request-1"), "01");
    assert_string_equal(found(&post, "request-1"), "");
    assert_string_equal(found(&get, "request-"), "");
    assert_string_equal(found(&get, "request-11"), "");
    assert_string_equal(found(&get, ""), "");
    cache_clear(cache);
    assert_string_equal(found(&get, "request-1"), "");
    assert_string_equal(found(&get, "request-2"), "");
}

static void
forgets_what_the_cache_has_let_go(void **state)
{
    keep("request-1", "01");
    keep("request-2", "02");
    cache_drop(cache, bytes_of_text("01"));
    assert_string_equal(found(&get, "request-1"), "");
    assert_string_equal(found(&get, "request-2"), "02");
    keep("request-1", "01");
    assert_string_equal(found(&get, "request-1"), "01");
    cache_clear(cache);
    assert_string_equal(found(&get, "request-1"), "");
    assert_string_equal(found(&get, "request-2"), "");
}

/* The client is still being written to when the answer leaves its place. */
static void
a_lent_answer_outlives_its_place(void **state)
{
    const struct cached *entry;

    keep("request", "01");
    struct recent_answer *one = recent_find(recent, &get, bytes_of_text("request"), &entry);
    struct recent_answer *two = recent_find(recent, &get, bytes_of_text("request"), &entry);
    assert_ptr_equal(one, two);
    cache_clear(cache);
    assert_string_equal(found(&get, "request"), "");
    recent_release(one);
    assert_memory_equal(entry->response.at, "01", 2);
    recent_release(two);
}

static void
what_is_asked_again_is_not_driven_out_by_what_is_asked_once(void **state)
{
    char octets[32], serial[32];
    int kept = 0;

    keep("often", "often");
    for (int i = 0; i < 30000; i++) {
        (void)snprintf(octets, sizeof octets, "once-%d", i);
        (void)snprintf(serial, sizeof serial, "%d", i % 100);
        assert_string_equal(found(&get, "often"), "often");
        keep(octets, serial);
    }
    for (int i = 0; i < 30000; i++) {
        (void)snprintf(octets, sizeof octets, "once-%d", i);
        kept += *found(&get, octets) != '\0';
    }
    assert_in_range(kept, 1, 4095);
    cache_clear(cache);
    for (int i = 0; i < 30000; i++) {
        (void)snprintf(octets, sizeof octets, "once-%d", i);
        assert_string_equal(found(&get, octets), "");
    }
    assert_string_equal(found(&get, "often"), "");
}

/* 4096 places: these requests have some of them in common. */
static void
what_nobody_asks_for_any_more_makes_room(void **state)
{
    const struct cached *entry = put("01");
    char octets[32];
    int first = 0, last = 0;

    for (int i = 0; i < 200000; i++) {
        (void)snprintf(octets, sizeof octets, "%d", i);
        recent_keep(recent, &get, bytes_of_text(octets), entry);
    }
    cache_release((void *)entry);
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(octets, sizeof octets, "%d", i);
        first += *found(&get, octets) != '\0';
        (void)snprintf(octets, sizeof octets, "%d", 199999 - i);
        last += *found(&get, octets) != '\0';
    }
    assert_true(first < last);
    cache_clear(cache);
    for (int i = 0; i < 200000; i++) {
        (void)snprintf(octets, sizeof octets, "%d", i);
        assert_string_equal(found(&get, octets), "");
    }
}

static void
long_requests_are_not_kept(void **state)
{
    static char octets[514];

    memset(octets, 'a', 513);
    keep(octets, "01");
    assert_string_equal(found(&get, octets), "");
    octets[512] = '\0';
    keep(octets, "01");
    assert_string_equal(found(&get, octets), "01");
    cache_clear(cache);
    assert_string_equal(found(&get, octets), "");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(finds_the_same_octets_of_the_same_route),  CASE(forgets_what_the_cache_has_let_go),
        CASE(a_lent_answer_outlives_its_place),         CASE(what_is_asked_again_is_not_driven_out_by_what_is_asked_once),
        CASE(what_nobody_asks_for_any_more_makes_room), CASE(long_requests_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
