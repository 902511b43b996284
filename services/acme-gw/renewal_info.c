/*
 * When a certificate should be renewed (RFC 9773): usually at two thirds of its life; at once when it is revoked; and when an operator has said so,
 * for every certificate of his selection, in the window that he gave. Anybody may ask.
 */
#include "acme.h"

#include "base/clock.h"

#define DAY_S INT64_C(86400)
#define SHORT_LIFE_S (10 * DAY_S)
#define HOUR_S INT64_C(3600)
#define ASK_AGAIN_MOST_S (6 * HOUR_S)

/* Around two thirds of the life, or its half where it is short; two hundredths wide, so that not all come at once. */
static struct renewal_window
usual_window(int64_t not_before_s, int64_t life_s)
{
    int64_t ideal_s = not_before_s + (life_s < SHORT_LIFE_S ? life_s / 2 : life_s * 2 / 3);
    return (struct renewal_window){.starts_s = ideal_s - life_s / 100, .ends_s = ideal_s + life_s / 100 + 1, .explanation = ""};
}

static enum error
find_window(struct acme *acme, struct request *rq, const struct known_certificate *known, struct renewal_window *ret_window)
{
    const struct certificate *certificate = &known->certificate;
    struct renewal_window window = usual_window(certificate->not_before_s, certificate->not_after_s - certificate->not_before_s + 1);
    int64_t now_s = clock_now_s();

    if (known->is_revoked) {
        *ret_window = (struct renewal_window){.starts_s = now_s - HOUR_S, .ends_s = now_s - HOUR_S / 2, .explanation = ""};
        return OK;
    }
    enum error error = store_find_renewal_window(acme, rq, known, &window);
    if (!error)
        *ret_window = window;
    return error;
}

/* Often enough for a certificate that lives for an hour, seldom for one that lives for months. */
static int64_t
ask_again_after_s(const struct certificate *certificate)
{
    int64_t pause_s = (certificate->not_after_s - certificate->not_before_s) / 24;

    if (pause_s > ASK_AGAIN_MOST_S)
        return ASK_AGAIN_MOST_S;
    return pause_s < 60 ? 60 : pause_s;
}

enum error
renewal_info(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct known_certificate *known = arena_alloc(rq->arena, sizeof *known);
    struct renewal_window window = {0};

    request_note(rq, "certificate", "%s", x->params[0]);
    enum error error = certificate_id_load(acme, rq, x->params[0], known);
    if (!error)
        error = find_window(acme, rq, known, &window);
    if (error)
        return error;
    http_header_out(x, "Retry-After", "%lld", (long long)ask_again_after_s(&known->certificate));
    AUTO(json_t, json) = json_pack("{s:{s:s, s:s}}", "suggestedWindow", "start", clock_format_rfc3339(rq->arena, window.starts_s), "end",
                                   clock_format_rfc3339(rq->arena, window.ends_s));
    if (!text_is_empty(window.explanation))
        (void)json_object_set_new(json, "explanationURL", json_string(window.explanation));
    return acme_answer_json(x, 200, json);
}
