/* Which devices may come, and what their CSRs may ask to be called. */
#include "est_fixture.h"

#include "kit/pki_kit.h"

struct question {
    const char *subject, *names; /* of the client certificate; NULL: none came */
    const char *user;
    const char *csr_subject, *csr_names;
    const char *pattern;
    bool allowed;
};

static struct certificate *
certificate_of(struct request *rq, EVP_PKEY *key, const char *subject, const char *names)
{
    struct certificate *certificate = arena_alloc(rq->arena, sizeof *certificate);

    if (subject == NULL)
        return NULL;
    assert_ok(rq, certificate_parse(rq, kit_certificate(rq->arena, &(struct kit_certificate){.key = key, .subject = subject, .names = names}),
                                    certificate));
    return certificate;
}

static void
names_of_csrs_follow_the_patterns_of_the_profile(void **state)
{
    static const struct question questions[] = {
        {"/CN=d1", NULL, "", "/CN=d1", NULL, "{cn}", true},
        {"/CN=d1", NULL, "", "/CN=D1", NULL, "{cn}", true},
        {"/CN=d1", NULL, "", "/CN=d2", NULL, "{cn}", false},
        {"/CN=d1", NULL, "", "/CN=d1.devices.example", "DNS:d1.devices.example", "{cn}.devices.example", true},
        {"/CN=d1", NULL, "", "/CN=d1.devices.example", "DNS:d2.devices.example", "{cn}.devices.example", false},
        {"/CN=d1", NULL, "", "/CN=d1.devices.example/CN=root", NULL, "{cn}.devices.example", false},
        {"/CN=d1", "DNS:a.example", "", "/CN=a.example", NULL, "{cn}", false},
        {"/CN=d1", "DNS:a.example", "", "/CN=a.example", NULL, "{name}", true},
        {"/CN=d1", "DNS:a.example", "", "/CN=d1", NULL, "{name}", true},
        {"/CN=d1", "DNS:*.example", "", "/CN=bank.example", NULL, "{name}", false},
        {"/CN=*", NULL, "", "/CN=anything", NULL, "{cn}", false},
        {NULL, NULL, "", "/CN=d1", NULL, "{cn}", false},
        {NULL, NULL, "alice", "/CN=alice", NULL, "{user}", true},
        {NULL, NULL, "alice", "/CN=bob", NULL, "{user}", false},
        {NULL, NULL, "*", "/CN=bob", NULL, "{user}", false},
        {NULL, NULL, "alice", "/CN=x.works.example", "DNS:y.works.example", "*.works.example", true},
        {NULL, NULL, "alice", "/CN=x.works.example", "DNS:y.works.example,IP:192.0.2.1", "*.works.example", false},
        {NULL, NULL, "alice", "/O=Example", NULL, "*.works.example", true},
    };
    EVP_PKEY *key = kit_key("p256");

    for (size_t i = 0; i < COUNT_OF(questions); i++) {
        const struct question *question = &questions[i];
        AUTO_STRUCT(request, rq) = request_new();
        Pb__EstProfile *settings = good_profile(rq->arena, "a");
        struct profile profile = {.settings = settings};
        struct client client = {.user = question->user, .certificate = certificate_of(rq, key, question->subject, question->names)};
        struct csr csr;
        const char *patterns[] = {question->pattern};
        settings->names = patterns;
        settings->n_names = 1;
        assert_ok(rq, csr_parse(rq, kit_csr(rq->arena, &(struct kit_csr){.key = key, .subject = question->csr_subject, .names = question->csr_names}),
                                &csr));
        enum error error = names_check_csr(rq, &profile, &client, &csr);
        if ((error == OK) != question->allowed)
            fail_msg("case %zu: %s", i, error_name(error));
        assert_true(error == OK || error == ERR_DENIED);
    }
    EVP_PKEY_free(key);
}

static void
devices_are_known_by_common_name_or_other_names(void **state)
{
    static const struct {
        const char *subject, *names, *pattern;
        bool allowed;
    } cases[] = {
        {"/CN=SN1001", NULL, "SN*", true},
        {"/CN=XN1001", NULL, "SN*", false},
        {"/O=Maker", "DNS:sn1.maker.example", "*.maker.example", true},
        {"/CN=x", "otherName:1.2.3;UTF8:y,DNS:z", "x", true},
    };
    EVP_PKEY *key = kit_key("p256");

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__EstProfile *settings = good_profile(rq->arena, "a");
        struct profile profile = {.settings = settings};
        const char *patterns[] = {"nobody", cases[i].pattern};
        settings->devices = patterns;
        settings->n_devices = 2;
        enum error error = names_check_device(rq, &profile, certificate_of(rq, key, cases[i].subject, cases[i].names));
        assert_int_equal(error, cases[i].allowed ? OK : ERR_DENIED);
    }
    EVP_PKEY_free(key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_csrs_follow_the_patterns_of_the_profile),
        cmocka_unit_test(devices_are_known_by_common_name_or_other_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
