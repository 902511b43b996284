/* Batches of moves as the commit queue gathers them: each item gets what is its own. */
#include "unit/acme-gw/gateway_fixture.h"

#include <openssl/sha.h>

static struct client me;

static int
begin(void **state)
{
    memset(&beyond, 0, sizeof beyond);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge, acme.limit_state");
    gateway_forget_chains();
    me = client_new();
    client_register(&me);
    return 0;
}

static int
end(void **state)
{
    client_free(&me);
    return 0;
}

static const char *
id_of(const char *url)
{
    return strrchr(url, '/') + 1;
}

static struct order_move
claim_of(struct request *rq, const char *order_url, const char *name, const char *csr)
{
    struct claim *claim = arena_alloc(rq->arena, sizeof *claim);
    const char **names = arena_array(rq->arena, 1, sizeof *names);

    names[0] = name;
    *claim = (struct claim){.names = names, .name_count = 1, .csr = bytes_of_text(csr), .key_sha256 = bytes_of_text("key")};
    return (struct order_move){.kind = MOVE_CLAIM, .rq = rq, .id = id_of(order_url), .account_id = id_of(me.kid), .claim = claim};
}

static struct issued
issued_with(struct request *rq, size_t chains)
{
    static const char *const pems[] = {"chain one", "chain two", "chain three"};
    static const uint8_t sha256[][SHA256_DIGEST_LENGTH] = {{1}, {2}, {3}};
    struct serial serial = serial_new(clock_now_s() + 90 * 86400);
    struct issued issued = {.serial = bytes_copy(rq->arena, BYTES(serial.octets, SERIAL_LEN)),
                            .expiry_month = serial_month_of(clock_now_s() + 90 * 86400),
                            .chain_sha256 = arena_array(rq->arena, chains, sizeof *issued.chain_sha256),
                            .chain_pem = arena_array(rq->arena, chains, sizeof *issued.chain_pem),
                            .chain_count = chains};

    for (size_t i = 0; i < chains; i++) {
        issued.chain_sha256[i] = BYTES(sha256[i], sizeof sha256[i]);
        issued.chain_pem[i] = pems[i];
    }
    return issued;
}

static void
of_two_claims_of_one_order_one_wins(void **state)
{
    struct made_order one = client_ready_order(&me, "one.example"), two = client_ready_order(&me, "two.example");
    AUTO_STRUCT(request, rq) = request_new();
    struct order_move moves[] = {claim_of(rq, one.url, "dns:one.example", "csr a"), claim_of(rq, one.url, "dns:one.example", "csr b"),
                                 claim_of(rq, two.url, "dns:two.example", "csr c"), claim_of(rq, two.url, "dns:two.example", "csr d"),
                                 claim_of(rq, one.url, "dns:two.example", "csr e")};
    void *items[] = {&moves[0], &moves[1], &moves[2], &moves[3], &moves[4]};

    moves[3].account_id = "a stranger";
    assert_int_equal(store_move_batch(&gateway, rq, items, COUNT_OF(items)), OK);
    assert_int_equal(moves[0].done + moves[1].done, 1);
    const struct order *won = moves[0].done ? &moves[0].order : &moves[1].order;
    assert_string_equal(won->id, id_of(one.url));
    assert_int_equal(won->status, ORDER_PROCESSING);
    assert_true(moves[2].done);
    assert_string_equal(moves[2].order.names[0].value, "two.example");
    assert_true(bytes_equal(moves[2].order.csr, bytes_of_text("csr c")));
    assert_false(moves[3].done);
    assert_false(moves[4].done);
    char *stored = postgres_kit_ask(postgres, "SELECT string_agg(convert_from(csr, 'UTF8'), ', ' ORDER BY names) FROM acme.orders");
    assert_string_equal(stored, moves[0].done ? "csr a, csr c" : "csr b, csr c");
    free(stored);
}

static void
orders_end_with_their_own_chains(void **state)
{
    struct made_order one = client_ready_order(&me, "one.example"), two = client_ready_order(&me, "two.example");
    AUTO_STRUCT(request, rq) = request_new();
    struct issued with_three = issued_with(rq, 3), with_one = issued_with(rq, 1);
    struct order_move claims[] = {claim_of(rq, one.url, "dns:one.example", "csr"), claim_of(rq, two.url, "dns:two.example", "csr")};
    struct order_move ends[] = {{.kind = MOVE_END, .rq = rq, .id = id_of(one.url), .issued = &with_three},
                                {.kind = MOVE_END, .rq = rq, .id = id_of(two.url), .issued = &with_one},
                                {.kind = MOVE_END, .rq = rq, .id = "nobody's", .issued = &with_one}};
    void *claim_items[] = {&claims[0], &claims[1]}, *end_items[] = {&ends[0], &ends[1], &ends[2]};

    assert_int_equal(store_move_batch(&gateway, rq, claim_items, COUNT_OF(claim_items)), OK);
    assert_int_equal(store_move_batch(&gateway, rq, end_items, COUNT_OF(end_items)), OK);
    assert_true(ends[0].done && ends[1].done);
    assert_false(ends[2].done);
    char *stored = postgres_kit_ask(postgres, "SELECT string_agg(concat_ws(' ', status, left(encode(chain_sha256, 'hex'), 2), "
                                              "cardinality(alternate_chains), left(encode(alternate_chains[2], 'hex'), 2)), ', ' ORDER BY names) || "
                                              "'; ' || (SELECT string_agg(pem, ', ' ORDER BY sha256) FROM acme.chain) FROM acme.orders");
    assert_string_equal(stored, "valid 01 2 03, valid 01 0; chain one, chain two, chain three");
    free(stored);
}

/* In turns of 100,000 s. */
static char *
spent(void)
{
    return postgres_kit_ask(postgres, "SELECT string_agg(key || ' ' || round(extract(epoch FROM tat - now()) / 100000), ', ' ORDER BY key) "
                                      "FROM acme.limit_state WHERE key LIKE 'd %'");
}

/* Its lease ran out, and another replica was faster with the same certificate. */
static void
a_certificate_counts_once_however_many_ends_its_order_had(void **state)
{
    struct made_order one = client_ready_order(&me, "one.example"), two = client_ready_order(&me, "two.example");
    AUTO_STRUCT(request, rq) = request_new();
    const struct spending spendings[] = {{.key = "d one", .limit = {10, 1000000}}, {.key = "d both", .limit = {10, 1000000}}};
    const struct spending others[] = {{.key = "d both", .limit = {10, 1000000}}};
    struct issued of_one = issued_with(rq, 1), of_two = issued_with(rq, 1);
    struct order_move claims[] = {claim_of(rq, one.url, "dns:one.example", "csr"), claim_of(rq, two.url, "dns:two.example", "csr")};
    struct order_move ends[] = {{.kind = MOVE_END, .rq = rq, .id = id_of(one.url), .issued = &of_one},
                                {.kind = MOVE_END, .rq = rq, .id = id_of(two.url), .issued = &of_two}};
    void *claim_items[] = {&claims[0], &claims[1]}, *end_items[] = {&ends[0], &ends[1]};

    of_one.spendings = spendings;
    of_one.spending_count = COUNT_OF(spendings);
    of_two.spendings = others;
    of_two.spending_count = COUNT_OF(others);
    assert_int_equal(store_move_batch(&gateway, rq, claim_items, 2), OK);
    postgres_kit_run(postgres, "UPDATE acme.orders SET lease_holder = 'other' WHERE names = '{dns:two.example}'");
    assert_int_equal(store_move_batch(&gateway, rq, end_items, 2), OK);
    assert_true(ends[0].done && !ends[1].done);
    char *counted = spent();
    assert_string_equal(counted, "d both 1, d one 1");
    free(counted);
    postgres_kit_run(postgres, "UPDATE acme.orders SET lease_holder = 'gateway/finalizations' WHERE names = '{dns:two.example}'");
    for (int again = 0; again < 2; again++)
        assert_int_equal(store_move_batch(&gateway, rq, end_items, 2), OK);
    counted = spent();
    assert_string_equal(counted, "d both 2, d one 1");
    free(counted);
}

/* An order with two names whose challenges are both in our hands. */
static const char *
order_in_work(char *ret_ids[2])
{
    const struct http_kit_reply *reply = client_post(
        &me, "/acme/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"},{\"type\":\"dns\",\"value\":\"b.example\"}]}");
    const char *url = header_of(&me, reply, "Location");

    postgres_kit_run(postgres, "UPDATE acme.challenge SET type = 'http-01', status = 'processing', due_at = now(), lease_holder = "
                               "'gateway/validations' WHERE status = 'pending'");
    ret_ids[0] = postgres_kit_ask(postgres, "SELECT min(id) FROM acme.challenge WHERE status = 'processing'");
    ret_ids[1] = postgres_kit_ask(postgres, "SELECT max(id) FROM acme.challenge WHERE status = 'processing'");
    return url;
}

static const struct verdicts {
    const char *name;
    const char *problem; /* of the second */
    const char *status;
} all_verdicts[] = {
    {"two_proofs_in_a_batch_make_the_order_ready", NULL, "ready"},
    {"one_refuted_name_in_a_batch_makes_the_order_invalid", "{\"type\":\"urn:ietf:params:acme:error:dns\"}", "invalid"},
};

static void
verdicts_of_one_order_are_counted_together(void **state)
{
    const struct verdicts *verdicts = *state;
    char *ids[2];
    const char *url = order_in_work(ids);
    AUTO_STRUCT(request, rq) = request_new();
    struct finding proven = {.holds = true}, second = {.holds = verdicts->problem == NULL};
    struct order_move moves[] = {{.kind = MOVE_VERDICT, .rq = rq, .id = ids[0], .finding = &proven},
                                 {.kind = MOVE_VERDICT, .rq = rq, .id = ids[1], .finding = &second, .problem = verdicts->problem}};
    void *items[] = {&moves[0], &moves[1]};

    assert_int_equal(store_move_batch(&gateway, rq, items, COUNT_OF(items)), OK);
    const struct http_kit_reply *reply = client_post(&me, url, "");
    assert_string_equal(member(&me, reply, "status"), verdicts->status);
    char *left = postgres_kit_ask(postgres, "SELECT authorizations_left FROM acme.orders");
    assert_string_equal(left, verdicts->problem == NULL ? "0" : "1");
    free(left);
    free(ids[0]);
    free(ids[1]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define CASES_BY_HAND 2

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(all_verdicts)] = {
        CASE(of_two_claims_of_one_order_one_wins),
        CASE(orders_end_with_their_own_chains),
        CASE(a_certificate_counts_once_however_many_ends_its_order_had),
    };

    for (size_t i = 0; i < COUNT_OF(all_verdicts); i++)
        tests[CASES_BY_HAND + i] = (struct CMUnitTest){.name = all_verdicts[i].name,
                                                       .test_func = verdicts_of_one_order_are_counted_together,
                                                       .setup_func = begin,
                                                       .teardown_func = end,
                                                       .initial_state = (void *)&all_verdicts[i]};
    return _cmocka_run_group_tests("store_move", tests, COUNT_OF(tests), open_gateway, close_gateway);
}
