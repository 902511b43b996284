/*
 * The three documents of a CA. Called on an event loop: everything comes from the shelf, and the body is lent until it has been written, however
 * large it is and however many ask.
 */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "crl_publisher.h"

/* A CA certificate under one name changes about never. */
#define CERTIFICATE_MAX_AGE_S 86400

static bool
is_unchanged(const struct http_exchange *x, const struct document *document)
{
    const char *etags = http_header_in(x, "If-None-Match");
    const char *since = http_header_in(x, "If-Modified-Since");
    int64_t since_s;

    /* RFC 9110 §13.1.3: a date is looked at only where there is no tag. */
    if (etags != NULL)
        return etag_list_has(etags, document->etag);
    return since != NULL && http_date_parse(since, &since_s) && document->modified_s <= since_s;
}

/* Nobody may keep a CRL beyond its nextUpdate. */
static int64_t
max_age_of(const struct publisher *publisher, const struct document *document)
{
    int64_t left_s;

    if (document->next_update_s == 0)
        return CERTIFICATE_MAX_AGE_S;
    left_s = document->next_update_s - clock_now_s();
    if (left_s < 0)
        return 0;
    return left_s < publisher->config.max_age_s ? left_s : publisher->config.max_age_s;
}

static enum error
give(struct publisher *publisher, struct http_exchange *x, const char *issuer, enum shelf_part part, const char *content_type)
{
    const struct document *document;
    enum error error = shelf_find(publisher->shelf, &x->rq, issuer, part, &document);
    int64_t max_age_s;

    if (error)
        return error;
    x->answer.held = (void *)document;
    x->answer.release = shelf_release;
    max_age_s = max_age_of(publisher, document);
    http_header_out(x, "ETag", "%s", document->etag);
    http_header_out(x, "Last-Modified", "%s", document->last_modified);
    http_header_out(x, "Expires", "%s", document->expires != NULL ? document->expires : clock_format_http(x->rq.arena, clock_now_s() + max_age_s));
    http_header_out(x, "Cache-Control", "max-age=%lld, public, must-revalidate", (long long)max_age_s);
    if (is_unchanged(x, document))
        return http_answer(x, 304, NULL, BYTES_NONE);
    return http_answer(x, 200, content_type, document->body);
}

struct form {
    const char *suffix;
    enum shelf_part part;
    const char *content_type;
};

/* RFC 2585 §3, RFC 5280 §4.2.1.13 and §4.2.2.1: one DER CRL, one DER certificate. The chain is for people who configure servers (RFC 8555 §9.1). */
static const struct form crl_form = {".crl", SHELF_CRL, "application/pkix-crl"};
static const struct form certificate_form = {".crt", SHELF_CERTIFICATE, "application/pkix-cert"};
static const struct form chain_form = {".pem", SHELF_CHAIN, "application/pem-certificate-chain"};

static enum error
give_form(struct publisher *publisher, struct http_exchange *x, const struct form *form)
{
    const char *file = x->params[0];

    if (!text_ends_with(file, form->suffix))
        return fail(&x->rq, ERR_NOT_FOUND, "there is no such document");
    return give(publisher, x, arena_text_n(x->rq.arena, file, strlen(file) - strlen(form->suffix)), form->part, form->content_type);
}

enum error
give_crl(void *context, struct http_exchange *x)
{
    return give_form(context, x, &crl_form);
}

enum error
give_authority(void *context, struct http_exchange *x)
{
    return give_form(context, x, text_ends_with(x->params[0], chain_form.suffix) ? &chain_form : &certificate_form);
}
