/* Files that operators name: whole, bounded, PEM or DER; "-" is standard input. And the files that commands make. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "pki/certificate.h"
#include "pki/pem.h"
#include "signetctl.h"

#define PEM_FILE_MAX (256 * 1024) /* a certificate with its chain and what openssl writes above each */

enum error
file_read(struct request *rq, const char *path, size_t most, struct bytes *ret_bytes)
{
    struct buffer content = buffer_in(rq->arena);
    enum error error = OK;
    bool standard_input = text_equal(path, "-");
    FILE *file = standard_input ? stdin : fopen(path, "re");
    char chunk[4096];
    size_t got;

    if (file == NULL)
        return fail(rq, ERR_BAD_REQUEST, "%s: %s", path, strerror(errno));
    while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0 && content.len <= most)
        buffer_append(&content, chunk, got);
    if (ferror(file)) /* a directory, for instance */
        error = fail(rq, ERR_BAD_REQUEST, "%s: %s", path, strerror(errno));
    if (!standard_input)
        (void)fclose(file);
    if (error)
        return error;
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
    enum error error = file_read(rq, path, PEM_FILE_MAX, &content);

    if (error)
        return error;
    if (content.len > 0 && content.at[0] == DER_SEQUENCE) {
        *ret_der = content;
        return OK;
    }
    text = bytes_text(rq->arena, content);
    error = pem_next(rq, &text, label, ret_der);
    if (error != ERR_NOT_FOUND)
        return error;
    failure_clear(rq);
    return fail(rq, ERR_BAD_REQUEST, "%s holds no %s, neither PEM nor DER", path, label);
}

enum error
file_write(struct request *rq, const char *path, const char *text, const char *again)
{
    FILE *to = path != NULL ? fopen(path, "we") : stdout;
    bool written;

    if (to == NULL)
        return fail(rq, ERR_BAD_REQUEST, "%s: %s; `%s` shows it again", path, strerror(errno), again);
    written = fputs(text, to) >= 0 && fflush(to) == 0;
    if (path != NULL)
        written = fclose(to) == 0 && written;
    if (!written)
        return fail(rq, ERR_BAD_REQUEST, "%s cannot be written whole; `%s` shows it again", path != NULL ? path : "standard output", again);
    return OK;
}
