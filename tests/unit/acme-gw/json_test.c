/* JSON from and for clients: what is no object, or has a member twice, is none; texts of all lengths come out whole. */
#include "unit/kit.h"

#include <string.h>

#include "acme.h"

static void
takes_objects_only(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_string_equal(json_text(json_parse_object(arena, bytes_of_text("{\"a\":\"b\"}")), "a"), "b");
    assert_null(json_parse_object(arena, bytes_of_text("[\"a\"]")));
    assert_null(json_parse_object(arena, bytes_of_text("{\"a\":1,\"a\":2}")));
    assert_null(json_parse_object(arena, bytes_of_text("{\"a\":1")));
}

static void
formats_texts_of_all_lengths_whole(void **state)
{
    static const char frame[] = "{\"a\":\"\"}";

    for (size_t len = 0; len<6000; len += len> 1900 && len < 2200 ? 1 : 97) {
        AUTO_STRUCT(arena, arena) = arena_new();
        char *value = arena_alloc(arena, len + 1);
        memset(value, 'x', len);
        value[len] = '\0';
        AUTO(json_t, json) = json_pack("{s:s}", "a", value);
        const char *text = json_format(arena, json);
        assert_int_equal(strlen(text), strlen(frame) + len);
        assert_string_equal(json_text(json_parse_object(arena, bytes_of_text(text)), "a"), value);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_objects_only),
        cmocka_unit_test(formats_texts_of_all_lengths_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
