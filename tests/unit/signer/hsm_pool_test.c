/* The pool with real hsm-worker processes and a real SoftHSM token, disturbed by the shim. */
#include "unit/kit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "hsm_process.h"
#include "kit/softhsm_kit.h"

static struct softhsm_kit *softhsm;

static struct hsm_pool_options
usual_options(void)
{
    return (struct hsm_pool_options){.worker_file = softhsm_kit_worker_file(softhsm),
                                     .module = softhsm_kit_module(softhsm),
                                     .token = "signet",
                                     .pin_file = softhsm_kit_pin_file(softhsm),
                                     .workers = 2,
                                     .queue_limit = 16,
                                     .start_ms = 3000,
                                     .operation_ms = 1500,
                                     .generate_ms = 10000,
                                     .retire_after = 1000000};
}

static struct hsm_call
sign_call(const char *label)
{
    struct hsm_call call = {.operation = HSM_SIGN, .mechanism = HSM_ECDSA, .id_len = 1, .id = {1}, .data_len = 32};

    snprintf(call.label, sizeof call.label, "%s", label);
    memset(call.data, 0x5a, 32);
    return call;
}

static void
make_key(struct hsm_pool *pool, const char *label, enum hsm_key_kind kind)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct hsm_call call = sign_call(label);
    struct hsm_answer answer;

    call.operation = HSM_GENERATE;
    call.kind = kind;
    assert_int_equal(hsm_pool_call(pool, rq, &call, &answer), OK);
    assert_int_equal(answer.status, HSM_OK);
}

static enum error
sign_once(struct hsm_pool *pool, char *ret_detail)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct hsm_call call = sign_call("pool-test");
    struct hsm_answer answer;

    enum error error = hsm_pool_call(pool, rq, &call, &answer);
    if (ret_detail != NULL)
        snprintf(ret_detail, sizeof rq->failure.detail, "%s", rq->failure.detail);
    if (error == OK) {
        assert_int_equal(answer.status, HSM_OK);
        assert_int_equal(answer.data_len, 64);
    }
    return error;
}

/* What readiness says, waiting for the wanted answer; the last reason stays in ret_reason. */
static bool
becomes(struct hsm_pool *pool, enum error wanted, char *ret_reason)
{
    for (int64_t until_ms = clock_monotonic_ms() + 15000; clock_monotonic_ms() < until_ms; clock_sleep_ms(20)) {
        AUTO_STRUCT(request, rq) = request_new();
        enum error now = hsm_pool_check(pool, rq);
        if (ret_reason != NULL)
            snprintf(ret_reason, sizeof rq->failure.message, "%s", rq->failure.message);
        if (now == wanted)
            return true;
    }
    return false;
}

static struct hsm_pool *
open_ready(struct hsm_pool_options options)
{
    struct hsm_pool *pool = hsm_pool_open(&options);

    assert_true(becomes(pool, OK, NULL));
    return pool;
}

static int
start_token(void **state)
{
    softhsm = softhsm_kit_start();
    struct hsm_pool *pool = open_ready(usual_options());
    make_key(pool, "pool-test", HSM_P256);
    hsm_pool_close(pool);
    return 0;
}

static int
stop_token(void **state)
{
    softhsm_kit_stop(softhsm);
    return 0;
}

static int
calm_down(void **state)
{
    softhsm_kit_disturb(softhsm, "");
    softhsm_kit_write_pin(softhsm, NULL);
    softhsm_kit_insert_token(softhsm);
    return 0;
}

static void
signs(void **state)
{
    struct hsm_pool *pool = open_ready(usual_options());

    for (int i = 0; i < 50; i++)
        assert_int_equal(sign_once(pool, NULL), OK);
    hsm_pool_close(pool);
}

static void
says_which_key_is_missing(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct hsm_pool *pool = open_ready(usual_options());
    struct hsm_call call = sign_call("never-made");
    struct hsm_answer answer;

    assert_int_equal(hsm_pool_call(pool, rq, &call, &answer), OK);
    assert_int_equal(answer.status, HSM_NO_KEY);
    assert_non_null(strstr(answer.text, "never-made"));
    hsm_pool_close(pool);
}

static void
make_late_key(void)
{
    struct hsm_pool *other = open_ready(usual_options());

    make_key(other, "late", HSM_P256);
    hsm_pool_close(other);
}

static void
a_worker_that_has_not_heard_of_a_key_is_replaced(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct hsm_pool_options options = usual_options();
    struct hsm_answer answer = {0};
    struct hsm_call call = sign_call("late");

    options.workers = 1;
    struct hsm_pool *pool = open_ready(options);
    assert_int_equal(sign_once(pool, NULL), OK);
    softhsm_kit_make_unheard(softhsm, make_late_key);
    clock_sleep_ms(2000); /* what a worker has seen for so long is not believed */
    assert_int_equal(hsm_pool_call(pool, rq, &call, &answer), OK);
    assert_int_equal(answer.status, HSM_OK);
    hsm_pool_close(pool);
}

static void
generates_each_kind_with_attributes_read_back(void **state)
{
    static const struct {
        enum hsm_key_kind kind;
        uint32_t data_len, modulus_len;
    } cases[] = {{HSM_RSA_2048, 259, 256}, {HSM_RSA_3072, 387, 384}, {HSM_P256, 65, 0}, {HSM_P384, 97, 0}, {HSM_P521, 133, 0}};
    struct hsm_pool *pool = open_ready(usual_options());

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct hsm_answer answer;
        struct hsm_call call = sign_call("kinds");
        call.operation = HSM_GENERATE;
        call.kind = cases[i].kind;
        call.id[0] = (uint8_t)(10 + i);
        assert_int_equal(hsm_pool_call(pool, rq, &call, &answer), OK);
        assert_int_equal(answer.status, HSM_OK);
        assert_int_equal(answer.facts.kind, cases[i].kind);
        assert_int_equal(answer.data_len, cases[i].data_len);
        assert_int_equal(answer.facts.modulus_len, cases[i].modulus_len);
        assert_true(answer.facts.set & 1u << HSM_ATTRIBUTE_SENSITIVE);
        assert_false(answer.facts.set & 1u << HSM_ATTRIBUTE_EXTRACTABLE);
        assert_false(answer.facts.set & 1u << HSM_ATTRIBUTE_VALUE_READABLE);
        assert_int_equal(hsm_pool_call(pool, rq, &call, &answer), OK);
        assert_int_equal(answer.status, HSM_KEY_EXISTS);
        call.operation = HSM_FIND;
        assert_int_equal(hsm_pool_call(pool, rq, &call, &answer), OK);
        assert_int_equal(answer.status, HSM_OK);
        assert_int_equal(answer.data_len, cases[i].data_len);
    }
    hsm_pool_close(pool);
}

static void
destroys_a_key_that_the_token_made_extractable(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct hsm_pool *pool = open_ready(usual_options());
    struct hsm_call call = sign_call("careless");
    struct hsm_answer answer;

    softhsm_kit_disturb(softhsm, "generate extractable\n");
    call.operation = HSM_GENERATE;
    call.kind = HSM_P256;
    assert_int_equal(hsm_pool_call(pool, rq, &call, &answer), OK);
    assert_int_equal(answer.status, HSM_KEY_UNSAFE);
    call.operation = HSM_FIND;
    assert_int_equal(hsm_pool_call(pool, rq, &call, &answer), OK);
    assert_int_equal(answer.status, HSM_NO_KEY);
    hsm_pool_close(pool);
}

static void
a_token_emptied_by_a_killed_login_is_mended_by_the_next_worker(void **state)
{
    struct hsm_pool *pool = open_ready(usual_options()); /* keeps a copy before it logs in */

    hsm_pool_close(pool);
    softhsm_kit_empty_token(softhsm);
    pool = open_ready(usual_options());
    assert_int_equal(sign_once(pool, NULL), OK);
    hsm_pool_close(pool);
}

/* One fault that strikes once: the caller does not notice, because another worker takes the call. */
static void
a_single_fault_costs_no_request(void **state)
{
    static const char *const faults[] = {"sign hang 1\n", "sign crash 1\n", "sign session-lost 1\n", "sign device-error 1\n"};

    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        struct hsm_pool *pool = open_ready(usual_options());
        softhsm_kit_disturb(softhsm, faults[i]);
        assert_int_equal(sign_once(pool, NULL), OK);
        assert_int_equal(softhsm_kit_calls(softhsm, "sign"), 2);
        assert_int_equal(sign_once(pool, NULL), OK);
        hsm_pool_close(pool);
    }
}

/* The fault stays: refused in bounded time, unready with the reason; and well again without a restart when it is over. */
static void
a_lasting_fault_is_refused_and_heals(void **state)
{
    static const struct {
        const char *faults, *reason;
    } cases[] = {{"sign hang\n", "did not answer in time"}, {"sign crash\n", "ended its process"}, {"sign device-error\n", "0x30"}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char reason[1000];
        struct hsm_pool_options options = usual_options();
        options.operation_ms = 800;
        struct hsm_pool *pool = open_ready(options);
        softhsm_kit_disturb(softhsm, cases[i].faults);
        assert_int_equal(sign_once(pool, NULL), ERR_UNAVAILABLE);
        assert_int_equal(sign_once(pool, NULL), ERR_UNAVAILABLE);
        assert_true(becomes(pool, ERR_UNAVAILABLE, reason));
        assert_non_null(strstr(reason, cases[i].reason));
        softhsm_kit_disturb(softhsm, "");
        assert_int_equal(sign_once(pool, NULL), OK);
        assert_true(becomes(pool, OK, NULL));
        hsm_pool_close(pool);
    }
}

static void
a_wrong_pin_is_tried_once_and_only_once(void **state)
{
    char reason[1000], detail[400];
    struct hsm_pool_options options = usual_options();

    options.workers = 4;
    softhsm_kit_write_pin(softhsm, "000000");
    struct hsm_pool *pool = hsm_pool_open(&options);
    clock_sleep_ms(2500); /* some turns of the keeper, in which a second try would show */
    assert_true(becomes(pool, ERR_UNAVAILABLE, reason));
    assert_non_null(strstr(reason, "the PIN is wrong"));
    assert_int_equal(sign_once(pool, detail), ERR_UNAVAILABLE);
    assert_non_null(strstr(detail, "the PIN is wrong"));
    assert_int_equal(softhsm_kit_calls(softhsm, "login"), 1);

    hsm_pool_retry_pin(pool);
    clock_sleep_ms(2500);
    assert_int_equal(softhsm_kit_calls(softhsm, "login"), 2);

    softhsm_kit_write_pin(softhsm, NULL);
    assert_true(becomes(pool, OK, NULL));
    assert_int_equal(sign_once(pool, NULL), OK);
    hsm_pool_close(pool);
}

static void
a_missing_token_is_named_and_heals_when_it_is_back(void **state)
{
    static const char *const faults[] = {"slots missing\n", "init error\n", "login device-error\n"};

    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        char reason[1000];
        softhsm_kit_disturb(softhsm, faults[i]);
        struct hsm_pool_options options = usual_options();
        struct hsm_pool *pool = hsm_pool_open(&options);
        assert_true(becomes(pool, ERR_UNAVAILABLE, reason));
        assert_int_equal(sign_once(pool, NULL), ERR_UNAVAILABLE);
        softhsm_kit_disturb(softhsm, "");
        assert_true(becomes(pool, OK, NULL));
        assert_int_equal(sign_once(pool, NULL), OK);
        hsm_pool_close(pool);
    }
}

static void
a_token_pulled_while_running_is_noticed_and_heals(void **state)
{
    struct hsm_pool *pool = open_ready(usual_options());

    assert_int_equal(sign_once(pool, NULL), OK);
    softhsm_kit_pull_token(softhsm);
    assert_int_equal(sign_once(pool, NULL), ERR_UNAVAILABLE);
    assert_true(becomes(pool, ERR_UNAVAILABLE, NULL));
    softhsm_kit_insert_token(softhsm);
    assert_true(becomes(pool, OK, NULL));
    assert_int_equal(sign_once(pool, NULL), OK);
    hsm_pool_close(pool);
}

/* A token that was initialised anew behind a database that knows of keys: not one request's fault but the house's. */
static void
an_empty_token_where_keys_are_used_is_unready(void **state)
{
    char reason[1000];
    struct softhsm_kit *usual = softhsm;

    softhsm = softhsm_kit_start();
    struct hsm_pool *pool = open_ready(usual_options());
    assert_int_equal(sign_once(pool, NULL), ERR_UNAVAILABLE);
    assert_int_equal(sign_once(pool, NULL), ERR_UNAVAILABLE);
    assert_true(becomes(pool, ERR_UNAVAILABLE, reason));
    assert_non_null(strstr(reason, "no private key at all"));
    make_key(pool, "pool-test", HSM_P256);
    assert_int_equal(sign_once(pool, NULL), OK);
    assert_true(becomes(pool, OK, NULL));
    hsm_pool_close(pool);
    softhsm_kit_stop(softhsm);
    softhsm = usual;
    softhsm_kit_use(softhsm);
}

static void
a_session_lost_while_idle_is_noticed(void **state)
{
    struct hsm_pool *pool = open_ready(usual_options());

    softhsm_kit_disturb(softhsm, "ping session-lost 1\n");
    for (int64_t until_ms = clock_monotonic_ms() + 10000; softhsm_kit_calls(softhsm, "login") == 0 && clock_monotonic_ms() < until_ms;)
        clock_sleep_ms(20);
    assert_int_equal(softhsm_kit_calls(softhsm, "login"), 1);
    assert_int_equal(sign_once(pool, NULL), OK);
    hsm_pool_close(pool);
}

static void
a_start_that_hangs_is_killed_and_repeated(void **state)
{
    static const char *const faults[] = {"login hang 1\n", "init hang 1\n", "login crash 1\n"};

    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        softhsm_kit_disturb(softhsm, faults[i]);
        struct hsm_pool_options options = usual_options();
        options.start_ms = 500;
        struct hsm_pool *pool = hsm_pool_open(&options);
        assert_true(becomes(pool, OK, NULL));
        assert_int_equal(sign_once(pool, NULL), OK);
        hsm_pool_close(pool);
    }
}

static void
workers_retire(void **state)
{
    struct hsm_pool_options options = usual_options();

    options.workers = 1;
    options.retire_after = 5;
    struct hsm_pool *pool = open_ready(options);
    softhsm_kit_disturb(softhsm, "");
    for (int i = 0; i < 20; i++)
        assert_int_equal(sign_once(pool, NULL), OK);
    assert_true(softhsm_kit_calls(softhsm, "login") >= 3);
    hsm_pool_close(pool);
}

struct crowd {
    struct hsm_pool *pool;
    int done, busy, other;
    pthread_mutex_t mutex;
};

static void *
one_of_the_crowd(void *context)
{
    struct crowd *crowd = context;
    enum error error = sign_once(crowd->pool, NULL);
    AUTO_LOCK(&crowd->mutex);

    if (error == OK)
        crowd->done++;
    else if (error == ERR_BUSY)
        crowd->busy++;
    else
        crowd->other++;
    return NULL;
}

static void
a_full_queue_answers_busy(void **state)
{
    enum { PEOPLE = 12, MAY_WAIT = 3 };
    struct hsm_pool_options options = usual_options();
    pthread_t threads[PEOPLE];

    options.workers = 1;
    options.queue_limit = MAY_WAIT;
    struct crowd crowd = {.pool = open_ready(options), .mutex = PTHREAD_MUTEX_INITIALIZER};
    softhsm_kit_disturb(softhsm, "sign slow\n");
    for (int i = 0; i < PEOPLE; i++)
        pthread_create(&threads[i], NULL, one_of_the_crowd, &crowd);
    for (int i = 0; i < PEOPLE; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(crowd.other, 0);
    assert_true(crowd.busy >= 1);
    assert_true(crowd.done >= 1 + MAY_WAIT);
    assert_int_equal(crowd.done + crowd.busy, PEOPLE);
    hsm_pool_close(crowd.pool);
}

static void
a_crowd_is_served_while_workers_crash(void **state)
{
    enum { PEOPLE = 16 };
    struct hsm_pool_options options = usual_options();
    pthread_t threads[PEOPLE];

    options.queue_limit = PEOPLE;
    struct crowd crowd = {.pool = open_ready(options), .mutex = PTHREAD_MUTEX_INITIALIZER};
    softhsm_kit_disturb(softhsm, "sign crash 1\n");
    for (int i = 0; i < PEOPLE; i++)
        pthread_create(&threads[i], NULL, one_of_the_crowd, &crowd);
    for (int i = 0; i < PEOPLE; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(crowd.done, PEOPLE);
    hsm_pool_close(crowd.pool);
}

static void
a_worker_that_cannot_start_says_why_and_exits_in_order(void **state)
{
    static const struct {
        const char *faults, *module, *pin;
        enum hsm_status status;
    } cases[] = {
        {"", "/nowhere/module.so", NULL, HSM_MODULE_BAD},
        {"init error\n", NULL, NULL, HSM_MODULE_BAD},
        {"slots missing\n", NULL, NULL, HSM_TOKEN_MISSING},
        {"login pin-locked\n", NULL, NULL, HSM_PIN_LOCKED},
        {"", NULL, "000000", HSM_PIN_WRONG},
        {"", NULL, "", HSM_PIN_UNREADABLE},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct hsm_pool_options options = usual_options();
        struct hsm_process process;
        struct hsm_answer answer;
        options.module = cases[i].module != NULL ? cases[i].module : options.module;
        softhsm_kit_disturb(softhsm, cases[i].faults);
        softhsm_kit_write_pin(softhsm, cases[i].pin);
        assert_int_equal(hsm_process_spawn(&options, &process), 0);
        assert_int_equal(hsm_process_receive(process.fd, 20000, &answer), HSM_RECEIVED);
        assert_int_equal(answer.status, cases[i].status);
        assert_true(answer.text[0] != '\0');
        int status = hsm_process_end(&process, 20000);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    }
}

static void
a_worker_file_that_is_not_there_is_named(void **state)
{
    char reason[1000];
    struct hsm_pool_options options = usual_options();

    options.worker_file = "/nowhere/hsm-worker";
    struct hsm_pool *pool = hsm_pool_open(&options);
    assert_true(becomes(pool, ERR_UNAVAILABLE, reason));
    for (int64_t until_ms = clock_monotonic_ms() + 5000; strstr(reason, "cannot be started") == NULL && clock_monotonic_ms() < until_ms;)
        assert_true(becomes(pool, ERR_UNAVAILABLE, reason));
    assert_non_null(strstr(reason, "cannot be started"));
    hsm_pool_close(pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(signs, calm_down),
        cmocka_unit_test_setup(says_which_key_is_missing, calm_down),
        cmocka_unit_test_setup(a_worker_that_has_not_heard_of_a_key_is_replaced, calm_down),
        cmocka_unit_test_setup(generates_each_kind_with_attributes_read_back, calm_down),
        cmocka_unit_test_setup(destroys_a_key_that_the_token_made_extractable, calm_down),
        cmocka_unit_test_setup(a_token_emptied_by_a_killed_login_is_mended_by_the_next_worker, calm_down),
        cmocka_unit_test_setup(a_single_fault_costs_no_request, calm_down),
        cmocka_unit_test_setup(a_lasting_fault_is_refused_and_heals, calm_down),
        cmocka_unit_test_setup(a_wrong_pin_is_tried_once_and_only_once, calm_down),
        cmocka_unit_test_setup(a_missing_token_is_named_and_heals_when_it_is_back, calm_down),
        cmocka_unit_test_setup(a_token_pulled_while_running_is_noticed_and_heals, calm_down),
        cmocka_unit_test_setup(an_empty_token_where_keys_are_used_is_unready, calm_down),
        cmocka_unit_test_setup(a_session_lost_while_idle_is_noticed, calm_down),
        cmocka_unit_test_setup(a_start_that_hangs_is_killed_and_repeated, calm_down),
        cmocka_unit_test_setup(workers_retire, calm_down),
        cmocka_unit_test_setup(a_full_queue_answers_busy, calm_down),
        cmocka_unit_test_setup(a_crowd_is_served_while_workers_crash, calm_down),
        cmocka_unit_test_setup(a_worker_that_cannot_start_says_why_and_exits_in_order, calm_down),
        cmocka_unit_test_setup(a_worker_file_that_is_not_there_is_named, calm_down),
    };

    log_open("hsm-pool-test", "1", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start_token, stop_token);
}
