/* Files that operators name: whole, bounded, PEM or DER. "-" is standard input. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "pki/certificate.h"
#include "pki/pem.h"
#include "signetctl.h"

enum error
file_read(struct request *rq, const char *path, size_t most, struct bytes *ret_bytes)
{
    struct buffer content = buffer_in(rq->arena);
    bool standard_input = text_equal(path, "-");
    FILE *file = standard_input ? stdin : fopen(path, "re");
    char chunk[4096];
    size_t got;

    if (file == NULL)
        return fail(rq, ERR_BAD_REQUEST, "%s: %s", path, strerror(errno));
    while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0 && content.len <= most)
        buffer_append(&content, chunk, got);
    if (!standard_input)
        (void)fclose(file);
    if (content.len > most)
        return fail(rq, ERR_TOO_LARGE, "%s has more than %zu octets", path, most);
    *ret_bytes = buffer_bytes(&content);
    return OK;
}

enum error
file_read_der(struct request *rq, const char *path, const char *label, struct bytes *ret_der)
{
    struct bytes content;
    const char *text;
    enum error error = file_read(rq, path, CERTIFICATE_MAX, &content);

    if (error)
        return error;
    if (content.len > 0 && content.at[0] == DER_SEQUENCE) {
        *ret_der = content;
        return OK;
    }
    text = bytes_text(rq->arena, content);
    return pem_next(rq, &text, label, ret_der);
}
