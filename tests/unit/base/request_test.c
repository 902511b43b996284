/* One piece of work: trace, deadline, notes, refusals and its one line. */
#include "unit/base/stderr_lines.h"

#include "base/clock.h"
#include "base/request.h"
#include "base/text.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static int64_t monotonic_ms = 1000;

int64_t
clock_monotonic_ms(void)
{
    return monotonic_ms;
}

static void
a_valid_traceparent_is_continued(void **state)
{
    static const char *const valid[] = {PARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
                                        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-brings",
                                        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};

    for (size_t i = 0; i < COUNT_OF(valid); i++) {
        struct request rq;
        request_begin(&rq, "rpc", "ra.Enroll", valid[i]);
        assert_string_equal(rq.trace_id, "0af7651916cd43dd8448eb211c80319c");
        assert_string_equal(rq.parent_id, "b7ad6b7169203331");
        assert_int_equal(strlen(rq.span_id), 16);
        assert_string_not_equal(rq.span_id, rq.parent_id);
        request_drop(&rq);
    }
}

static void
anything_else_begins_a_new_trace(void **state)
{
    static const char *const invalid[] = {
        NULL,
        "",
        "00",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "00-0af7651916cd43dd8448eb211c8031\"c-b7ad6b7169203331-01",
    };

    for (size_t i = 0; i < COUNT_OF(invalid); i++) {
        struct request rq;
        request_begin(&rq, "rpc", "ra.Enroll", invalid[i]);
        assert_int_equal(strspn(rq.trace_id, "0123456789abcdef"), 32);
        assert_string_not_equal(rq.trace_id, "0af7651916cd43dd8448eb211c80319c");
        assert_string_equal(rq.parent_id, "");
        request_drop(&rq);
    }
}

static void
the_next_hop_gets_this_span_as_parent(void **state)
{
    struct request rq, next;

    request_begin(&rq, "http", "POST /", PARENT);
    request_begin(&next, "rpc", "ra.Enroll", request_traceparent(&rq));
    assert_string_equal(next.trace_id, rq.trace_id);
    assert_string_equal(next.parent_id, rq.span_id);
    request_drop(&next);
    request_drop(&rq);
}

static void
two_requests_have_different_ids(void **state)
{
    AUTO_STRUCT(request, a) = request_new();
    AUTO_STRUCT(request, b) = request_new();

    assert_string_not_equal(a->trace_id, b->trace_id);
    assert_string_not_equal(a->span_id, b->span_id);
    assert_string_equal(a->caller, "");
    assert_int_equal(a->failure.kind, OK);
}

static void
time_left_is_bounded_and_never_negative(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    assert_int_equal(request_time_left_ms(rq, 500), 500);
    rq->deadline_ms = 1300;
    assert_int_equal(request_time_left_ms(rq, 500), 300);
    assert_int_equal(request_time_left_ms(rq, 200), 200);
    monotonic_ms = 1300;
    assert_int_equal(request_time_left_ms(rq, 500), 0);
    monotonic_ms = 5000;
    assert_int_equal(request_time_left_ms(rq, 500), 0);
    rq->deadline_ms = INT64_MAX;
    assert_int_equal(request_time_left_ms(rq, 500), 500);
    monotonic_ms = 1000;
}

static void
the_first_refusal_wins(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    assert_int_equal(fail(rq, ERR_BAD_CSR, "the key has %d bits", 1024), ERR_BAD_CSR);
    assert_int_equal(fail(rq, ERR_INTERNAL, "something after that"), ERR_BAD_CSR);
    assert_int_equal(fail_privately(rq, ERR_UNAVAILABLE, "later", "secret"), ERR_BAD_CSR);
    assert_int_equal(rq->failure.kind, ERR_BAD_CSR);
    assert_string_equal(rq->failure.message, "the key has 1024 bits");
    assert_string_equal(rq->failure.detail, "");
}

static void
a_refusal_can_be_refined_and_cleared(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    fail_privately(rq, ERR_UNAVAILABLE, "the database cannot be reached; 100% try again", "SQLSTATE %s", "08006");
    assert_int_equal(fail_layer(rq, "AUTH-002"), ERR_UNAVAILABLE);
    assert_int_equal(fail_reason(rq, "badNonce"), ERR_UNAVAILABLE);
    assert_int_equal(fail_retry_after(rq, 3), ERR_UNAVAILABLE);
    assert_string_equal(rq->failure.message, "the database cannot be reached; 100% try again");
    assert_string_equal(rq->failure.detail, "SQLSTATE 08006");
    assert_string_equal(rq->failure.layer, "AUTH-002");
    assert_string_equal(rq->failure.reason, "badNonce");
    assert_int_equal(rq->failure.retry_after_s, 3);
    fail_retry_after(rq, -1);
    assert_int_equal(rq->failure.retry_after_s, 0);
    failure_clear(rq);
    assert_int_equal(rq->failure.kind, OK);
    assert_string_equal(rq->failure.message, "");
    assert_int_equal(fail(rq, ERR_BUSY, "now this"), ERR_BUSY);
    assert_string_equal(rq->failure.detail, "");
    assert_string_equal(rq->failure.layer, "");
}

static void
a_message_is_one_line_of_utf8(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    fail(rq, ERR_BAD_NAME, "the name %s", "a\r\nX-Forged: 1\t\x7f\xff\xc3 Zürich");
    assert_string_equal(rq->failure.message, "the name a  X-Forged: 1  ?? Zürich");
}

static void
a_message_too_long_is_cut_between_characters(void **state)
{
    char name[2000] = "x";
    AUTO_STRUCT(request, rq) = request_new();

    for (size_t i = 1; i + 2 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xbc", 2); /* NOLINT(bugprone-not-null-terminated-result): the array is zeroed */
    fail_privately(rq, ERR_BAD_NAME, name, "%s", name);
    assert_int_equal(strlen(rq->failure.message), sizeof rq->failure.message - 1);
    assert_true(text_is_utf8(bytes_of_text(rq->failure.message)));
    assert_int_equal(strlen(rq->failure.detail), sizeof rq->failure.detail - 1);
    assert_true(text_is_utf8(bytes_of_text(rq->failure.detail)));
}

static void
fail_without_a_kind(void *rq)
{
    fail(rq, OK, "this is no failure");
}

static void
refine_nothing(void *rq)
{
    fail_layer(rq, "AUTH-001");
}

static void
our_own_mistakes_abort(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    assert_true(aborts(fail_without_a_kind, rq));
    assert_true(aborts(refine_nothing, rq));
}

static void
the_last_note_of_a_key_stands(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    for (int i = 0; i < 100; i++)
        request_note(rq, "attempt", "%d", i);
    request_note(rq, "serial", "%s", "01ab");
    assert_int_equal(rq->note_count, 2);
    assert_string_equal(rq->notes[0].value, "99");
    assert_string_equal(rq->notes[1].key, "serial");
}

static const struct request *heard;
static enum error heard_result;

static void
hear(const struct request *rq, enum error result)
{
    heard = rq;
    heard_result = result;
}

static void
the_end_writes_one_line_and_is_heard(void **state)
{
    struct stderr_lines lines;
    struct request rq;

    request_on_end(hear);
    request_begin(&rq, "rpc", "ra.Enroll", PARENT);
    request_note(&rq, "serial", "%s", "01ab");
    stderr_catch(&lines);
    request_end(&rq, OK);
    json_t *object = stderr_next_object(&lines);
    assert_null(stderr_next(&lines));
    stderr_restore(&lines);
    request_on_end(NULL);
    assert_string_equal(field(object, "step"), "ra.Enroll");
    assert_string_equal(field(object, "serial"), "01ab");
    json_decref(object);
    assert_ptr_equal(heard, &rq);
    assert_int_equal(heard_result, OK);
    assert_null(rq.arena);
}

static void
a_dropped_request_leaves_no_line(void **state)
{
    struct stderr_lines lines;
    struct request rq;

    heard = NULL;
    request_on_end(hear);
    stderr_catch(&lines);
    request_begin(&rq, "event", "poll", NULL);
    request_drop(&rq);
    assert_null(stderr_next(&lines));
    stderr_restore(&lines);
    request_on_end(NULL);
    assert_null(heard);
}

/* Answers from memory: the caller's arena outlives the request, and nothing of the one before is left in the next. */
static void
a_request_in_a_reused_arena_starts_clean(void **state)
{
    struct request rq;
    AUTO_STRUCT(arena, arena) = arena_new();

    memset(&rq, 0x5a, sizeof rq);
    for (int round = 0; round < 2; round++) {
        request_begin_in(&rq, arena, "http", "GET /", round == 0 ? PARENT : NULL);
        assert_string_equal(rq.trace_id, round == 0 ? "0af7651916cd43dd8448eb211c80319c" : "");
        assert_string_equal(rq.parent_id, round == 0 ? "b7ad6b7169203331" : "");
        assert_string_equal(rq.span_id, "");
        assert_int_equal(rq.failure.kind, OK);
        assert_int_equal(rq.note_count, 0);
        assert_int_equal(rq.deadline_ms, 0);
        request_note(&rq, "serial", "%d", round);
        fail(&rq, ERR_BUSY, "full");
        request_end_in(&rq, OK, true);
        assert_ptr_equal(rq.arena, arena);
        arena_reset(arena);
    }
    request_begin_in(&rq, arena, "http", "GET /", NULL);
    assert_int_equal(strlen(request_traceparent(&rq)), 55);
    assert_int_equal(strlen(rq.trace_id), 32);
}

static void
a_quiet_end_is_heard_and_writes_only_what_failed(void **state)
{
    static const struct {
        bool quiet;
        enum error result;
        bool written;
    } cases[] = {{true, OK, false}, {true, ERR_BUSY, true}, {false, OK, true}, {false, ERR_BUSY, true}};
    struct stderr_lines lines;
    struct request rq;
    AUTO_STRUCT(arena, arena) = arena_new();

    request_on_end(hear);
    stderr_catch(&lines);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        heard = NULL;
        request_begin_in(&rq, arena, "http", "GET /", NULL);
        request_end_in(&rq, cases[i].result, cases[i].quiet);
        assert_ptr_equal(heard, &rq);
        assert_int_equal(heard_result, cases[i].result);
        if (cases[i].written) {
            json_t *object = stderr_next_object(&lines);
            assert_int_equal(strlen(field(object, "trace")), 32);
            assert_int_equal(strlen(field(object, "span")), 16);
            json_decref(object);
        }
        assert_null(stderr_next(&lines));
    }
    stderr_restore(&lines);
    request_on_end(NULL);
}

static void
severity_says_whose_fault_it_was(void **state)
{
    static const char *const levels[ERR_COUNT] = {
        [OK] = "info",          [ERR_BAD_REQUEST] = "info",    [ERR_BAD_CSR] = "info",    [ERR_BAD_NAME] = "info",  [ERR_UNAUTHENTICATED] = "info",
        [ERR_DENIED] = "info",  [ERR_NOT_FOUND] = "info",      [ERR_CONFLICT] = "info",   [ERR_TOO_LARGE] = "info", [ERR_RATE_LIMITED] = "info",
        [ERR_BUSY] = "warning", [ERR_UNAVAILABLE] = "warning", [ERR_TIMEOUT] = "warning", [ERR_INTERNAL] = "error",
    };
    struct stderr_lines lines;

    stderr_catch(&lines);
    for (unsigned kind = OK; kind < ERR_COUNT; kind++) {
        struct request rq;
        request_begin(&rq, "rpc", "step", NULL);
        request_end(&rq, (enum error)kind);
        json_t *object = stderr_next_object(&lines);
        assert_string_equal(field(object, "level"), levels[kind]);
        assert_string_equal(field(object, "result"), error_name((enum error)kind));
        json_decref(object);
    }
    stderr_restore(&lines);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valid_traceparent_is_continued),
        cmocka_unit_test(anything_else_begins_a_new_trace),
        cmocka_unit_test(the_next_hop_gets_this_span_as_parent),
        cmocka_unit_test(two_requests_have_different_ids),
        cmocka_unit_test(time_left_is_bounded_and_never_negative),
        cmocka_unit_test(the_first_refusal_wins),
        cmocka_unit_test(a_refusal_can_be_refined_and_cleared),
        cmocka_unit_test(a_message_is_one_line_of_utf8),
        cmocka_unit_test(a_message_too_long_is_cut_between_characters),
        cmocka_unit_test(our_own_mistakes_abort),
        cmocka_unit_test(the_last_note_of_a_key_stands),
        cmocka_unit_test(the_end_writes_one_line_and_is_heard),
        cmocka_unit_test(a_dropped_request_leaves_no_line),
        cmocka_unit_test(a_request_in_a_reused_arena_starts_clean),
        cmocka_unit_test(a_quiet_end_is_heard_and_writes_only_what_failed),
        cmocka_unit_test(severity_says_whose_fault_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
