/* Calls of one message: whatever becomes of each, their answers fit into one message again. */
#include "unit/kit.h"

#include <string.h>

#include "link/message.h"
#include "link/rpc.h"
#include "link/rpc_bundle.h"
#include "link/rpc_wire.h"

static struct rpc_bundle *
open_bundle(struct arena *arena, size_t count)
{
    Pb__CallBundle bundle = PB__CALL_BUNDLE__INIT;

    bundle.calls = arena_array(arena, count, sizeof(Pb__Call *));
    for (; bundle.n_calls < count; bundle.n_calls++) {
        bundle.calls[bundle.n_calls] = arena_alloc(arena, sizeof(Pb__Call));
        pb__call__init(bundle.calls[bundle.n_calls]);
    }
    return rpc_bundle_open(message_pack(arena, &bundle.base));
}

static void
rejects_what_is_no_bundle(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_null(rpc_bundle_open(bytes_of_text("garbage")));
    assert_null(open_bundle(arena, 0));
    assert_null(open_bundle(arena, RPC_BUNDLE_MOST + 1));
}

/* Half of them take all the room for bodies that there is, then the others are refused with the longest words. */
static void
answers_and_refusals_fit_into_one_message(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct rpc_bundle *bundle = open_bundle(rq->arena, RPC_BUNDLE_MOST);
    struct bytes all = BYTES_NONE, body = BYTES(arena_alloc(rq->arena, RPC_BODY_MAX), RPC_BODY_MAX / 1000);
    struct failure why = {.kind = ERR_DENIED};
    size_t answered = RPC_BUNDLE_MOST / 2;

    memset(why.message, 'm', sizeof why.message - 1);
    memset(why.layer, 'l', sizeof why.layer - 1);
    memset(why.reason, 'r', sizeof why.reason - 1);
    why.retry_after_s = RPC_RETRY_AFTER_MOST_S;
    /* In ever smaller pieces, so that no room is left. */
    for (size_t call = 0, len = RPC_BODY_MAX / 2; call<answered; call++, len = len> 2 * body.len ? len / 2 : body.len)
        rpc_bundle_answer(bundle, call, BYTES(body.at, len));
    for (size_t call = answered; call < RPC_BUNDLE_MOST; call++)
        rpc_bundle_refuse(bundle, call, ERR_DENIED, &why);
    for (size_t call = 0; call < RPC_BUNDLE_MOST; call++)
        assert_int_equal(rpc_bundle_end_call(bundle, &all), call + 1 == RPC_BUNDLE_MOST);
    assert_in_range(all.len, 1, RPC_BODY_MAX);

    const Pb__AnswerBundle *answers = (const Pb__AnswerBundle *)message_unpack(rq->arena, &pb__answer_bundle__descriptor, all);
    assert_int_equal(answers->n_answers, RPC_BUNDLE_MOST);
    assert_int_equal(answers->answers[0]->body.len, RPC_BODY_MAX / 2);
    assert_true(answers->answers[answered - 1]->alone);
    assert_string_equal(answers->answers[answered]->message, why.message);
    assert_string_equal(answers->answers[answered]->error, error_name(ERR_DENIED));
    rpc_bundle_close(bundle);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rejects_what_is_no_bundle),
        cmocka_unit_test(answers_and_refusals_fit_into_one_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
