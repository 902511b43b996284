/* The operator's word on renewals: what is written, what is refused. What ARI makes of it is in renewal_info_test.c. */
#include "gateway_fixture.h"

static enum error
move(Pb__MoveRenewalWindowRequest input, Pb__MoveRenewalWindowReply *reply)
{
    AUTO_STRUCT(request, rq) = request_new();
    return move_renewal_window(&gateway, rq, &input, reply);
}

static void
writes_a_window_from_now(void **state)
{
    Pb__MoveRenewalWindowRequest input = PB__MOVE_RENEWAL_WINDOW_REQUEST__INIT;
    Pb__MoveRenewalWindowReply reply = PB__MOVE_RENEWAL_WINDOW_REPLY__INIT;

    input.issuer = "demo";
    input.name = "host.example";
    input.within_s = 3600;
    input.explanation = "https://why.example";
    assert_int_equal(move(input, &reply), OK);
    assert_true(text_starts_with(announced, "acme renewal window "));
    assert_non_null(strstr(announced, "within_s: "));
    assert_int_equal(reply.ends_at_s - reply.starts_at_s, 3600);
    char *row = postgres_kit_ask(postgres, "SELECT issuer || ' ' || name || ' ' || (serial IS NULL) || ' ' || (issued_before = starts_at) || ' ' || "
                                           "extract(epoch FROM ends_at - starts_at)::int || ' ' || explanation FROM acme.renewal_window");
    assert_string_equal(row, "demo host.example true true 3600 https://why.example");
    free(row);
}

/* Certificates are found by it: whatever the operator's keyboard makes of the name, ARI knows one form. */
static void
writes_the_name_as_certificates_have_it(void **state)
{
    Pb__MoveRenewalWindowRequest input = PB__MOVE_RENEWAL_WINDOW_REQUEST__INIT;
    Pb__MoveRenewalWindowReply reply = PB__MOVE_RENEWAL_WINDOW_REPLY__INIT;

    input.name = "Typed.Example.";
    input.within_s = 3600;
    assert_int_equal(move(input, &reply), OK);
    char *row = postgres_kit_ask(postgres, "SELECT name FROM acme.renewal_window ORDER BY id DESC LIMIT 1");
    assert_string_equal(row, "typed.example");
    free(row);
}

static void
refuses_what_no_client_could_follow(void **state)
{
    const Pb__MoveRenewalWindowRequest none = PB__MOVE_RENEWAL_WINDOW_REQUEST__INIT;
    uint8_t octets[21] = {0};
    Pb__MoveRenewalWindowRequest refused[] = {none, none, none, none, none, none, none};

    for (size_t i = 0; i < COUNT_OF(refused); i++)
        refused[i].within_s = 3600;
    refused[0].within_s = 0;
    refused[1].within_s = -1;
    refused[2].within_s = INT64_MAX;
    refused[3].explanation = "javascript:alert(1)";
    refused[4].explanation = "https://why.example/\n";
    refused[5].name = "-";
    refused[6].serial = (ProtobufCBinaryData){.data = octets, .len = sizeof octets};
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        Pb__MoveRenewalWindowReply reply = PB__MOVE_RENEWAL_WINDOW_REPLY__INIT;
        if (move(refused[i], &reply) != ERR_BAD_REQUEST)
            fail_msg("case %zu", i);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_a_window_from_now),
        cmocka_unit_test(writes_the_name_as_certificates_have_it),
        cmocka_unit_test(refuses_what_no_client_could_follow),
    };

    return cmocka_run_group_tests_name("move_renewal_window", tests, open_gateway, close_gateway);
}
