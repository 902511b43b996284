/*
 * Everything of ours that reads a stranger's HTTP request: the head as it came in, the target, path patterns, percent-encoding, the query.
 * The input is taken as a head, and its first line as a target.
 */
#include <stdlib.h>
#include <string.h>

#include "link/http_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static bool
is_inside(struct bytes part, struct bytes whole)
{
    return part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void
match_all(struct bytes path)
{
    static const char *const patterns[] = {"/", "/acme/directory", "/acme/order/{id}", "/a/{b}/c/{d}", "/ocsp/{request*}", "/{any*}"};
    struct bytes params[HTTP_PARAMS_MAX];

    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        size_t count = 0;
        if (!http_path_matches(patterns[i], path, params, &count))
            continue;
        for (size_t p = 0; p < count; p++) {
            must(is_inside(params[p], path));
            must(strstr(patterns[i], "*}") != NULL || (params[p].len > 0 && memchr(params[p].at, '/', params[p].len) == NULL));
        }
    }
}

static void
read_query(struct arena *arena, struct bytes query)
{
    struct http_exchange x = {.query = bytes_text(arena, query), .rq.arena = arena};
    struct bytes decoded;

    (void)http_query(&x, "a");
    (void)http_query(&x, "");
    if (http_percent_decode(arena, x.query, &decoded))
        must(decoded.len <= query.len && memchr(decoded.at, '\0', decoded.len) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t empty[1];
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes path, query, head = BYTES(size == 0 ? empty : data, size);
    int status = 0;

    if (http_head_problem(head, size % 2 == 0, &status) != NULL)
        must(status == 400 || status == 431);
    const uint8_t *end = memchr(head.at, '\n', head.len);
    struct bytes target = BYTES(head.at, end == NULL ? head.len : (size_t)(end - head.at));
    http_target_split(target, &path, &query);
    must(query.len <= target.len && (query.len == 0 || is_inside(query, target)));
    match_all(path);
    read_query(arena, query);
    return 0;
}
