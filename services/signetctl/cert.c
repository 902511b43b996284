/* cert list, show, revoke: the catalogue's view, and revocation through ra. */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "pki/certificate.h"
#include "pki/pem.h"
#include "signet/v1/ra.pb-c.h"
#include "signetctl.h"

static const char *
joined_names(struct arena *arena, Pb__Name *const *names, size_t count)
{
    struct buffer list = buffer_in(arena);
    size_t i;

    for (i = 0; i < count; i++)
        buffer_append_format(&list, "%s%s", i ? "," : "", names[i]->value);
    return buffer_text(&list);
}

/* For a table: more would not fit a terminal. `cert show` tells all. */
static const char *
name_in_short(struct arena *arena, const Pb__CatalogEntry *entry)
{
    if (entry->n_names == 0)
        return entry->subject;
    if (entry->n_names == 1)
        return entry->names[0]->value;
    return arena_format(arena, "%s +%zu", entry->names[0]->value, entry->n_names - 1);
}

static const char *
hex(struct arena *arena, ProtobufCBinaryData data)
{
    return bytes_hex(arena, message_bytes(data), 0);
}

static enum error
fill_filter(struct ctl *ctl, struct request *rq, Pb__FindCertificatesRequest *request)
{
    int64_t days, limit;
    enum error error = argument_number(ctl, rq, "expires-within", 0, 36500, -1, &days);

    if (!error)
        error = argument_number(ctl, rq, "limit", 1, 1000, 100, &limit);
    if (error)
        return error;
    request->name = argument_or(ctl, "name", "");
    request->owner = argument_or(ctl, "owner", "");
    request->issuer = argument_or(ctl, "issuer", "");
    request->protocol = argument_or(ctl, "protocol", "");
    request->template_ = argument_or(ctl, "template", "");
    request->status = argument_or(ctl, "status", days >= 0 ? "valid" : "");
    request->cursor = argument_or(ctl, "cursor", "");
    request->expires_before_s = days >= 0 ? clock_now_s() + days * 86400 : 0;
    request->limit = (uint32_t)limit;
    return OK;
}

static void
add_entry(struct request *rq, struct table *table, const void *element)
{
    const Pb__CatalogEntry *entry = element;
    const char *const cells[] = {hex(rq->arena, entry->serial),
                                 name_in_short(rq->arena, entry),
                                 entry->status,
                                 clock_format_rfc3339(rq->arena, entry->not_after_s),
                                 entry->issuer,
                                 entry->template_,
                                 entry->protocol,
                                 entry->owner};
    table_row(table, cells);
}

static const struct listing catalogue = {.heads = {"SERIAL", "NAMES", "STATUS", "EXPIRES", "ISSUER", "TEMPLATE", "PROTOCOL", "OWNER"},
                                         .add_row = add_entry};

/* That nothing was found must not be for a name that nothing can have. */
static enum error
check_filter(struct ctl *ctl, struct request *rq, const Pb__FindCertificatesRequest *request)
{
    static const char *const protocols[] = {"acme", "est", "scep", "operator"};
    size_t len = strcspn(request->protocol, "/"), i;
    bool is_known = len == 0;

    for (i = 0; i < sizeof protocols / sizeof protocols[0]; i++)
        is_known |= strlen(protocols[i]) == len && strncmp(protocols[i], request->protocol, len) == 0;
    if (!is_known)
        return argument_refused(rq, "--protocol is acme, est, scep or operator, or one of them with a name, as in scep/phones");
    enum error error = check_template_name(ctl, rq, "--template", request->template_);
    return error ? error : check_ca_name(ctl, rq, "--issuer", request->issuer);
}

enum error
cert_list(struct ctl *ctl, struct request *rq)
{
    Pb__FindCertificatesRequest request = PB__FIND_CERTIFICATES_REQUEST__INIT;
    const Pb__FindCertificatesReply *reply;
    enum error error = fill_filter(ctl, rq, &request);

    if (!error)
        error = CTL_CALL(ctl, rq, inventory, FindCertificates, &request, &reply);
    if (!error && reply->n_entries == 0)
        error = check_filter(ctl, rq, &request);
    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    list_print(rq, &catalogue, (const void *const *)reply->entries, reply->n_entries);
    if (reply->next_cursor[0] != '\0')
        fprintf(stderr, "there are more: --cursor %s\n", reply->next_cursor);
    return OK;
}

static enum error
read_id(struct request *rq, const char *name, struct bytes *ret_id)
{
    *ret_id = BYTES_NONE;
    if (strlen(name) > 200 || !bytes_from_hex(rq->arena, name, ret_id))
        return fail(rq, ERR_BAD_REQUEST, "\"%.100s\" is neither a serial number nor a SHA-256 fingerprint in hexadecimal", name);
    return OK;
}

enum error
cert_find(struct ctl *ctl, struct request *rq, const char *name, const Pb__ShowCertificateReply **ret_reply)
{
    Pb__ShowCertificateRequest request = PB__SHOW_CERTIFICATE_REQUEST__INIT;
    struct bytes id;
    enum error error = read_id(rq, name, &id);

    if (error)
        return error;
    if (id.len == 32)
        request.sha256 = message_data(id);
    else
        request.serial = message_data(id);
    return CTL_CALL(ctl, rq, inventory, ShowCertificate, &request, ret_reply);
}

enum error
cert_show(struct ctl *ctl, struct request *rq)
{
    struct buffer pem = buffer_in(rq->arena);
    const Pb__ShowCertificateReply *reply;
    const Pb__CatalogEntry *entry;
    enum error error = cert_find(ctl, rq, ctl->arguments.words[0], &reply);

    if (error)
        return error;
    entry = reply->entry;
    pem_append(&pem, "CERTIFICATE", message_bytes(reply->certificate));
    if (argument(ctl, "pem") != NULL)
        return fputs(buffer_text(&pem), stdout), OK;
    if (answer_json(ctl, rq, &reply->base))
        return OK;
    const char *const facts[][2] = {
        {"serial", hex(rq->arena, entry->serial)},
        {"sha256", hex(rq->arena, entry->sha256)},
        {"subject", entry->subject},
        {"names", joined_names(rq->arena, entry->names, entry->n_names)},
        {"status", entry->status},
        {"issuer", entry->issuer},
        {"valid from", clock_format_rfc3339(rq->arena, entry->not_before_s)},
        {"valid until", clock_format_rfc3339(rq->arena, entry->not_after_s)},
        {"revoked at", entry->revoked_at_s ? clock_format_rfc3339(rq->arena, entry->revoked_at_s) : NULL},
        {"reason", entry->revoked_at_s ? enum_short_name(rq->arena, &pb__revocation_reason__descriptor, (int)entry->reason) : NULL},
        {"template", entry->template_},
        {"protocol", entry->protocol},
        {"owner", entry->owner},
        {"principal", arena_format(rq->arena, "%s %s", entry->principal->kind, entry->principal->id)},
        {"key", entry->key_type},
    };
    table_facts(stdout, facts, sizeof(facts) / sizeof(facts[0]));
    return OK;
}

/* "keyCompromise", as RFC 5280 writes it, or "key_compromise". */
enum error
revocation_reason(struct request *rq, const char *name, Pb__RevocationReason *ret_reason)
{
    struct buffer snake = buffer_in(rq->arena);
    const char *at;
    int value;

    for (at = name; *at != '\0'; at++) {
        bool upper = *at >= 'A' && *at <= 'Z';
        char lower = upper ? (char)(*at + 32) : *at;
        if (upper)
            buffer_append_text(&snake, "_");
        buffer_append(&snake, &lower, 1);
    }
    if (text_equal_nocase(name, "removeFromCRL"))
        return fail(rq, ERR_BAD_REQUEST, "a hold does not end: what is revoked stays so, and its holder gets another certificate");
    if (text_equal_nocase(name, "unspecified"))
        value = PB__REVOCATION_REASON__REVOCATION_REASON_UNSPECIFIED;
    else if (!enum_from_short_name(rq->arena, &pb__revocation_reason__descriptor, buffer_text(&snake), &value))
        return fail(rq, ERR_BAD_REQUEST,
                    "\"%.60s\" is not a reason of RFC 5280: unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, "
                    "cessationOfOperation, certificateHold, privilegeWithdrawn, aACompromise",
                    name);
    *ret_reason = (Pb__RevocationReason)value;
    return OK;
}

/* The certificate itself, from --certificate or from the catalogue; or, as the catalogue may be away, its serial number and --issuer. */
static enum error
name_certificate(struct ctl *ctl, struct request *rq, Pb__RevokeRequest *request)
{
    const char *path = argument(ctl, "certificate"), *issuer = argument(ctl, "issuer");
    const Pb__ShowCertificateReply *found;
    struct bytes octets;
    enum error error;

    if ((path != NULL) == (ctl->arguments.word_count > 0) || (path != NULL && issuer != NULL))
        return argument_refused(rq,
                                "name one certificate: by its serial number or its SHA-256 fingerprint, by SERIAL --issuer CA without the catalogue, "
                                "or with --certificate FILE");
    if (path != NULL) {
        error = file_read_der(rq, path, "CERTIFICATE", &octets);
        if (!error)
            request->certificate = message_data(octets);
        return error;
    }
    if (issuer != NULL) {
        error = read_id(rq, ctl->arguments.words[0], &octets);
        request->serial = message_data(octets);
        request->issuer = issuer;
        return error;
    }
    error = cert_find(ctl, rq, ctl->arguments.words[0], &found);
    if (!error)
        request->certificate = found->certificate;
    return error;
}

static const char *
reason_name(struct request *rq, Pb__RevocationReason reason)
{
    return enum_short_name(rq->arena, &pb__revocation_reason__descriptor, (int)reason);
}

/* Who asked for another reason must not take the old one for it. */
static const char *
what_happened(struct request *rq, const Pb__RevokeRequest *request, const Pb__RevokeReply *reply)
{
    const char *at = clock_format_rfc3339(rq->arena, reply->revoked_at_s), *reason = reason_name(rq, reply->reason);

    if (reply->reason_changed)
        return arena_format(rq->arena, "was revoked before, at %s, %s; the reason is %s now", at, reason_name(rq, reply->former_reason), reason);
    if (!reply->already_revoked)
        return arena_format(rq->arena, "revoked at %s, %s", at, reason);
    if (reply->reason == request->reason)
        return arena_format(rq->arena, "was revoked before, at %s, %s", at, reason);
    return arena_format(rq->arena, "was revoked before, at %s; the reason stays %s: it can only become key_compromise, or be another than a hold", at,
                        reason);
}

enum error
cert_revoke(struct ctl *ctl, struct request *rq)
{
    Pb__RevokeRequest request = PB__REVOKE_REQUEST__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;
    const Pb__RevokeReply *reply;
    enum error error = revocation_reason(rq, argument_or(ctl, "reason", "unspecified"), &request.reason);

    if (!error)
        error = name_certificate(ctl, rq, &request);
    if (error)
        return error;
    principal.kind = "operator";
    principal.id = operator_name(rq->arena);
    request.channel = "operator";
    request.authority = "operator";
    request.principal = &principal;

    error = CTL_CALL(ctl, rq, ra, Revoke, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "%s\n", what_happened(rq, &request, reply));
}
