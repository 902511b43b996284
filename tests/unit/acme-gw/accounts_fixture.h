/* Accounts in the hands of an operator. */
#ifndef SIGNET_TESTS_ACME_ACCOUNTS_FIXTURE_H
#define SIGNET_TESTS_ACME_ACCOUNTS_FIXTURE_H

#include "eab_fixture.h"

static struct client me;

static inline int
begin(void **state)
{
    memset(&beyond, 0, sizeof beyond);
    me = client_new();
    client_register(&me);
    return 0;
}

static inline int
end(void **state)
{
    client_free(&me);
    postgres_kit_run(postgres,
                     "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge, acme.outbox, acme.eab, acme.star_certificate, "
                     "ra.certificate_status");
    gateway_forget_chains();
    return 0;
}

/* The id at the end of its URL. */
static inline const char *
id_of(const struct client *client)
{
    return strrchr(client->kid, '/') + 1;
}

static inline const char *
thumbprint_of(struct client *client)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct jwk jwk;

    assert_int_equal(jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(jose_jwk(rq->arena, client->key))), &jwk), OK);
    return base64url_encode(client->arena, BYTES(jwk.thumbprint, THUMBPRINT_LEN));
}

static inline enum error
revoke_named(const char *name, Pb__RevokeAcmeAccountReply *ret_reply)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__RevokeAcmeAccountRequest input = PB__REVOKE_ACME_ACCOUNT_REQUEST__INIT;

    pb__revoke_acme_account_reply__init(ret_reply);
    rq->caller = "signetctl";
    input.account = name;
    input.operator_ = "olga";
    input.why = "its key was stolen";
    enum error error = revoke_acme_account(&gateway, rq, &input, ret_reply);
    ret_reply->account = "";
    ret_reply->status = arena_text(me.arena, ret_reply->status);
    return error;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
