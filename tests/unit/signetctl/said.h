/* What a command prints on standard output. */
#ifndef SIGNET_TESTS_SIGNETCTL_SAID_H
#define SIGNET_TESTS_SIGNETCTL_SAID_H

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"

struct said {
    FILE *standard_output;
    char *text;
    size_t len;
};

static inline void
said_begin(struct said *said)
{
    said->standard_output = stdout;
    stdout = open_memstream(&said->text, &said->len);
}

static inline const char *
said_end(struct said *said, struct arena *arena)
{
    (void)fclose(stdout);
    stdout = said->standard_output;
    const char *text = bytes_text(arena, BYTES((const uint8_t *)said->text, said->len));
    free(said->text);
    return text;
}

#endif
