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

/* Of a selection the newest word counts. With 24 hours in an incident, and a day later with an explanation, there is one row all the same. */
static void
there_is_one_window_of_a_selection(void **state)
{
    Pb__MoveRenewalWindowReply reply = PB__MOVE_RENEWAL_WINDOW_REPLY__INIT;
    struct serial serial = serial_new(clock_now_s());
    Pb__MoveRenewalWindowRequest inputs[] = {PB__MOVE_RENEWAL_WINDOW_REQUEST__INIT, PB__MOVE_RENEWAL_WINDOW_REQUEST__INIT,
                                             PB__MOVE_RENEWAL_WINDOW_REQUEST__INIT};

    postgres_kit_run(postgres, "TRUNCATE acme.renewal_window");
    inputs[1].issuer = "demo";
    inputs[2].serial = (ProtobufCBinaryData){.data = serial.octets, .len = SERIAL_LEN};
    for (size_t i = 0; i < 2 * COUNT_OF(inputs); i++) {
        Pb__MoveRenewalWindowRequest *input = &inputs[i % COUNT_OF(inputs)];
        input->within_s = (int64_t)(100 + i);
        assert_int_equal(move(*input, &reply), OK);
    }
    char *rows = postgres_kit_ask(postgres, "SELECT string_agg(extract(epoch FROM ends_at - starts_at)::int::text, ' ' ORDER BY id) "
                                            "FROM acme.renewal_window");
    assert_string_equal(rows, "103 104 105");
    free(rows);
}

/* It goes with the last certificate that it can be about. */
static void
notes_when_the_last_certificate_expires(void **state)
{
    Pb__MoveRenewalWindowReply reply = PB__MOVE_RENEWAL_WINDOW_REPLY__INIT;
    Pb__MoveRenewalWindowRequest all = PB__MOVE_RENEWAL_WINDOW_REQUEST__INIT, one = PB__MOVE_RENEWAL_WINDOW_REQUEST__INIT;
    struct serial serial = {{SERIAL_VERSION, 1, 2}};

    postgres_kit_run(postgres, "TRUNCATE acme.renewal_window; INSERT INTO ra.issued_certificate (serial, expiry_month) VALUES ('\\x01', 777)");
    one.serial = (ProtobufCBinaryData){.data = serial.octets, .len = SERIAL_LEN};
    all.within_s = one.within_s = 60;
    assert_int_equal(move(all, &reply), OK);
    assert_int_equal(move(one, &reply), OK);
    char *months = postgres_kit_ask(postgres, "SELECT string_agg(expiry_month::text, ' ' ORDER BY id) FROM acme.renewal_window");
    assert_string_equal(months, "777 258");
    free(months);
}

static void
refuses_what_no_client_could_follow(void **state)
{
    const Pb__MoveRenewalWindowRequest none = PB__MOVE_RENEWAL_WINDOW_REQUEST__INIT;
    uint8_t octets[21] = {0};
    Pb__MoveRenewalWindowRequest refused[] = {none, none, none, none, none, none, none, none};

    for (size_t i = 0; i < COUNT_OF(refused); i++)
        refused[i].within_s = 3600;
    refused[0].within_s = 0;
    refused[1].within_s = -1;
    refused[2].within_s = INT64_MAX;
    refused[3].explanation = "javascript:alert(1)";
    refused[4].explanation = "https://why.example/\n";
    refused[5].name = "-";
    refused[6].serial = (ProtobufCBinaryData){.data = octets, .len = sizeof octets};
    refused[7].serial = (ProtobufCBinaryData){.data = octets, .len = SERIAL_LEN}; /* none of ours: of another version */
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
        cmocka_unit_test(there_is_one_window_of_a_selection),
        cmocka_unit_test(notes_when_the_last_certificate_expires),
        cmocka_unit_test(refuses_what_no_client_could_follow),
    };

    return cmocka_run_group_tests_name("move_renewal_window", tests, open_gateway, close_gateway);
}
