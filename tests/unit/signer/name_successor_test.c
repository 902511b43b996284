/* NameSuccessor: what may take over from what, and who hears of it. */
#include "signer_fixture.h"

#define ANNOUNCED "SELECT count(*) FROM ca.outbox WHERE subject = 'signet.event.configuration.changed'"

static int
start(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    start_house(state);
    make_ca(rq, "root", "p256", "");
    make_ca(rq, "old", "p256", "root");
    make_ca(rq, "new", "p256", "root");
    make_ca(rq, "newest", "p256", "root");
    Pb__CreateCaRequest brief = ca_request("brief", "p256", "root");
    Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;
    brief.validity_days = 30;
    assert_int_equal(create_ca(&signer, rq, &brief, &reply), OK);
    Pb__CreateCaRequest waiting = ca_request("waiting", "p256", "");
    waiting.csr_only = true;
    assert_int_equal(create_ca(&signer, rq, &waiting, &reply), OK);
    return 0;
}

static enum error
name_it(struct request *rq, const char *name, const char *successor, const Pb__Ca **ret_ca)
{
    Pb__NameSuccessorRequest request = PB__NAME_SUCCESSOR_REQUEST__INIT;
    Pb__NameSuccessorReply reply = PB__NAME_SUCCESSOR_REPLY__INIT;

    request.name = name;
    request.successor = successor;
    enum error error = name_successor(&signer, rq, &request, &reply);
    *ret_ca = reply.ca;
    return error;
}

static void
a_successor_is_named_again_and_taken_away(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const Pb__Ca *ca;

    assert_int_equal(name_it(rq, "old", "new", &ca), OK);
    assert_string_equal(ca->successor, "new");
    assert_int_equal(ask_number(ANNOUNCED), 1);
    assert_int_equal(name_it(rq, "old", "new", &ca), OK);
    assert_int_equal(ask_number(ANNOUNCED), 1); /* a repeat changes nothing */
    assert_int_equal(name_it(rq, "old", "newest", &ca), OK);
    assert_string_equal(ca->successor, "newest");
    assert_int_equal(name_it(rq, "old", "", &ca), OK);
    assert_string_equal(ca->successor, "");
    assert_int_equal(ask_number(ANNOUNCED), 3);
}

static void
what_cannot_take_over_is_refused(void **state)
{
    static const struct {
        const char *name, *successor;
        enum error error;
        const char *says;
    } cases[] = {
        {"", "new", ERR_BAD_REQUEST, "names no CA"},
        {"nobody", "new", ERR_NOT_FOUND, "no CA \"nobody\""},
        {"old", "nobody", ERR_NOT_FOUND, "no CA \"nobody\""},
        {"old", "old", ERR_BAD_REQUEST, "itself"},
        {"old", "brief", ERR_BAD_REQUEST, "ends before"},
        {"old", "waiting", ERR_CONFLICT, "waiting-for-certificate"},
        {"waiting", "new", ERR_CONFLICT, "waiting-for-certificate"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        const Pb__Ca *ca;
        assert_int_equal(name_it(rq, cases[i].name, cases[i].successor, &ca), cases[i].error);
        assert_non_null(strstr(rq->failure.message, cases[i].says));
    }
}

static void
nobody_comes_after_himself(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const Pb__Ca *ca;

    assert_int_equal(ask_number("SELECT count(*) FROM ca.authority WHERE successor IS NOT NULL"), 0);
    postgres_kit_run(postgres, "UPDATE ca.authority SET not_after = (SELECT not_after FROM ca.authority WHERE name = 'root')"
                               " WHERE name IN ('old', 'new', 'newest')");
    assert_int_equal(name_it(rq, "old", "new", &ca), OK);
    assert_int_equal(name_it(rq, "new", "newest", &ca), OK);
    assert_int_equal(name_it(rq, "newest", "old", &ca), ERR_CONFLICT);
    assert_int_equal(name_it(rq, "old", "", &ca), OK);
    assert_int_equal(name_it(rq, "new", "", &ca), OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_successor_is_named_again_and_taken_away),
        cmocka_unit_test(what_cannot_take_over_is_refused),
        cmocka_unit_test(nobody_comes_after_himself),
    };

    return cmocka_run_group_tests(tests, start, stop_house);
}
