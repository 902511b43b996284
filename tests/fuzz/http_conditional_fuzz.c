/* If-None-Match and If-Modified-Since as strangers write them: never out of bounds, and what was read as a date is that date when written again. */
#include <stdlib.h>

#include "base/clock.h"
#include "crl_publisher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    const char *text = bytes_text(arena, BYTES(data, size));
    int64_t unix_s, again_s;

    etag_list_has(text, "\"8e99f7222dac42e2597afdd01cea679f\"");
    must(etag_list_has(arena_format(arena, "\"tag\", %s", text), "\"tag\""));
    if (http_date_parse(text, &unix_s) && unix_s >= 0)
        must(http_date_parse(clock_format_http(arena, unix_s), &again_s) && again_s == unix_s);
    return 0;
}
