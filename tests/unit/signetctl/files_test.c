/* Files that operators name, and those that commands make. */
#include "unit/kit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "kit/pki_kit.h"
#include "pki/pem.h"
#include "pki/public_key.h"
#include "signetctl.h"

static char directory[64];

static int
make_directory(void **state)
{
    (void)snprintf(directory, sizeof directory, "/tmp/signet-files-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int
remove_directory(void **state)
{
    static const char *const names[] = {"file", "written"};
    char path[96];

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    return rmdir(directory); /* fails when something else was left there */
}

static const char *
file_with(struct arena *arena, struct bytes content)
{
    const char *path = arena_format(arena, "%s/file", directory);
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(content.at, 1, content.len, file), content.len);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void
reads_files_up_to_their_bound(void **state)
{
    static const struct {
        size_t size;
        enum error error;
    } cases[] = {{0, OK}, {1, OK}, {4096, OK}, {10000, OK}, {10001, ERR_TOO_LARGE}, {100000, ERR_TOO_LARGE}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes content = BYTES_NONE, octets = BYTES(arena_alloc(rq->arena, cases[i].size + 1), cases[i].size);
        assert_int_equal(file_read(rq, file_with(rq->arena, octets), 10000, &content), cases[i].error);
        assert_int_equal(content.len, cases[i].error == OK ? cases[i].size : 0);
    }
}

static void
says_which_file_cannot_be_read(void **state)
{
    const char *const paths[] = {"/nonexistent/file", directory};

    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes content;
        assert_int_equal(file_read(rq, paths[i], 100, &content), ERR_BAD_REQUEST);
        assert_non_null(strstr(rq->failure.message, paths[i]));
    }
}

static void
takes_certificates_as_pem_or_der(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct bytes der = kit_certificate(rq->arena, &(struct kit_certificate){.key = key, .subject = "/CN=a"}), read;
    struct buffer pem = buffer_in(rq->arena);

    assert_int_equal(file_read_der(rq, file_with(rq->arena, der), "CERTIFICATE", &read), OK);
    assert_true(bytes_equal(read, der));

    /* As openssl writes it, and longer than one certificate may be. */
    for (int i = 0; i < 2000; i++)
        buffer_append_text(&pem, "Certificate: Data: Version: 3 (0x2) and so on, line by line\n");
    pem_append(&pem, "CERTIFICATE", der);
    pem_append(&pem, "CERTIFICATE", BYTES("\x30\x00", 2));
    assert_int_equal(file_read_der(rq, file_with(rq->arena, buffer_bytes(&pem)), "CERTIFICATE", &read), OK);
    assert_true(bytes_equal(read, der));
}

static void
says_what_a_file_should_have_held(void **state)
{
    static const char *const contents[] = {"", "hello", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"};

    for (size_t i = 0; i < COUNT_OF(contents); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes der;
        const char *path = file_with(rq->arena, bytes_of_text(contents[i]));
        assert_int_equal(file_read_der(rq, path, "CERTIFICATE REQUEST", &der), ERR_BAD_REQUEST);
        assert_non_null(strstr(rq->failure.message, path));
        assert_non_null(strstr(rq->failure.message, "CERTIFICATE REQUEST"));
    }
}

static void
writes_whole_or_tells_how_to_get_it_again(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const char *const nowhere[] = {"/dev/full", "/nonexistent/file"};
    const char *path = arena_format(rq->arena, "%s/written", directory);
    struct bytes content;

    assert_int_equal(file_write(rq, path, "text\n", "signetctl again"), OK);
    assert_int_equal(file_read(rq, path, 100, &content), OK);
    assert_true(bytes_equal(content, bytes_of_text("text\n")));
    for (size_t i = 0; i < COUNT_OF(nowhere); i++) {
        AUTO_STRUCT(request, refused) = request_new();
        assert_int_equal(file_write(refused, nowhere[i], "text\n", "signetctl again"), ERR_BAD_REQUEST);
        assert_non_null(strstr(refused->failure.message, "`signetctl again` shows it again"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_files_up_to_their_bound),
        cmocka_unit_test(says_which_file_cannot_be_read),
        cmocka_unit_test(takes_certificates_as_pem_or_der),
        cmocka_unit_test(says_what_a_file_should_have_held),
        cmocka_unit_test(writes_whole_or_tells_how_to_get_it_again),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
