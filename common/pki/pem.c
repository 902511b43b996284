/* PEM: what people upload and what clients download. Text around the blocks and blocks with other labels are passed over. */
#include "pki/pem.h"

#include <string.h>

#include "base/base64.h"
#include "base/text.h"

#define LINE_OCTETS 48 /* 64 columns */
#define BEGIN "-----BEGIN "
#define END "-----END "
#define DASHES "-----"

/* Old spellings of the labels (RFC 7468 §5.1, §7). */
static const struct {
    const char *label, *old;
} old_labels[] = {{"CERTIFICATE", "X509 CERTIFICATE"}, {"CERTIFICATE", "X.509 CERTIFICATE"}, {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"}};

void
pem_append(struct buffer *to, const char *label, struct bytes der)
{
    buffer_append_format(to, BEGIN "%s" DASHES "\n", label);
    for (size_t i = 0; i < der.len; i += LINE_OCTETS) {
        size_t len = der.len - i < LINE_OCTETS ? der.len - i : LINE_OCTETS;
        buffer_append_text(to, base64_encode(to->arena, BYTES(der.at + i, len)));
        buffer_append_text(to, "\n");
    }
    buffer_append_format(to, END "%s" DASHES "\n", label);
}

static bool
label_is(struct bytes found, const char *label)
{
    if (bytes_equal(found, bytes_of_text(label)))
        return true;
    for (size_t i = 0; i < sizeof old_labels / sizeof old_labels[0]; i++)
        if (text_equal(old_labels[i].label, label) && bytes_equal(found, bytes_of_text(old_labels[i].old)))
            return true;
    return false;
}

/* The content of the next block with this label begins here; NULL when there is none. */
static const char *
find_begin(const char *at, const char *label, struct bytes *ret_label)
{
    while ((at = strstr(at, BEGIN)) != NULL) {
        at += strlen(BEGIN);
        const char *label_end = at + strcspn(at, "-\r\n");
        struct bytes found = BYTES(at, (size_t)(label_end - at));
        if (!text_starts_with(label_end, DASHES) || !label_is(found, label))
            continue;
        *ret_label = found;
        return label_end + strlen(DASHES);
    }
    return NULL;
}

static enum error
read_block(struct request *rq, const char *content, struct bytes label, const char **ret_after, struct bytes *ret_der)
{
    const char *end = strstr(content, END);

    if (end == NULL || strncmp(end + strlen(END), (const char *)label.at, label.len) != 0 || !text_starts_with(end + strlen(END) + label.len, DASHES))
        return fail(rq, ERR_BAD_REQUEST, "a PEM block \"%.*s\" has no end line", (int)label.len, (const char *)label.at);
    if (!base64_decode(rq->arena, BYTES(content, (size_t)(end - content)), ret_der) || ret_der->len == 0)
        return fail(rq, ERR_BAD_REQUEST, "a PEM block \"%.*s\" does not hold base64", (int)label.len, (const char *)label.at);
    *ret_after = end + strlen(END) + label.len + strlen(DASHES);
    return OK;
}

enum error
pem_next(struct request *rq, const char **at, const char *label, struct bytes *ret_der)
{
    struct bytes found;
    const char *content = find_begin(*at, label, &found);

    if (content == NULL)
        return fail(rq, ERR_NOT_FOUND, "there is no PEM block \"%s\"", label);
    return read_block(rq, content, found, at, ret_der);
}

enum error
pem_all(struct request *rq, const char *text, const char *label, size_t most, struct bytes **ret_ders, size_t *ret_count)
{
    struct bytes *ders = arena_array(rq->arena, most, sizeof *ders);
    struct bytes found;
    const char *content;
    size_t count = 0;

    for (; (content = find_begin(text, label, &found)) != NULL; count++) {
        if (count == most)
            return fail(rq, ERR_TOO_LARGE, "there are more than %zu PEM blocks \"%s\"", most, label);
        enum error error = read_block(rq, content, found, &text, &ders[count]);
        if (error)
            return error;
    }
    *ret_ders = ders;
    *ret_count = count;
    return OK;
}
