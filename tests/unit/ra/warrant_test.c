/* The key of the warrants: which files are taken, and that a warrant is what the signer verifies. */
#include "unit/kit.h"

#include <string.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include "kit/pki_kit.h"
#include "ra.h"

static char *
write_file(struct request *rq, const char *text, mode_t mode)
{
    char *path = arena_text(rq->arena, "/tmp/signet-warrant-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0);
    close(fd);
    return path;
}

static enum error
load(struct request *rq, const char *text, mode_t mode, struct warrant_key **ret_key)
{
    char *path = write_file(rq, text, mode);
    enum error error = warrant_key_load(rq, path, ret_key);

    unlink(path);
    return error;
}

static void
takes_an_ed25519_key_and_nothing_else(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, ed25519) = kit_key("ed25519");
    AUTO(EVP_PKEY, p256) = kit_key("p256");
    struct warrant_key *key = NULL;
    const char *good = kit_private_pem(rq->arena, ed25519);
    const struct {
        const char *text;
        mode_t mode;
    } wrong[] = {{kit_private_pem(rq->arena, p256), 0600}, {kit_public_pem(rq->arena, ed25519), 0600}, {"", 0600}, {"garbage", 0600}, {good, 0644}};

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        if (load(rq, wrong[i].text, wrong[i].mode, &key) == OK)
            fail_msg("case %zu was taken", i);
        failure_clear(rq);
    }
    assert_int_not_equal(warrant_key_load(rq, "/nowhere", &key), OK);
    failure_clear(rq);
    assert_null(key);
    assert_int_equal(load(rq, good, 0600, &key), OK);
    warrant_key_free(key);
}

static void
warrant_verifies_for_its_intents_only(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, ed25519) = kit_key("ed25519");
    struct warrant_key *key;
    struct public_key public_key;
    uint8_t warrant[WARRANT_LEN];
    const struct bytes intents[] = {BYTES("one", 3), BYTES("two", 3)}, swapped[] = {BYTES("two", 3), BYTES("one", 3)};
    const struct bytes joined[] = {BYTES("onetwo", 6)};
    const struct {
        const struct bytes *intents;
        size_t count;
        bool good;
    } cases[] = {{intents, 2, true}, {intents, 1, false}, {swapped, 2, false}, {joined, 1, false}};

    assert_int_equal(load(rq, kit_private_pem(rq->arena, ed25519), 0600, &key), OK);
    assert_int_equal(public_key_parse(rq, kit_spki(rq->arena, ed25519), &public_key), OK);
    warrant_sign(rq, key, intents, 2, warrant);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer message = buffer_in(rq->arena);
        uint8_t digest[32];
        buffer_append(&message, "signet-warrant-v2", sizeof "signet-warrant-v2");
        for (size_t k = 0; k < cases[i].count; k++)
            buffer_append(&message, SHA256(cases[i].intents[k].at, cases[i].intents[k].len, digest), sizeof digest);
        assert_int_equal(signature_verify(&public_key, SIG_ED25519, buffer_bytes(&message), BYTES(warrant, sizeof warrant)), cases[i].good);
    }
    warrant_key_free(key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_an_ed25519_key_and_nothing_else),
        cmocka_unit_test(warrant_verifies_for_its_intents_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
