/*
 * What travels in EST: DER in base64. In comes whatever devices send (RFC 8951 §3: transfer encodings mean nothing; some add PEM armour, some send
 * plain DER); out goes base64 in lines, because OpenSSL's and libest's readers take no long line, with the length always known.
 */
#include "est.h"

#include <string.h>

#include "base/base64.h"
#include "pki/oid.h"
#include "pki/pem.h"

#define LINE_OCTETS 48 /* 64 columns */
#define BEGIN "-----BEGIN "
#define END "-----END "
#define DASHES "-----"

static enum error
not_base64(struct request *rq)
{
    return refuse(rq, ERR_BAD_REQUEST, "body", "the body does not hold base64 of one DER SEQUENCE");
}

/* The label is the client's affair: what it holds is looked at anyway. */
static enum error
unwrap(struct request *rq, const char *text, struct bytes *ret_der)
{
    const char *label_end = strstr(strstr(text, BEGIN) + strlen(BEGIN), DASHES);
    const char *content = label_end == NULL ? NULL : label_end + strlen(DASHES);
    const char *end = content == NULL ? NULL : strstr(content, END);

    if (end == NULL)
        return refuse(rq, ERR_BAD_REQUEST, "body", "the PEM block in the body has no end line");
    return base64_decode(rq->arena, BYTES(content, (size_t)(end - content)), ret_der) ? OK : not_base64(rq);
}

enum error
body_decode(struct request *rq, struct bytes body, struct bytes *ret_der)
{
    struct bytes der = body;

    if (body.len == 0)
        return refuse(rq, ERR_BAD_REQUEST, "body", "the body is empty");
    /* The base64 of a DER SEQUENCE never begins with '0', which is the tag of a SEQUENCE. */
    if (body.at[0] != DER_SEQUENCE) {
        const char *text = bytes_text(rq->arena, body);
        enum error error = OK;
        if (strstr(text, BEGIN) != NULL)
            error = unwrap(rq, text, &der);
        else if (!base64_decode(rq->arena, body, &der))
            error = not_base64(rq);
        if (error)
            return error;
    }
    if (der.len == 0 || der.at[0] != DER_SEQUENCE || !der_is_one_value(der))
        return not_base64(rq);
    *ret_der = der;
    return OK;
}

enum error
body_check_type(struct http_exchange *x, const char *wanted)
{
    const char *type = http_header_in(x, "Content-Type");
    size_t len = strlen(wanted);

    /* Left out by some. */
    if (text_is_empty(type))
        return OK;
    if (strncasecmp(type, wanted, len) == 0 && (type[len] == '\0' || type[len] == ';' || type[len] == ' '))
        return OK;
    (void)refuse(&x->rq, ERR_BAD_REQUEST, "media type", "the body is %.60s, and %s is expected", type, wanted);
    return fail_reason(&x->rq, "wrongMediaType");
}

/*
 * RFC 8951 §3 leaves the layout to us, but readers do not: libest and OpenSSL take lines of at most 76 characters only, strongSwan's pki takes no
 * line end at all. It says nothing of itself or of what it takes, and sends its own base64 in one piece; no library is known to do all of that.
 */
static bool
wants_one_line(const struct http_exchange *x)
{
    return http_header_in(x, "User-Agent") == NULL && http_header_in(x, "Accept") == NULL && http_header_in(x, "Accept-Encoding") == NULL &&
           (x->body.len == 0 || memchr(x->body.at, '\n', x->body.len) == NULL);
}

const char *
body_encode(struct arena *arena, struct bytes der)
{
    struct buffer out = buffer_in(arena);

    for (size_t i = 0; i < der.len; i += LINE_OCTETS) {
        size_t len = der.len - i < LINE_OCTETS ? der.len - i : LINE_OCTETS;
        buffer_append_text(&out, base64_encode(arena, BYTES(der.at + i, len)));
        buffer_append_text(&out, "\n");
    }
    return buffer_text(&out);
}

/* RFC 8951 §3 does without Content-Transfer-Encoding; older clients look for it. */
enum error
body_answer(struct http_exchange *x, int status, const char *content_type, struct bytes der)
{
    http_header_out(x, "Content-Transfer-Encoding", "base64");
    const char *text = wants_one_line(x) ? base64_encode(x->rq.arena, der) : body_encode(x->rq.arena, der);
    return http_answer_text(x, status, content_type, text);
}
