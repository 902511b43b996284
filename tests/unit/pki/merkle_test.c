/* The tree of RFC 6962, against roots that its reference implementations print, and against its recursive definition. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/sha.h>

#include "base/arena.h"
#include "pki/merkle.h"

/* The eight records of Certificate Transparency's own test vectors. */
static const struct {
    const char *hex;
    const char *root; /* over the records up to this one */
} vectors[] = {
    {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
    {"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
    {"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
    {"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
    {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
    {"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
    {"606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
};

static void
roots_are_those_of_certificate_transparency(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    for (size_t count = 1; count <= COUNT_OF(vectors); count++) {
        struct merkle_hash leaves[COUNT_OF(vectors)];
        for (size_t i = 0; i < count; i++) {
            struct bytes record;
            assert_true(bytes_from_hex(arena, vectors[i].hex, &record));
            leaves[i] = merkle_leaf(record);
        }
        struct merkle_hash root = merkle_root(leaves, count);
        assert_string_equal(bytes_hex(arena, BYTES(root.octets, 32), 0), vectors[count - 1].root);
    }
}

/* RFC 6962 §2.1, word by word: split at the largest power of two smaller than n. */
static struct merkle_hash
defined_root(const struct merkle_hash *leaves, size_t count)
{
    size_t k = 1;
    uint8_t text[65] = {0x01};
    struct merkle_hash root;

    if (count == 1)
        return leaves[0];
    while (k * 2 < count)
        k *= 2;
    struct merkle_hash left = defined_root(leaves, k), right = defined_root(leaves + k, count - k);
    memcpy(text + 1, left.octets, 32);
    memcpy(text + 33, right.octets, 32);
    SHA256(text, sizeof text, root.octets);
    return root;
}

static void
every_size_follows_the_definition(void **state)
{
    struct merkle_hash leaves[130], copy[130];

    for (size_t i = 0; i < COUNT_OF(leaves); i++)
        leaves[i] = merkle_leaf(BYTES(&i, sizeof i));
    for (size_t count = 1; count <= COUNT_OF(leaves); count++) {
        memcpy(copy, leaves, sizeof copy);
        struct merkle_hash expected = defined_root(leaves, count), root = merkle_root(copy, count);
        assert_memory_equal(root.octets, expected.octets, 32);
    }
}

static void
order_and_content_count(void **state)
{
    struct merkle_hash one[] = {merkle_leaf(BYTES("a", 1)), merkle_leaf(BYTES("b", 1))};
    struct merkle_hash other[] = {merkle_leaf(BYTES("b", 1)), merkle_leaf(BYTES("a", 1))};
    struct merkle_hash root = merkle_root(one, 2), swapped = merkle_root(other, 2);

    assert_memory_not_equal(root.octets, swapped.octets, 32);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_are_those_of_certificate_transparency),
        cmocka_unit_test(every_size_follows_the_definition),
        cmocka_unit_test(order_and_content_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
