/* The cache: shared entries, tickets, full buckets. Run it under sanitizers too: they see an entry that is freed twice or never. */
#include "unit/kit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "ocsp_responder.h"

/* A cache lives as long as its process: those of all cases are kept in reach. */
static struct cache *
new_cache(void)
{
    static struct cache *caches[16];
    static size_t count;

    assert_true(count < COUNT_OF(caches));
    return caches[count++] = cache_new(100);
}

static struct cached
entry_for(const char *serial, const char *cert_id, const char *response)
{
    return (struct cached){.cert_id = bytes_of_text(cert_id),
                           .serial = bytes_of_text(serial),
                           .response = bytes_of_text(response),
                           .etag = "\"etag\"",
                           .last_modified = "yesterday",
                           .expires = "tomorrow",
                           .cache_control = "max-age=1"};
}

static void
put(struct cache *cache, const char *serial, const char *cert_id, const char *response)
{
    struct cached entry = entry_for(serial, cert_id, response);

    cache_release((void *)cache_put(cache, cache_ticket(cache, entry.serial), &entry));
}

/* What the cache has, as a text on the stack of the test; "" for nothing. */
static const char *
found(struct cache *cache, const char *serial, const char *cert_id)
{
    static char text[64];
    const struct cached *entry = cache_find(cache, bytes_of_text(serial), bytes_of_text(cert_id));

    text[0] = '\0';
    if (entry != NULL) {
        (void)snprintf(text, sizeof text, "%.*s", (int)entry->response.len, (const char *)entry->response.at);
        cache_release((void *)entry);
    }
    return text;
}

static void
finds_what_was_put_by_the_whole_cert_id(void **state)
{
    struct cache *cache = new_cache();

    put(cache, "01", "sha1-01", "first");
    put(cache, "01", "sha256-01", "second");
    assert_string_equal(found(cache, "01", "sha1-01"), "first");
    assert_string_equal(found(cache, "01", "sha256-01"), "second");
    assert_string_equal(found(cache, "01", "sha384-01"), "");
    assert_string_equal(found(cache, "02", "sha1-02"), "");
    put(cache, "01", "sha1-01", "newer");
    assert_string_equal(found(cache, "01", "sha1-01"), "newer");
    cache_clear(cache);
}

static void
copies_everything_that_an_entry_points_at(void **state)
{
    struct cache *cache = new_cache();
    char serial[] = "01", id[] = "id", response[] = "response", etag[] = "\"e\"";
    struct cached from = entry_for(serial, id, response);

    from.etag = etag;
    const struct cached *kept = cache_put(cache, cache_ticket(cache, from.serial), &from);
    memset(serial, 'x', 2);
    memset(id, 'x', 2);
    memset(response, 'x', 8);
    memset(etag, 'x', 3);
    assert_string_equal(kept->etag, "\"e\"");
    assert_memory_equal(kept->serial.at, "01", 2);
    cache_release((void *)kept);
    assert_string_equal(found(cache, "01", "id"), "response");
    cache_clear(cache);
}

static void
a_drop_forgets_every_answer_about_a_serial_and_no_other(void **state)
{
    struct cache *cache = new_cache();

    put(cache, "01", "sha1-01", "first");
    put(cache, "01", "sha256-01", "second");
    put(cache, "02", "sha1-02", "other");
    cache_drop(cache, bytes_of_text("01"));
    assert_string_equal(found(cache, "01", "sha1-01"), "");
    assert_string_equal(found(cache, "01", "sha256-01"), "");
    assert_string_equal(found(cache, "02", "sha1-02"), "other");
    cache_clear(cache);
    assert_string_equal(found(cache, "02", "sha1-02"), "");
}

/* The database was read, then the event came, then the answer was made. */
static void
an_answer_made_before_a_drop_is_given_but_not_kept(void **state)
{
    void (*const forgets[])(struct cache *) = {cache_clear, NULL};

    for (size_t i = 0; i < COUNT_OF(forgets); i++) {
        struct cache *cache = new_cache();
        struct cached stale = entry_for("01", "id", "good"), fresh = entry_for("01", "id", "revoked");
        uint64_t ticket = cache_ticket(cache, stale.serial);

        if (forgets[i] != NULL)
            forgets[i](cache);
        else
            cache_drop(cache, stale.serial);
        const struct cached *given = cache_put(cache, ticket, &stale);
        assert_memory_equal(given->response.at, "good", 4);
        cache_release((void *)given);
        assert_string_equal(found(cache, "01", "id"), "");
        cache_release((void *)cache_put(cache, cache_ticket(cache, fresh.serial), &fresh));
        assert_string_equal(found(cache, "01", "id"), "revoked");
        cache_clear(cache);
    }
}

/* The client is still being written to when the entry leaves the cache. */
static void
a_lent_entry_outlives_its_place_in_the_cache(void **state)
{
    struct cache *cache = new_cache();

    put(cache, "01", "id", "response");
    const struct cached *one = cache_find(cache, bytes_of_text("01"), bytes_of_text("id"));
    const struct cached *two = cache_find(cache, bytes_of_text("01"), bytes_of_text("id"));
    assert_ptr_equal(one, two);
    cache_drop(cache, bytes_of_text("01"));
    cache_release((void *)one);
    assert_memory_equal(two->response.at, "response", 8);
    assert_string_equal(two->cache_control, "max-age=1");
    cache_release((void *)two);
}

/* All of one serial are in one bucket. */
static void
a_full_bucket_gives_its_oldest_place_to_the_newcomer(void **state)
{
    struct cache *cache = new_cache();
    char id[16];

    for (int i = 0; i < 9; i++) {
        (void)snprintf(id, sizeof id, "id-%d", i);
        put(cache, "01", id, id);
    }
    assert_string_equal(found(cache, "01", "id-0"), "");
    for (int i = 1; i < 9; i++) {
        (void)snprintf(id, sizeof id, "id-%d", i);
        assert_string_equal(found(cache, "01", id), id);
    }
    put(cache, "01", "id-3", "again");
    assert_string_equal(found(cache, "01", "id-3"), "again");
    cache_clear(cache);
}

struct crowd {
    struct cache *cache;
    int strange; /* answers that nobody put */
};

static void *
work_in_the_cache(void *context)
{
    struct crowd *crowd = context;
    char serial[16];

    for (int i = 0; i < 20000; i++) {
        (void)snprintf(serial, sizeof serial, "%d", i % 7);
        struct cached entry = entry_for(serial, serial, serial);
        uint64_t ticket = cache_ticket(crowd->cache, entry.serial);
        const struct cached *got = cache_find(crowd->cache, entry.serial, entry.cert_id);
        if (got == NULL)
            got = cache_put(crowd->cache, ticket, &entry);
        if (!bytes_equal(got->response, entry.response))
            __atomic_add_fetch(&crowd->strange, 1, __ATOMIC_SEQ_CST);
        cache_release((void *)got);
        if (i % 11 == 0)
            cache_drop(crowd->cache, entry.serial);
        if (i % 1001 == 0)
            cache_clear(crowd->cache);
    }
    return NULL;
}

static void
many_threads_share_it(void **state)
{
    struct crowd crowd = {.cache = new_cache()};
    pthread_t threads[4];

    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work_in_the_cache, &crowd), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(crowd.strange, 0);
    cache_clear(crowd.cache);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put_by_the_whole_cert_id),
        cmocka_unit_test(copies_everything_that_an_entry_points_at),
        cmocka_unit_test(a_drop_forgets_every_answer_about_a_serial_and_no_other),
        cmocka_unit_test(an_answer_made_before_a_drop_is_given_but_not_kept),
        cmocka_unit_test(a_lent_entry_outlives_its_place_in_the_cache),
        cmocka_unit_test(a_full_bucket_gives_its_oldest_place_to_the_newcomer),
        cmocka_unit_test(many_threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
