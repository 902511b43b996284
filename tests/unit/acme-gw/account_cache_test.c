/* The memory of accounts: who is remembered, until when, and that nobody is freed while a request holds him. The database, and what it announces, is
 * this file. */
#include "unit/kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "acme.h"
#include "base/clock.h"

static struct acme gateway;
static atomic_int loads;
static atomic_llong now_ms;
static enum error trouble;
static const char *changed_meanwhile; /* announced while the row is read */
static void (*hear)(void *context, const char *id);
static void (*hear_all_until)(void *context, int64_t until_ms);

int64_t
clock_monotonic_ms(void)
{
    return now_ms;
}

enum error
db_listen_surely(struct db *db, struct request *rq, const char *channel, void (*heard)(void *context, const char *payload),
                 void (*complete)(void *context, int64_t until_ms), void *context)
{
    assert_string_equal(channel, "acme_account");
    hear = heard;
    hear_all_until = complete;
    return OK;
}

enum error
store_load_account(struct acme *acme, struct request *rq, const char *id, struct account *ret_account)
{
    loads++;
    if (trouble != OK)
        return fail(rq, trouble, "no such account");
    if (changed_meanwhile != NULL)
        hear(gateway.accounts, changed_meanwhile);
    *ret_account = (struct account){.id = arena_text(rq->arena, id), .status = ACCOUNT_VALID};
    return OK;
}

enum error
store_insert_account(struct acme *acme, struct request *rq, const struct account *wanted, struct account *ret_account, bool *ret_created)
{
    enum error error = store_load_account(acme, rq, wanted->id, ret_account);
    if (!error)
        *ret_created = true;
    return error;
}

static int
begin(void **state)
{
    gateway.accounts = account_cache_new();
    loads = 0;
    now_ms = 1000000;
    trouble = OK;
    changed_meanwhile = NULL;
    AUTO_STRUCT(request, rq) = request_new();
    assert_int_equal(accounts_follow(&gateway, rq), OK);
    return 0;
}

static int
end(void **state)
{
    account_cache_free(gateway.accounts);
    return 0;
}

static const char *
load(struct request *rq, const char *id)
{
    const struct account *account = NULL;

    assert_int_equal(account_cache_load(&gateway, rq, id, &account), OK);
    assert_string_equal(account->id, id);
    return account->id;
}

static void
an_account_is_loaded_once(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    (void)load(rq, "one-of-many");
    (void)load(rq, "one-of-many");
    assert_int_equal(loads, 1);
}

static void
an_account_that_was_just_made_is_not_loaded(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct account made;
    bool created = false;

    assert_int_equal(account_cache_insert(&gateway, rq, &(struct account){.id = "one-of-many"}, &made, &created), OK);
    assert_true(created);
    assert_string_equal(made.id, "one-of-many");
    (void)load(rq, "one-of-many");
    assert_int_equal(loads, 1);
    trouble = ERR_CONFLICT;
    assert_int_equal(account_cache_insert(&gateway, rq, &(struct account){.id = "two-of-many"}, &made, &created), ERR_CONFLICT);
    failure_clear(rq);
    trouble = OK;
    (void)load(rq, "two-of-many");
    assert_int_equal(loads, 3);
}

static void
an_old_entry_is_loaded_again_when_nothing_is_heard(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    (void)load(rq, "one-of-many");
    now_ms += 6000;
    (void)load(rq, "one-of-many");
    assert_int_equal(loads, 2);
}

static void
an_old_entry_is_good_while_everything_is_heard(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    (void)load(rq, "one-of-many");
    for (int i = 0; i < 100; i++) {
        now_ms += 4000;
        hear_all_until(gateway.accounts, now_ms - 100);
        (void)load(rq, "one-of-many");
    }
    assert_int_equal(loads, 1);
    now_ms += 6000;
    (void)load(rq, "one-of-many");
    assert_int_equal(loads, 2);
}

static void
an_account_that_changes_is_loaded_again_and_no_other(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    (void)load(rq, "one-of-many");
    (void)load(rq, "two-of-many");
    hear(gateway.accounts, "one-of-many");
    (void)load(rq, "two-of-many");
    assert_int_equal(loads, 2);
    (void)load(rq, "one-of-many");
    assert_int_equal(loads, 3);
}

static void
all_are_loaded_again_when_something_may_have_been_missed(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    (void)load(rq, "one-of-many");
    (void)load(rq, "two-of-many");
    hear(gateway.accounts, NULL);
    (void)load(rq, "one-of-many");
    (void)load(rq, "two-of-many");
    assert_int_equal(loads, 4);
}

static void
an_account_that_changes_while_it_is_read_is_not_remembered(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    changed_meanwhile = "one-of-many";
    (void)load(rq, "one-of-many");
    changed_meanwhile = NULL;
    (void)load(rq, "one-of-many");
    assert_int_equal(loads, 2);
    (void)load(rq, "one-of-many");
    assert_int_equal(loads, 2);
}

static void
a_forgotten_account_is_loaded_again_and_no_other(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    (void)load(rq, "one-of-many");
    (void)load(rq, "two-of-many");
    account_cache_forget(gateway.accounts, "one-of-many");
    account_cache_forget(gateway.accounts, "never-there");
    (void)load(rq, "two-of-many");
    assert_int_equal(loads, 2);
    (void)load(rq, "one-of-many");
    assert_int_equal(loads, 3);
}

/* The same first characters, so the same set. */
static void
neighbours_are_not_mistaken_and_the_least_used_makes_room(void **state)
{
    static const char *const ids[] = {"same-a", "same-b", "same-c", "same-d"};
    AUTO_STRUCT(request, rq) = request_new();

    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < COUNT_OF(ids); i++, now_ms++)
            (void)load(rq, ids[i]);
    assert_int_equal(loads, 4);
    (void)load(rq, "same-a");
    now_ms++;
    (void)load(rq, "same-e"); /* in the place of b */
    (void)load(rq, "same-a");
    assert_int_equal(loads, 5);
    (void)load(rq, "same-b");
    assert_int_equal(loads, 6);
}

static void
who_is_held_outlives_his_place(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const char *held = load(rq, "same-a");
    AUTO_STRUCT(request, other) = request_new();

    account_cache_forget(gateway.accounts, "same-a");
    (void)load(other, "same-b");
    assert_string_equal(held, "same-a");
}

static void
an_absent_account_is_not_remembered(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const struct account *account;

    trouble = ERR_NOT_FOUND;
    assert_int_equal(account_cache_load(&gateway, rq, "one-of-many", &account), ERR_NOT_FOUND);
    assert_string_equal(rq->failure.message, "no such account");
    failure_clear(rq);
    trouble = OK;
    (void)load(rq, "one-of-many");
}

static void *
load_and_forget(void *argument)
{
    static const char *const ids[] = {"same-a", "same-b", "same-c", "else-d"};

    for (int i = 0; i < 2000; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        (void)load(rq, ids[(size_t)i % COUNT_OF(ids)]);
        if (i % 7 == 0)
            account_cache_forget(gateway.accounts, ids[(size_t)i % COUNT_OF(ids)]);
    }
    return NULL;
}

static void
threads_do_not_free_what_others_hold(void **state)
{
    pthread_t threads[4];

    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_create(&threads[i], NULL, load_and_forget, NULL);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_account_is_loaded_once),
        CASE(an_account_that_was_just_made_is_not_loaded),
        CASE(an_old_entry_is_loaded_again_when_nothing_is_heard),
        CASE(an_old_entry_is_good_while_everything_is_heard),
        CASE(an_account_that_changes_is_loaded_again_and_no_other),
        CASE(all_are_loaded_again_when_something_may_have_been_missed),
        CASE(an_account_that_changes_while_it_is_read_is_not_remembered),
        CASE(a_forgotten_account_is_loaded_again_and_no_other),
        CASE(neighbours_are_not_mistaken_and_the_least_used_makes_room),
        CASE(who_is_held_outlives_his_place),
        CASE(an_absent_account_is_not_remembered),
        CASE(threads_do_not_free_what_others_hold),
    };
    return cmocka_run_group_tests_name("account_cache", tests, NULL, NULL);
}
