/* Messages as JSON, by their descriptors. */
#include "unit/kit.h"

#include <string.h>

#include "signet/v1/health.pb-c.h"
#include "signet/v1/ra.pb-c.h"
#include "signetctl.h"

static void
shows_bytes_times_enums_lists_and_what_is_absent(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    uint8_t serial[] = {0x01, 0xff};
    Pb__Name name = PB__NAME__INIT;
    Pb__Name *names[] = {&name};
    Pb__CatalogEntry entry = PB__CATALOG_ENTRY__INIT;

    name.type = PB__NAME_TYPE__NAME_TYPE_DNS;
    name.value = "ü.example";
    entry.serial = (ProtobufCBinaryData){.data = serial, .len = 2};
    entry.names = names;
    entry.n_names = 1;
    entry.not_before_s = 1767323045;
    entry.reason = PB__REVOCATION_REASON__REVOCATION_REASON_KEY_COMPROMISE;
    json_t *json = message_json(rq->arena, &entry.base);
    assert_int_equal(json_object_size(json), pb__catalog_entry__descriptor.n_fields);
    assert_string_equal(json_string_value(json_object_get(json, "serial")), "01ff");
    assert_string_equal(json_string_value(json_object_get(json, "sha256")), "");
    assert_string_equal(json_string_value(json_object_get(json, "not_before_s")), "2026-01-02T03:04:05Z");
    assert_true(json_is_null(json_object_get(json, "not_after_s")));
    assert_true(json_is_null(json_object_get(json, "principal")));
    assert_string_equal(json_string_value(json_object_get(json, "reason")), "key_compromise");
    json_t *first = json_array_get(json_object_get(json, "names"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "type")), "dns");
    assert_string_equal(json_string_value(json_object_get(first, "value")), "ü.example");
    json_decref(json);
}

static void
shows_numbers_switches_and_lists_of_each_kind(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const char *texts[] = {"rsa", "p256"};
    Pb__NameType types[] = {PB__NAME_TYPE__NAME_TYPE_IP, (Pb__NameType)77};
    ProtobufCBinaryData chain[] = {{1, (uint8_t *)"a"}, {2, (uint8_t *)"bc"}};
    Pb__Template template = PB__TEMPLATE__INIT;
    Pb__EnrollReply enrolled = PB__ENROLL_REPLY__INIT;
    Pb__ReportReply report = PB__REPORT_REPLY__INIT;

    template.key_types = texts;
    template.n_key_types = 2;
    template.name_types = types;
    template.n_name_types = 2;
    template.path_length = -1;
    template.backdate_s = 3600;
    template.enabled = true;
    enrolled.chain = chain;
    enrolled.n_chain = 2;
    report.uptime_s = 5000000000;
    json_t *json = message_json(rq->arena, &template.base), *reply = message_json(rq->arena, &enrolled.base),
           *said = message_json(rq->arena, &report.base);
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "key_types"), 1)), "p256");
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "name_types"), 0)), "ip");
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "name_types"), 1)), "77");
    assert_int_equal(json_integer_value(json_object_get(json, "path_length")), -1);
    assert_int_equal(json_integer_value(json_object_get(json, "backdate_s")), 3600);
    assert_true(json_is_true(json_object_get(json, "enabled")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(reply, "chain"), 1)), "6263");
    assert_int_equal(json_integer_value(json_object_get(said, "uptime_s")), 5000000000);
    json_decref(json);
    json_decref(reply);
    json_decref(said);
}

static void
enums_have_short_names_both_ways(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const ProtobufCEnumDescriptor *reason = &pb__revocation_reason__descriptor;
    int value = -1;

    for (unsigned i = 0; i < reason->n_values; i++) {
        if (reason->values[i].value == 0)
            continue;
        assert_true(enum_from_short_name(rq->arena, reason, enum_short_name(rq->arena, reason, reason->values[i].value), &value));
        assert_int_equal(value, reason->values[i].value);
    }
    assert_true(enum_from_short_name(rq->arena, reason, "CA_Compromise", &value));
    assert_int_equal(value, PB__REVOCATION_REASON__REVOCATION_REASON_CA_COMPROMISE);
    assert_false(enum_from_short_name(rq->arena, reason, "unspecified", &value));
    assert_false(enum_from_short_name(rq->arena, reason, "", &value));
    assert_int_equal(value, PB__REVOCATION_REASON__REVOCATION_REASON_CA_COMPROMISE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_bytes_times_enums_lists_and_what_is_absent),
        cmocka_unit_test(shows_numbers_switches_and_lists_of_each_kind),
        cmocka_unit_test(enums_have_short_names_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
