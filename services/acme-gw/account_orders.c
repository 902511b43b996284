/*
 * The orders of an account, newest first (RFC 8555 §7.1.2.1). A page is what one look at the index gives, however many orders there are and
 * whatever became of them: invalid ones are left out of the page, not searched past. The cursor is the place of the page's last order.
 */
#include "acme.h"

#include <string.h>

#define PAGE_MAX 100
#define CURSOR_MAX 60

/* "<microseconds>.<order id>"; none: from the newest. */
static enum error
take_cursor(struct http_exchange *x, struct order_place *ret_place)
{
    struct request *rq = &x->rq;
    const char *text = http_query(x, "cursor");
    struct order_place place = {.created_at_us = INT64_MAX / 2, .id = ""};

    if (text == NULL) {
        *ret_place = place;
        return OK;
    }
    const char *dot = strchr(text, '.');
    if (dot == NULL || strlen(text) > CURSOR_MAX || strlen(dot + 1) != ACME_ID_LEN || !text_is_printable_ascii(bytes_of_text(dot)) ||
        !text_parse_number(arena_format(rq->arena, "%.*s", (int)(dot - text), text), 0, INT64_MAX / 2, &place.created_at_us))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "the cursor is none of this server: follow the Link with rel=\"next\"");
    place.id = dot + 1;
    *ret_place = place;
    return OK;
}

static enum error
answer_page(struct acme *acme, struct http_exchange *x, const struct order_place *places, size_t count)
{
    struct arena *arena = x->rq.arena;
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        if (places[i].status != ORDER_INVALID && places[i].status != ORDER_CANCELED)
            (void)json_array_append_new(list, json_string(acme_url(acme, arena, "order", places[i].id)));
    if (count == PAGE_MAX)
        http_header_out(x, "Link", "<%s/orders?cursor=%lld.%s>;rel=\"next\"", acme_url(acme, arena, "account", x->params[0]),
                        (long long)places[count - 1].created_at_us, places[count - 1].id);
    AUTO(json_t, json) = json_pack("{s:o}", "orders", list);
    return acme_answer_json(x, 200, json);
}

enum error
account_orders(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    struct order_place from = {0}, *places = NULL;
    size_t count = 0;

    enum error error = post_as_get_check(acme, x, &signed_);
    if (error)
        return error;
    if (!text_equal(x->params[0], signed_.account->id))
        return refuse(rq, ERR_DENIED, "unauthorized", "the orders of an account are shown only to requests that its own key has signed");
    error = take_cursor(x, &from);
    if (!error)
        error = store_list_orders(acme, rq, signed_.account->id, &from, PAGE_MAX, &places, &count);
    return error ? error : answer_page(acme, x, places, count);
}
