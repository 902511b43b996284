/* Ownership by scope. */
#include "unit/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/auto.h"

struct thing {
    int *freed;
};

static void
thing_free(struct thing *thing)
{
    ++*thing->freed;
}
DEFINE_AUTO_STRUCT(thing, thing_free);

static void
the_end_of_a_scope_frees_once(void **state)
{
    int freed = 0;
    struct thing thing = {&freed};

    {
        AUTO_STRUCT(thing, held) = &thing;
        assert_ptr_equal(held, &thing);
        assert_int_equal(freed, 0);
    }
    assert_int_equal(freed, 1);
}

static struct thing *
make_and_hand_on(struct thing *thing)
{
    AUTO_STRUCT(thing, held) = thing;
    return TAKE(held);
}

static void
what_was_taken_is_not_freed(void **state)
{
    int freed = 0;
    struct thing thing = {&freed};

    assert_ptr_equal(make_and_hand_on(&thing), &thing);
    assert_int_equal(freed, 0);
}

static void
null_is_not_freed(void **state)
{
    AUTO_STRUCT(thing, held) = NULL;
    assert_null(held);
}

static void
a_descriptor_is_closed_and_errno_kept(void **state)
{
    int number = -1;

    {
        AUTO_FD fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        number = fd;
        assert_true(fcntl(number, F_GETFD) >= 0);
        errno = ENOTTY;
    }
    assert_int_equal(errno, ENOTTY);
    assert_int_equal(fcntl(number, F_GETFD), -1);
    assert_int_equal(errno, EBADF);
}

static void
no_descriptor_is_not_closed(void **state)
{
    errno = 0;
    {
        AUTO_FD fd = -1;
        assert_int_equal(fd, -1);
    }
    assert_int_equal(errno, 0);
}

/* A leak here is found by the sanitizer build. */
static void
memory_is_freed(void **state)
{
    AUTO_FREE char *line = strdup("a line");
    assert_string_equal(line, "a line");
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): freed by the cleanup attribute, which the analyzer does not follow */
}

static void
a_lock_is_held_to_the_end_of_the_scope(void **state)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

    {
        AUTO_LOCK(&mutex);
        assert_int_equal(pthread_mutex_trylock(&mutex), EBUSY);
    }
    assert_int_equal(pthread_mutex_trylock(&mutex), 0);
    assert_int_equal(pthread_mutex_unlock(&mutex), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_a_scope_frees_once),          cmocka_unit_test(what_was_taken_is_not_freed), cmocka_unit_test(null_is_not_freed),
        cmocka_unit_test(a_descriptor_is_closed_and_errno_kept),  cmocka_unit_test(no_descriptor_is_not_closed), cmocka_unit_test(memory_is_freed),
        cmocka_unit_test(a_lock_is_held_to_the_end_of_the_scope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
