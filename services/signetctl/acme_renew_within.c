/*
 * acme renew-within: the certificates of a selection are to be replaced by then; their clients hear it from ARI (RFC 9773). The catalogue says first
 * what the selection is: in an incident nobody should learn days later that a typing error has selected nothing.
 */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "pki/identifier.h"
#include "signetctl.h"

#define WITHIN_MAX_S (INT64_C(400) * 86400)
#define COUNT_MOST 1000 /* a page of the catalogue */

/* "90m", "24h", "7d" */
static bool
read_duration(struct arena *arena, const char *text, int64_t *ret_seconds)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    size_t len = strlen(text);
    int64_t number;

    for (size_t i = 0; len > 1 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (text[len - 1] != units[i].unit)
            continue;
        if (!text_parse_number(arena_text_n(arena, text, len - 1), 1, WITHIN_MAX_S / units[i].seconds, &number))
            return false;
        *ret_seconds = number * units[i].seconds;
        return true;
    }
    return false;
}

static enum error
read_request(struct ctl *ctl, struct request *rq, Pb__MoveRenewalWindowRequest *request)
{
    const char *serial = argument(ctl, "serial");
    struct bytes octets;

    if (!read_duration(rq->arena, ctl->arguments.words[0], &request->within_s))
        return argument_refused(rq, "\"%s\" is no time like 90m, 24h or 7d, at most 400d", ctl->arguments.words[0]);
    if (serial != NULL && !bytes_from_hex(rq->arena, serial, &octets))
        return argument_refused(rq, "--serial is a serial number in hexadecimal");
    if (serial != NULL)
        request->serial = message_data(octets);
    request->issuer = argument_or(ctl, "issuer", "");
    request->explanation = argument_or(ctl, "explanation", "");
    if (request->issuer[0] == '\0' && argument_or(ctl, "name", "")[0] == '\0' && serial == NULL && argument(ctl, "all") == NULL)
        return argument_refused(rq, "say which certificates: --issuer, --name, --serial, or --all");
    return OK;
}

/* In the form that certificates have it in. */
static enum error
read_name(struct ctl *ctl, struct request *rq, Pb__MoveRenewalWindowRequest *request)
{
    const char *name = argument_or(ctl, "name", "");
    struct identifier identifier = {.value = ""};
    const char *why = name[0] == '\0' ? NULL : identifier_read(rq->arena, IDENTIFIER_DNS, name, &identifier);

    if (strchr(name, '*') != NULL)
        return argument_refused(rq, "--name stands for the name and all below it, without an asterisk");
    if (why != NULL)
        return argument_refused(rq, "--name \"%.260s\" %s", name, why);
    request->name = identifier.value;
    return OK;
}

struct selection {
    size_t count;
    bool is_more;
};

static enum error
find(struct ctl *ctl, struct request *rq, const Pb__MoveRenewalWindowRequest *wanted, const char *name, const Pb__FindCertificatesReply **ret_reply)
{
    Pb__FindCertificatesRequest request = PB__FIND_CERTIFICATES_REQUEST__INIT;

    request.name = name;
    request.issuer = wanted->issuer;
    request.protocol = "acme";
    request.status = "valid";
    request.limit = COUNT_MOST;
    return CTL_CALL(ctl, rq, inventory, FindCertificates, &request, ret_reply);
}

static bool
is_listed(const Pb__FindCertificatesReply *list, const Pb__CatalogEntry *entry)
{
    size_t i;

    for (i = 0; i < list->n_entries; i++)
        if (bytes_equal(message_bytes(list->entries[i]->sha256), message_bytes(entry->sha256)))
            return true;
    return false;
}

/* A name stands for itself and all below it. */
static enum error
count_by_name(struct ctl *ctl, struct request *rq, const Pb__MoveRenewalWindowRequest *wanted, struct selection *ret_selection)
{
    const Pb__FindCertificatesReply *same, *below;
    size_t i;
    enum error error = find(ctl, rq, wanted, wanted->name, &same);

    if (!error)
        error = find(ctl, rq, wanted, arena_format(rq->arena, "*.%s", wanted->name), &below);
    if (error)
        return error;
    *ret_selection = (struct selection){.count = same->n_entries, .is_more = same->next_cursor[0] != '\0' || below->next_cursor[0] != '\0'};
    for (i = 0; i < below->n_entries; i++)
        ret_selection->count += !is_listed(same, below->entries[i]);
    return OK;
}

static bool
has_name(const Pb__CatalogEntry *entry, const char *name)
{
    for (size_t i = 0; i < entry->n_names; i++)
        if (text_equal(entry->names[i]->value, name) || dns_name_is_below(entry->names[i]->value, name))
            return true;
    return false;
}

static enum error
count_by_serial(struct ctl *ctl, struct request *rq, const Pb__MoveRenewalWindowRequest *wanted, struct selection *ret_selection)
{
    const Pb__ShowCertificateReply *shown;
    enum error error = cert_find(ctl, rq, argument(ctl, "serial"), &shown);

    if (error)
        return error;
    const Pb__CatalogEntry *entry = shown->entry;
    if (!text_equal(entry->status, "valid"))
        return fail(rq, ERR_CONFLICT, "the certificate is %s", entry->status);
    if (!text_starts_with(entry->protocol, "acme"))
        return fail(rq, ERR_CONFLICT, "the certificate was issued by %s: nobody asks by ACME when to renew it", entry->protocol);
    if (wanted->issuer[0] != '\0' && !text_equal(entry->issuer, wanted->issuer))
        return fail(rq, ERR_CONFLICT, "the certificate is one of the CA %s", entry->issuer);
    if (wanted->name[0] != '\0' && !has_name(entry, wanted->name))
        return fail(rq, ERR_CONFLICT, "the certificate has no name that is %s or below it", wanted->name);
    *ret_selection = (struct selection){.count = 1};
    return OK;
}

static enum error
count(struct ctl *ctl, struct request *rq, const Pb__MoveRenewalWindowRequest *wanted, struct selection *ret_selection)
{
    const Pb__FindCertificatesReply *all;

    if (argument(ctl, "serial") != NULL)
        return count_by_serial(ctl, rq, wanted, ret_selection);
    if (wanted->name[0] != '\0')
        return count_by_name(ctl, rq, wanted, ret_selection);
    enum error error = find(ctl, rq, wanted, "", &all);
    if (!error)
        *ret_selection = (struct selection){.count = all->n_entries, .is_more = all->next_cursor[0] != '\0'};
    return error;
}

static enum error
check_selection(struct ctl *ctl, struct request *rq, const Pb__MoveRenewalWindowRequest *wanted, struct selection *ret_selection)
{
    enum error error = check_ca_name(ctl, rq, "--issuer", wanted->issuer);

    if (!error)
        error = count(ctl, rq, wanted, ret_selection);
    if (error || ret_selection->count > 0)
        return error;
    return fail(rq, ERR_NOT_FOUND,
                "no certificate in force that was ordered by ACME is selected: see signetctl cert list --protocol acme --status valid");
}

static void
print(struct ctl *ctl, struct request *rq, const Pb__MoveRenewalWindowReply *reply, const struct selection *selection)
{
    if (!ctl->json) {
        printf("%s%zu certificate%s selected; clients are told to renew between %s and %s\n", selection->is_more ? "more than " : "",
               selection->count, selection->count == 1 ? " is" : "s are", clock_format_rfc3339(rq->arena, reply->starts_at_s),
               clock_format_rfc3339(rq->arena, reply->ends_at_s));
        return;
    }
    json_t *json = message_json(rq->arena, &reply->base);
    (void)json_object_set_new(json, "selected", json_integer((json_int_t)selection->count));
    (void)json_object_set_new(json, "selected_more", json_boolean(selection->is_more));
    json_print(json);
}

enum error
acme_renew_within(struct ctl *ctl, struct request *rq)
{
    Pb__MoveRenewalWindowRequest request = PB__MOVE_RENEWAL_WINDOW_REQUEST__INIT;
    const Pb__MoveRenewalWindowReply *reply;
    struct selection selection = {0};
    enum error error = read_request(ctl, rq, &request);

    request.operator_ = operator_name(rq->arena);
    if (!error)
        error = read_name(ctl, rq, &request);
    if (!error)
        error = check_selection(ctl, rq, &request, &selection);
    if (!error)
        error = CTL_CALL(ctl, rq, acme_admin, MoveRenewalWindow, &request, &reply);
    if (!error)
        print(ctl, rq, reply, &selection);
    return error;
}
