/* ImportTemplate: versions that only grow, and templates that would issue nonsense. */
#include "signer_fixture.h"

static const char *key_types[] = {"rsa", "p256"}, *key_usage[] = {"digitalSignature", "keyEncipherment"},
                  *purposes[] = {"serverAuth", "1.3.6.1.4.1.311.20.2.2"};
static Pb__NameType name_types[] = {PB__NAME_TYPE__NAME_TYPE_DNS, PB__NAME_TYPE__NAME_TYPE_IP};

static Pb__Template
usual_template(const char *name)
{
    Pb__Template template = PB__TEMPLATE__INIT;

    template.name = name;
    template.description = "made by a test";
    template.enabled = true;
    template.validity_days = 100;
    template.key_types = key_types;
    template.n_key_types = 2;
    template.min_rsa_bits = 3072;
    template.key_usage = key_usage;
    template.n_key_usage = 2;
    template.extended_key_usage = purposes;
    template.n_extended_key_usage = 2;
    template.path_length = -1;
    template.name_types = name_types;
    template.n_name_types = 2;
    template.san_required = true;
    template.subject = "common-name";
    template.include_crl = true;
    template.backdate_s = 60;
    template.max_names = 7;
    return template;
}

static enum error
import(struct request *rq, Pb__Template *template, Pb__ImportTemplateReply *ret_reply)
{
    Pb__ImportTemplateRequest request = PB__IMPORT_TEMPLATE_REQUEST__INIT;

    request.template_ = template;
    request.operator_ = "olga";
    pb__import_template_reply__init(ret_reply);
    return import_template(&signer, rq, &request, ret_reply);
}

static void
a_changed_template_is_a_new_version_and_an_equal_one_is_not(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__Template template = usual_template("versions");
    Pb__ImportTemplateReply reply;

    assert_int_equal(import(rq, &template, &reply), OK);
    assert_int_equal(reply.version, 1);
    assert_true(reply.changed);
    assert_int_equal(import(rq, &template, &reply), OK);
    assert_int_equal(reply.version, 1);
    assert_false(reply.changed);
    template.max_names = 8;
    assert_int_equal(import(rq, &template, &reply), OK);
    assert_int_equal(reply.version, 2);
    assert_true(reply.changed);

    const struct template *old, *new;
    assert_int_equal(template_load(&signer, rq, "versions", 1, &old), OK);
    assert_int_equal(template_load(&signer, rq, "versions", 2, &new), OK);
    assert_int_equal(old->about->max_names, 7);
    assert_int_equal(new->about->max_names, 8);
    assert_int_equal(old->about->n_name_types, 2);
    assert_int_equal(old->extended_key_usage_count, 2);
    AUTO_STRUCT(request, absent) = request_new();
    assert_int_equal(template_load(&signer, absent, "versions", 3, &new), ERR_NOT_FOUND);
}

/* The newest announcement. */
static const Pb__ConfigurationChanged *
announced(struct request *rq)
{
    char *hex = postgres_kit_ask(postgres, "SELECT encode(body, 'hex') FROM ca.outbox ORDER BY id DESC LIMIT 1");
    struct bytes body;

    assert_true(bytes_from_hex(rq->arena, hex, &body));
    free(hex);
    return (const Pb__ConfigurationChanged *)message_unpack(rq->arena, &pb__configuration_changed__descriptor, body);
}

static void
each_version_goes_on_record_with_who_made_it(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__Template template = usual_template("recorded");
    Pb__ImportTemplateReply reply;

    postgres_kit_run(postgres, "DELETE FROM ca.outbox");
    assert_int_equal(import(rq, &template, &reply), OK);
    const Pb__ConfigurationChanged *change = announced(rq);
    assert_string_equal(change->what, "template");
    assert_string_equal(change->name, "recorded");
    assert_string_equal(change->action, "created");
    assert_string_equal(change->operator_, "olga");
    template.requires_approval = true;
    assert_int_equal(import(rq, &template, &reply), OK);
    change = announced(rq);
    assert_string_equal(change->action, "changed");
    assert_int_equal(change->n_changes, 2);
    assert_string_equal(change->changes[0], "version: 1 → 2");
    assert_string_equal(change->changes[1], "requires_approval: false → true");
    assert_int_equal(import(rq, &template, &reply), OK);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.outbox"), 2); /* an equal one changes nothing */
}

static void
versions_cannot_be_changed_by_the_service(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    static const struct db_statement change = {"test_change", "UPDATE ca.template SET validity_days = 9999"};
    static const struct db_statement drop = {"test_drop", "DELETE FROM ca.template"};

    assert_int_not_equal(DB_QUERY0(signer.db, rq, &change, NULL), OK);
    failure_clear(rq);
    assert_int_not_equal(DB_QUERY0(signer.db, rq, &drop, NULL), OK);
}

static void
change(Pb__Template *template, const char *what)
{
    static const char *bad_key[] = {"dsa"}, *twice[] = {"rsa", "rsa"}, *bad_usage[] = {"everything"}, *ca_usage[] = {"keyCertSign"};
    static const char *crl_usage[] = {"digitalSignature", "cRLSign"}, *encipher[] = {"keyEncipherment"}, *ocsp[] = {"OCSPSigning"},
                      *any[] = {"2.5.29.37.0"};
    static const char *bad_purpose[] = {"some thing"}, *code[] = {"codeSigning"}, *stamping[] = {"timeStamping", "serverAuth"};
    static Pb__NameType bad_names[] = {(Pb__NameType)9}, same_names[] = {PB__NAME_TYPE__NAME_TYPE_DNS, PB__NAME_TYPE__NAME_TYPE_DNS};
    struct {
        const char *what;
        const char ***list;
        size_t *count;
        const char **to;
        size_t n;
    } lists[] = {
        {"no key types", &template->key_types, &template->n_key_types, bad_key, 0},
        {"unknown key type", &template->key_types, &template->n_key_types, bad_key, 1},
        {"key type twice", &template->key_types, &template->n_key_types, twice, 2},
        {"no usage", &template->key_usage, &template->n_key_usage, bad_usage, 0},
        {"unknown usage", &template->key_usage, &template->n_key_usage, bad_usage, 1},
        {"keyCertSign without CA", &template->key_usage, &template->n_key_usage, ca_usage, 1},
        {"cRLSign without CA", &template->key_usage, &template->n_key_usage, crl_usage, 2},
        {"responder", &template->extended_key_usage, &template->n_extended_key_usage, ocsp, 1},
        {"any purpose", &template->extended_key_usage, &template->n_extended_key_usage, any, 1},
        {"no purpose's name", &template->extended_key_usage, &template->n_extended_key_usage, bad_purpose, 1},
        {"stamping and more", &template->extended_key_usage, &template->n_extended_key_usage, stamping, 2},
    };

    for (size_t i = 0; i < COUNT_OF(lists); i++)
        if (text_equal(lists[i].what, what)) {
            *lists[i].list = lists[i].to;
            *lists[i].count = lists[i].n;
        }
    if (text_equal(what, "codeSigning that only enciphers")) {
        template->extended_key_usage = code;
        template->n_extended_key_usage = 1;
        template->key_usage = encipher;
        template->n_key_usage = 1;
    }
    if (text_equal(what, "unknown name form") || text_equal(what, "name form twice")) {
        template->name_types = text_equal(what, "unknown name form") ? bad_names : same_names;
        template->n_name_types = text_equal(what, "unknown name form") ? 1 : 2;
    }
    template->n_name_types = text_equal(what, "names required, none allowed") ? 0 : template->n_name_types;
    template->name = text_equal(what, "no name") ? "" : text_equal(what, "blank in front") ? " x" : template->name;
    template->name = text_equal(what, "long name") ? "12345678901234567890123456789012345678901234567890123456789012345" : template->name;
    template->validity_days = text_equal(what, "no validity") ? 0 : text_equal(what, "a thousand years") ? 365000 : template->validity_days;
    template->min_rsa_bits = text_equal(what, "weak rsa") ? 1024 : template->min_rsa_bits;
    template->is_ca = text_equal(what, "CA without keyCertSign");
    template->path_length = text_equal(what, "path length without CA") ? 2 : template->path_length;
    template->subject = text_equal(what, "unknown subject rule") ? "anything" : template->subject;
    template->san_required = !text_equal(what, "common name without names");
    template->backdate_s = text_equal(what, "a month back") ? 30 * 86400 : template->backdate_s;
    template->max_names = text_equal(what, "many names") ? 101 : template->max_names;
    template->issuer = text_equal(what, "issuer") ? "No Such Name" : template->issuer;
}

static void
refuses_templates_that_would_issue_nonsense(void **state)
{
    static const char *const cases[] = {
        "no key types",
        "unknown key type",
        "key type twice",
        "no usage",
        "unknown usage",
        "keyCertSign without CA",
        "cRLSign without CA",
        "responder",
        "any purpose",
        "no purpose's name",
        "stamping and more",
        "codeSigning that only enciphers",
        "unknown name form",
        "name form twice",
        "names required, none allowed",
        "no name",
        "blank in front",
        "long name",
        "no validity",
        "a thousand years",
        "weak rsa",
        "CA without keyCertSign",
        "path length without CA",
        "unknown subject rule",
        "common name without names",
        "a month back",
        "many names",
        "issuer",
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__Template template = usual_template("nonsense");
        Pb__ImportTemplateReply reply;
        change(&template, cases[i]);
        enum error error = import(rq, &template, &reply);
        if (error != ERR_BAD_REQUEST)
            fail_msg("%s: %s", cases[i], error_name(error));
    }
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ImportTemplateReply reply;
    assert_int_equal(import(rq, NULL, &reply), ERR_BAD_REQUEST);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.template WHERE name IN ('nonsense', '', ' x')"), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changed_template_is_a_new_version_and_an_equal_one_is_not), cmocka_unit_test(each_version_goes_on_record_with_who_made_it),
        cmocka_unit_test(versions_cannot_be_changed_by_the_service), cmocka_unit_test(refuses_templates_that_would_issue_nonsense)};

    log_open("import-template-test", "1", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start_house, stop_house);
}
