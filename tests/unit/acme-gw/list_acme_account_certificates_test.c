/* What an account has that can be revoked: page by page, automatic renewals too, and nothing that is over. */
#include "accounts_fixture.h"

static void
put_status(const char *serial, const char *not_after, const char *revoked_at)
{
    postgres_kit_run(postgres,
                     arena_format(me.arena, "INSERT INTO ra.certificate_status VALUES ('\\x%s', 5000, 'test', now() + interval '%s', %s, NULL)",
                                  serial, not_after, revoked_at));
}

static void
put_order(const char *account, const char *id, const char *serial)
{
    postgres_kit_run(
        postgres, arena_format(me.arena,
                               "INSERT INTO acme.orders (id, account_id, status, names, authorization_ids, authorizations_left, client_address, "
                               "expires_at, serial, expiry_month) VALUES ('%s', '%s', 'valid', '{dns:%s.example,dns:b.example}', '{}', 0, '', now(), "
                               "'\\x%s', 5000)",
                               id, account, id, serial));
}

static const char *
list(uint32_t limit)
{
    Pb__ListAcmeAccountCertificatesRequest input = PB__LIST_ACME_ACCOUNT_CERTIFICATES_REQUEST__INIT;
    struct buffer found = buffer_in(me.arena);

    input.account = id_of(&me);
    input.limit = limit;
    do {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__ListAcmeAccountCertificatesReply reply = PB__LIST_ACME_ACCOUNT_CERTIFICATES_REPLY__INIT;
        assert_int_equal(list_acme_account_certificates(&gateway, rq, &input, &reply), OK);
        assert_true(reply.n_certificates <= limit);
        for (size_t i = 0; i < reply.n_certificates; i++) {
            const Pb__AcmeAccountCertificate *one = reply.certificates[i];
            assert_string_equal(one->issuer, "test");
            assert_int_equal(one->name_count, 2);
            buffer_append_format(&found, "%s%s=%s", found.len > 0 ? " " : "", bytes_hex(rq->arena, message_bytes(one->serial), 0), one->name);
        }
        input.cursor = arena_text(me.arena, reply.next_cursor);
    } while (input.cursor[0] != '\0');
    return buffer_text(&found);
}

static void
what_is_neither_expired_nor_revoked_is_listed_with_what_was_renewed(void **state)
{
    put_order(id_of(&me), "a", "aa");
    put_status("aa", "1 day", "NULL");
    put_order(id_of(&me), "b", "b3");
    put_status("b1", "1 day", "NULL");
    put_status("b2", "1 day", "now()");
    put_status("b3", "1 day", "NULL");
    postgres_kit_run(postgres, "INSERT INTO acme.star_certificate VALUES ('\\xb1', 5000, 'b'), ('\\xb2', 5000, 'b'), ('\\xb3', 5000, 'b')");
    put_order(id_of(&me), "c", "cc");
    put_status("cc", "-1 day", "NULL");
    put_order(id_of(&me), "d", "dd");
    put_status("dd", "1 day", "now()");
    put_order("somebody-else", "e", "ee");
    put_status("ee", "1 day", "NULL");
    postgres_kit_run(postgres, "UPDATE acme.orders SET created_at = now() - interval '1 hour'");

    for (uint32_t limit = 1; limit < 4; limit++)
        assert_string_equal(list(limit), "b3=b.example b1=b.example aa=a.example");
}

static void
refuses_what_is_no_id(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ListAcmeAccountCertificatesRequest input = PB__LIST_ACME_ACCOUNT_CERTIFICATES_REQUEST__INIT;
    Pb__ListAcmeAccountCertificatesReply reply = PB__LIST_ACME_ACCOUNT_CERTIFICATES_REPLY__INIT;

    assert_int_equal(list_acme_account_certificates(&gateway, rq, &input, &reply), ERR_BAD_REQUEST);
    input.account = id_of(&me);
    assert_int_equal(list_acme_account_certificates(&gateway, rq, &input, &reply), OK);
    assert_int_equal(reply.n_certificates, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_neither_expired_nor_revoked_is_listed_with_what_was_renewed),
        CASE(refuses_what_is_no_id),
    };

    return cmocka_run_group_tests(tests, open_gateway_for_credentials, close_gateway);
}
