/* Secrets from files, and the refusals that say what mends them. */
#include "unit/kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/config.h"

#define NOBODY 65534

static struct request *rq;
static char folder[64];
static char path[128];

static int
begin(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/signet-secret-XXXXXX");
    rq = request_new();
    assert_non_null(mkdtemp(folder));
    chmod(folder, 0755);
    snprintf(path, sizeof path, "%s/pin", folder);
    return 0;
}

static int
end(void **state)
{
    request_free(TAKE(rq));
    unlink(path);
    return rmdir(folder);
}

static void
write_file(const char *content, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void
a_final_newline_is_dropped_and_nothing_else(void **state)
{
    static const struct {
        const char *content;
        size_t len;
        const char *secret;
        size_t secret_len;
    } cases[] = {
        {"1234\n", 5, "1234", 4}, {"1234", 4, "1234", 4},   {"1234\r\n", 6, "1234", 4}, {"1234\n\n", 6, "1234\n", 5},
        {" a b ", 5, " a b ", 5}, {"a\0b\n", 4, "a\0b", 3}, {"x\r", 2, "x\r", 2},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(secret, secret) = NULL;
        write_file(cases[i].content, cases[i].len, 0600);
        assert_int_equal(config_read_secret(rq, path, &secret), OK);
        assert_true(bytes_equal(BYTES(secret->at, secret->len), BYTES(cases[i].secret, cases[i].secret_len)));
    }
}

static void
a_file_that_others_may_read_is_refused(void **state)
{
    static const struct {
        mode_t mode;
        bool accepted;
    } cases[] = {{0600, true}, {0400, true}, {0700, true}, {0640, false}, {0604, false}, {0620, false}, {0602, false}, {0601, false}, {0610, false}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(secret, secret) = NULL;
        write_file("1234", 4, cases[i].mode);
        failure_clear(rq);
        enum error error = config_read_secret(rq, path, &secret);
        assert_int_equal(error, cases[i].accepted ? OK : ERR_DENIED);
        assert_int_equal(secret != NULL, cases[i].accepted);
        if (!cases[i].accepted)
            assert_non_null(strstr(rq->failure.message, "chmod 600"));
    }
}

static void
a_file_of_root_may_be_readable_for_the_group_of_the_service(void **state)
{
    static const struct {
        mode_t mode;
        bool accepted;
    } cases[] = {{0440, true}, {0640, true}, {0660, false}, {0650, false}, {0644, false}, {0641, false}};

    if (getuid() != 0)
        skip();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(secret, secret) = NULL;
        write_file("1234", 4, cases[i].mode);
        failure_clear(rq);
        assert_int_equal(chown(path, 0, NOBODY), 0);
        assert_int_equal(setegid(NOBODY), 0);
        assert_int_equal(seteuid(NOBODY), 0);
        enum error error = config_read_secret(rq, path, &secret);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(setegid(0), 0);
        assert_int_equal(error, cases[i].accepted ? OK : ERR_DENIED);
    }
}

static void
a_missing_file_is_explained(void **state)
{
    struct secret *untouched = (struct secret *)1;

    assert_int_equal(config_read_secret(rq, path, &untouched), ERR_NOT_FOUND);
    assert_non_null(strstr(rq->failure.message, path));
    assert_non_null(strstr(rq->failure.message, "does not exist"));
    assert_ptr_equal(untouched, (struct secret *)1);
}

static void
a_file_of_another_user_is_explained(void **state)
{
    struct secret *secret = NULL;

    write_file("1234", 4, geteuid() == 0 ? 0600 : 0);
    if (geteuid() == 0)
        assert_int_equal(seteuid(NOBODY), 0);
    enum error error = config_read_secret(rq, path, &secret);
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(error, ERR_DENIED);
    assert_non_null(strstr(rq->failure.message, "may not be read by this user"));
    assert_null(secret);
}

static void
an_empty_file_is_refused(void **state)
{
    static const char *const empty[] = {"", "\n", "\r\n"};
    struct secret *secret = NULL;

    for (size_t i = 0; i < COUNT_OF(empty); i++) {
        write_file(empty[i], strlen(empty[i]), 0600);
        failure_clear(rq);
        assert_int_equal(config_read_secret(rq, path, &secret), ERR_BAD_REQUEST);
    }
}

static void
a_file_may_have_64_kib_and_not_more(void **state)
{
    static char content[65537];
    AUTO_STRUCT(secret, secret) = NULL;

    memset(content, 'k', sizeof content);
    write_file(content, 65536, 0600);
    assert_int_equal(config_read_secret(rq, path, &secret), OK);
    assert_int_equal(secret->len, 65536);
    write_file(content, 65537, 0600);
    assert_int_equal(config_read_secret(rq, path, &secret), ERR_TOO_LARGE);
}

static void
a_folder_or_a_pipe_is_refused_without_waiting(void **state)
{
    struct secret *secret = NULL;

    assert_int_equal(config_read_secret(rq, folder, &secret), ERR_BAD_REQUEST);
    failure_clear(rq);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(config_read_secret(rq, path, &secret), ERR_BAD_REQUEST);
    assert_null(secret);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(a_final_newline_is_dropped_and_nothing_else),
        WITH_FOLDER(a_file_that_others_may_read_is_refused),
        WITH_FOLDER(a_file_of_root_may_be_readable_for_the_group_of_the_service),
        WITH_FOLDER(a_missing_file_is_explained),
        WITH_FOLDER(a_file_of_another_user_is_explained),
        WITH_FOLDER(an_empty_file_is_refused),
        WITH_FOLDER(a_file_may_have_64_kib_and_not_more),
        WITH_FOLDER(a_folder_or_a_pipe_is_refused_without_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
