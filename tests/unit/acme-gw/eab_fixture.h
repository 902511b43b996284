/* Credentials for external account binding, and accounts that were made with them. */
#ifndef SIGNET_TESTS_ACME_EAB_FIXTURE_H
#define SIGNET_TESTS_ACME_EAB_FIXTURE_H

#include "gateway_fixture.h"

/* With a policy for which accounts can be bound, the default one, and another for which they cannot, "open". */
static inline int
open_gateway_for_credentials(void **state)
{
    int status = open_gateway(state);

    run_and_reload("UPDATE acme.policy SET eab = 'optional'; INSERT INTO acme.policy (name) VALUES ('open')");
    return status;
}

static inline enum error
create_named(const char *name, const char *policy, uint32_t uses)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CreateEabRequest input = PB__CREATE_EAB_REQUEST__INIT;
    Pb__CreateEabReply reply = PB__CREATE_EAB_REPLY__INIT;
    Pb__EabCredential credential = PB__EAB_CREDENTIAL__INIT;

    credential.name = name;
    credential.policy = policy;
    credential.use_limit = uses;
    credential.created_by = "tester";
    input.credential = &credential;
    return create_eab(&gateway, rq, &input, &reply);
}

static inline void
make_account_of(const char *name)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    postgres_kit_run(postgres, arena_format(arena,
                                            "INSERT INTO acme.account (id, key_thumbprint, jwk, contacts, terms_agreed, client_address, eab_key_id) "
                                            "SELECT md5(random()::text), decode(md5(random()::text), 'hex'), '{}', '{}', true, '', key_id "
                                            "FROM acme.eab WHERE name = '%s'",
                                            name));
}

static inline void
assert_answer(const char *sql, const char *expected)
{
    char *found = postgres_kit_ask(postgres, sql);
    assert_string_equal(found, expected);
    free(found);
}

#endif
