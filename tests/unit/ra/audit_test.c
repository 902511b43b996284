/* The text of a record: JSON whatever strangers write, and never longer than the table takes. */
#include "unit/kit.h"

#include <string.h>

#include <jansson.h>

#include "ra.h"

static Pb__EnrollRequest *
request_with(struct request *rq, const char *text, size_t names)
{
    Pb__EnrollRequest *request = arena_alloc(rq->arena, sizeof *request);
    Pb__Principal *principal = arena_alloc(rq->arena, sizeof *principal);

    pb__enroll_request__init(request);
    pb__principal__init(principal);
    principal->kind = principal->id = text;
    request->principal = principal;
    request->channel = request->idempotency_key = request->template_ = request->owner = request->issuer = text;
    request->client_address = request->asset = text;
    request->n_proven_names = names;
    request->proven_names = arena_array(rq->arena, names, sizeof(Pb__Name *));
    for (size_t i = 0; i < names; i++) {
        request->proven_names[i] = arena_alloc(rq->arena, sizeof(Pb__Name));
        pb__name__init(request->proven_names[i]);
        request->proven_names[i]->value = text;
    }
    request->csr = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t) "csr", .len = 3};
    return request;
}

static json_t *
parse(const char *record)
{
    json_error_t error;
    json_t *json = json_loads(record, JSON_REJECT_DUPLICATES, &error);

    if (json == NULL)
        fail_msg("%s: %s", error.text, record);
    return json;
}

static void
the_making_of_a_ca_says_its_name_and_certificate(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CaCreated created = PB__CA_CREATED__INIT;

    created.name = "a \"root\"";
    created.certificate = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t) "der", .len = 3};
    created.operator_ = "olga";
    created.caller = "signetctl";
    json_t *json = parse(audit_ca_created(rq, &created));
    assert_string_equal(json_string_value(json_object_get(json, "action")), "ca.created");
    assert_string_equal(json_string_value(json_object_get(json, "issuer")), created.name);
    assert_string_equal(json_string_value(json_object_get(json, "operator")), "olga");
    assert_string_equal(json_string_value(json_object_get(json, "principal")), "bus:signetctl");
    assert_int_equal(strlen(json_string_value(json_object_get(json, "certificate_sha256"))), 64);
    json_decref(json);
}

static void
a_change_says_who_did_what(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ConfigurationChanged changed = PB__CONFIGURATION_CHANGED__INIT;
    const char *changes[] = {"description: \"\" → \"x\"", "caa: false → true"};

    changed.what = "acme policy";
    changed.name = "intra";
    changed.action = "changed";
    changed.operator_ = "olga";
    changed.caller = "signetctl";
    changed.changes = changes;
    changed.n_changes = 2;
    json_t *json = parse(audit_configuration_changed(rq, &changed));
    assert_string_equal(json_string_value(json_object_get(json, "action")), "configuration.changed");
    assert_string_equal(json_string_value(json_object_get(json, "what")), "acme policy");
    assert_string_equal(json_string_value(json_object_get(json, "name")), "intra");
    assert_string_equal(json_string_value(json_object_get(json, "done")), "changed");
    assert_string_equal(json_string_value(json_object_get(json, "operator")), "olga");
    assert_string_equal(json_string_value(json_object_get(json, "principal")), "bus:signetctl");
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "changes"), 0)), changes[0]);
    json_decref(json);
}

/* Long, and each character of it six in JSON. */
static const char *
worst_text(struct arena *arena)
{
    char worst[2000];

    memset(worst, '\x01', sizeof worst);
    return arena_text_n(arena, worst, sizeof worst - 1);
}

static void
worst_change_fits_the_table(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ConfigurationChanged changed = PB__CONFIGURATION_CHANGED__INIT;
    const char *worst = worst_text(rq->arena), *changes[100];

    for (size_t i = 0; i < COUNT_OF(changes); i++)
        changes[i] = worst;
    changed.what = changed.name = changed.action = changed.operator_ = changed.caller = changed.also = worst;
    changed.changes = changes;
    changed.n_changes = COUNT_OF(changes);
    const char *record = audit_configuration_changed(rq, &changed);
    assert_true(strlen(record) <= AUDIT_BODY_MAX);
    json_t *json = parse(record);
    assert_int_equal(json_integer_value(json_object_get(json, "change_count")), 100);
    json_decref(json);
}

static void
what_an_account_does_is_its_own_and_what_an_operator_does_is_his(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__AccountChanged changed = PB__ACCOUNT_CHANGED__INIT;
    const char *contacts[] = {"mailto:new@example.org"}, *former[] = {"mailto:a@example.org", "mailto:b@example.org"};

    changed.account = "AbC";
    changed.action = "key-changed";
    changed.policy = "intra";
    changed.key_thumbprint = "new-key";
    changed.former_thumbprint = "old-key";
    changed.client_address = "192.0.2.7";
    changed.contacts = contacts;
    changed.n_contacts = COUNT_OF(contacts);
    changed.former_contacts = former;
    changed.n_former_contacts = COUNT_OF(former);
    json_t *json = parse(audit_account_changed(rq, &changed));
    const char *const members[][2] = {{"action", "account.key-changed"}, {"account", "AbC"},     {"principal", "acme-account:AbC"},
                                      {"key_thumbprint", "new-key"},     {"policy", "intra"},    {"former_thumbprint", "old-key"},
                                      {"client", "192.0.2.7"},           {"trace", rq->trace_id}};
    for (size_t i = 0; i < COUNT_OF(members); i++)
        assert_string_equal(json_string_value(json_object_get(json, members[i][0])), members[i][1]);
    assert_int_equal(json_array_size(json_object_get(json, "contacts")), 1);
    assert_int_equal(json_array_size(json_object_get(json, "former_contacts")), 2);
    json_decref(json);

    changed.action = "revoked";
    changed.operator_ = "olga";
    changed.caller = "signetctl";
    changed.eab = "team-a";
    changed.eab_key_id = "kid";
    changed.why = "stolen";
    json = parse(audit_account_changed(rq, &changed));
    assert_string_equal(json_string_value(json_object_get(json, "action")), "account.revoked");
    assert_string_equal(json_string_value(json_object_get(json, "principal")), "bus:signetctl");
    assert_string_equal(json_string_value(json_object_get(json, "operator")), "olga");
    assert_string_equal(json_string_value(json_object_get(json, "eab")), "team-a");
    assert_string_equal(json_string_value(json_object_get(json, "eab_key_id")), "kid");
    assert_string_equal(json_string_value(json_object_get(json, "message")), "stolen");
    json_decref(json);
}

static void
worst_account_fits_the_table_and_has_no_action_of_its_own(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__AccountChanged changed = PB__ACCOUNT_CHANGED__INIT;
    const char *worst = worst_text(rq->arena), *contacts[100];

    for (size_t i = 0; i < COUNT_OF(contacts); i++)
        contacts[i] = worst;
    changed.account = changed.action = changed.policy = changed.key_thumbprint = changed.former_thumbprint = changed.eab = changed.eab_key_id = worst;
    changed.client_address = changed.operator_ = changed.caller = changed.why = worst;
    changed.contacts = changed.former_contacts = contacts;
    changed.n_contacts = changed.n_former_contacts = COUNT_OF(contacts);
    const char *record = audit_account_changed(rq, &changed);
    assert_true(strlen(record) <= AUDIT_BODY_MAX);
    json_t *json = parse(record);
    assert_string_equal(json_string_value(json_object_get(json, "action")), "account.changed");
    assert_int_equal(json_integer_value(json_object_get(json, "contact_count")), 100);
    json_decref(json);
}

static void
refusal_says_who_what_and_why(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__EnrollRequest *request = request_with(rq, "alice", 2);

    (void)!fail(rq, ERR_DENIED, "Domain not authorized for user role: a.example");
    (void)!fail_layer(rq, "AUTH-002");
    json_t *json = parse(audit_enroll_refused(rq, request));
    assert_string_equal(json_string_value(json_object_get(json, "action")), "enroll.refused");
    assert_string_equal(json_string_value(json_object_get(json, "principal")), "alice:alice");
    assert_string_equal(json_string_value(json_object_get(json, "result")), "denied");
    assert_string_equal(json_string_value(json_object_get(json, "layer")), "AUTH-002");
    assert_string_equal(json_string_value(json_object_get(json, "message")), "Domain not authorized for user role: a.example");
    assert_string_equal(json_string_value(json_object_get(json, "trace")), rq->trace_id);
    assert_int_equal(json_integer_value(json_object_get(json, "name_count")), 2);
    assert_int_equal(json_array_size(json_object_get(json, "names")), 2);
    assert_int_equal(strlen(json_string_value(json_object_get(json, "at"))), strlen("2026-11-20T23:50:55.123456Z"));
    assert_int_equal(strlen(json_string_value(json_object_get(json, "csr_sha256"))), 64);
    json_decref(json);
}

static void
texts_of_strangers_stay_inside_their_quotes(void **state)
{
    static const char *const texts[] = {
        "\",\"result\":\"ok", "back\\slash\\", "line\nbreak\r\t\x01\x7f", "caf\xc3\xa9 \xe2\x82\xac", "half \xe2\x82", "\xff\xfe", ""};

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__EnrollRequest *request = request_with(rq, texts[i], 1);
        (void)!fail(rq, ERR_BAD_CSR, "%s", texts[i]);
        const char *record = audit_enroll_refused(rq, request);
        json_t *json = parse(record);
        assert_null(strchr(record, '\n'));
        assert_string_equal(json_string_value(json_object_get(json, "result")), "bad-csr");
        json_decref(json);
    }
}

/* Every octet becomes six ("\u0001"), in as many and as long texts as the checks let in. */
static void
worst_request_fits_the_table(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    char *longest = arena_alloc(rq->arena, 4000);

    memset(longest, 1, 3999);
    Pb__EnrollRequest *request = request_with(rq, longest, 100);
    (void)!fail(rq, ERR_BAD_CSR, "%s", longest);
    const char *record = audit_enroll_refused(rq, request);
    assert_true(strlen(record) <= AUDIT_BODY_MAX);
    json_t *json = parse(record);
    assert_int_equal(json_integer_value(json_object_get(json, "name_count")), 100);
    json_decref(json);
}

static struct intent
intent_with(struct request *rq, const char *text, size_t names, const char *preapproved)
{
    Pb__CertificateIntent *plan = arena_alloc(rq->arena, sizeof *plan);

    pb__certificate_intent__init(plan);
    plan->issuer = plan->template_ = text;
    plan->names = request_with(rq, text, names)->proven_names;
    plan->n_names = names;
    plan->serial = plan->intent_id = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t) "0123456789abcdef", .len = 16};
    return (struct intent){.id = message_bytes(plan->intent_id),
                           .channel = text,
                           .idempotency_key = text,
                           .principal_kind = text,
                           .principal_id = text,
                           .owner = text,
                           .client_address = text,
                           .preapproved = preapproved,
                           .on_behalf_of = text,
                           .plan = plan};
}

static void
names_that_nobody_proved_are_told(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct intent proven = intent_with(rq, "acme", 1, ""), approved = intent_with(rq, "acme", 2, "a.example b.example");

    json_t *json = parse(audit_issued(rq, &proven, bytes_of_text("der"), ""));
    assert_null(json_object_get(json, "preapproved"));
    json_decref(json);
    json = parse(audit_issued(rq, &approved, bytes_of_text("der"), ""));
    assert_int_equal(json_integer_value(json_object_get(json, "preapproved_count")), 2);
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "preapproved"), 1)), "b.example");
    json_decref(json);
}

static void
worst_intent_fits_the_table(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    char *longest = arena_alloc(rq->arena, 4000), *preapproved = arena_alloc(rq->arena, 25400);

    memset(longest, 1, 3999);
    memset(preapproved, 1, 25399);
    for (size_t i = 253; i < 25399; i += 254)
        preapproved[i] = ' ';
    struct intent intent = intent_with(rq, longest, 100, preapproved);
    (void)!fail(rq, ERR_BAD_CSR, "%s", longest);
    const char *record = audit_intent_refused(rq, &intent);
    assert_true(strlen(record) <= AUDIT_BODY_MAX);
    json_t *json = parse(record);
    assert_int_equal(json_integer_value(json_object_get(json, "preapproved_count")), 100);
    json_decref(json);
    json_decref(parse(audit_issued(rq, &intent, bytes_of_text("der"), longest)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_making_of_a_ca_says_its_name_and_certificate),
        cmocka_unit_test(a_change_says_who_did_what),
        cmocka_unit_test(worst_change_fits_the_table),
        cmocka_unit_test(what_an_account_does_is_its_own_and_what_an_operator_does_is_his),
        cmocka_unit_test(worst_account_fits_the_table_and_has_no_action_of_its_own),
        cmocka_unit_test(refusal_says_who_what_and_why),
        cmocka_unit_test(texts_of_strangers_stay_inside_their_quotes),
        cmocka_unit_test(worst_request_fits_the_table),
        cmocka_unit_test(names_that_nobody_proved_are_told),
        cmocka_unit_test(worst_intent_fits_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
