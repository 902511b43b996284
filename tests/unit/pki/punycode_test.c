/* A-labels that decode, and such that do not. The good ones are of RFC 3492 §7.1 and of the field. */
#include "unit/kit.h"

#include <string.h>

#include "pki/punycode.h"

static void
accepts_labels_that_decode(void **state)
{
    static const char *const labels[] = {"bcher-kva",
                                         "egbpdaj6bu4bxfgehfvwxn",
                                         "ihqwcrb4cv8a8dqg056pqjye",
                                         "proprostnemluvesky-uyb24dma41a",
                                         "3e0b707e",
                                         "mgba0b1dh3b",
                                         "tda",
                                         "zckzah",
                                         "strae-oqa"};

    for (size_t i = 0; i < COUNT_OF(labels); i++)
        if (!punycode_is_valid(labels[i], strlen(labels[i])))
            fail_msg("%s", labels[i]);
}

static void
refuses_labels_that_do_not(void **state)
{
    static const char *const labels[] = {
        "",          /* nothing */
        "abc-",      /* ASCII only: no A-label (RFC 5890 §2.3.2.1) */
        "-tda",      /* a delimiter without ASCII characters before it */
        "bcher-kv!", /* no digit */
        "bcher-kvA", /* not lower case */
        "bcher-k",   /* cut inside a number */
        "99999999",  /* beyond Unicode */
        "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
    };

    for (size_t i = 0; i < COUNT_OF(labels); i++)
        if (punycode_is_valid(labels[i], strlen(labels[i])))
            fail_msg("%s", labels[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_labels_that_decode),
        cmocka_unit_test(refuses_labels_that_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
