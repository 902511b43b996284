/*
 * The text of an audit record: one JSON object on one line, fixed when it is written. Its octets, exactly as stored, are what the sealer hashes
 * (sql/002_audit.sql). Inserted by store.c in the transaction of what it records. Everything that comes from outside is cut to a bound.
 */
#include "ra.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

/* A record has at most thirteen texts, and names: together with the keys and digests they stay below AUDIT_BODY_MAX. */
#define AUDIT_TEXT_MAX 300
#define AUDIT_NAMES_MAX 3000
#define AUDIT_PREAPPROVED_MAX 900
#define AUDIT_CHANGES_MAX 5000
#define AUDIT_CONTACTS_MAX 1500
#define ESCAPE_MAX 6

/* At most AUDIT_TEXT_MAX octets of JSON, never half a character or half an escape. */
static void
put_escaped(struct buffer *out, const char *text)
{
    size_t len = strlen(text), used = 0, most = out->len + AUDIT_TEXT_MAX;

    while (used < len && out->len + ESCAPE_MAX <= most) {
        size_t character = text_utf8_length(BYTES(text + used, len - used));
        unsigned char octet = (unsigned char)text[used];
        if (character == 0)
            buffer_append_text(out, "?");
        else if (octet == '"' || octet == '\\')
            buffer_append_format(out, "\\%c", octet);
        else if (octet < 0x20 || octet == 0x7f)
            buffer_append_format(out, "\\u%04x", octet);
        else
            buffer_append(out, text + used, character);
        used += character == 0 ? 1 : character;
    }
}

static void
put_text(struct buffer *out, const char *key, const char *text)
{
    if (text_is_empty(text))
        return;
    buffer_append_format(out, ",\"%s\":\"", key);
    put_escaped(out, text);
    buffer_append_text(out, "\"");
}

static void
put_hex(struct request *rq, struct buffer *out, const char *key, struct bytes octets)
{
    if (octets.len > 0 && octets.len <= 64)
        buffer_append_format(out, ",\"%s\":\"%s\"", key, bytes_hex(rq->arena, octets, 0));
}

static void
put_sha256(struct request *rq, struct buffer *out, const char *key, struct bytes of)
{
    uint8_t sha256[32];

    certificate_sha256(of, sha256);
    put_hex(rq, out, key, BYTES(sha256, sizeof sha256));
}

static void
put_principal(struct request *rq, struct buffer *out, const char *kind, const char *id)
{
    put_text(out, "principal", arena_format(rq->arena, "%.*s:%.*s", PRINCIPAL_KIND_MAX, kind, PRINCIPAL_ID_MAX, id));
}

/* Beside the list, how many there are: it is cut where `most` octets would be passed. */
static void
put_list(struct buffer *out, const char *count_key, const char *key, const char *const *texts, size_t count, size_t most)
{
    if (count == 0)
        return;
    buffer_append_format(out, ",\"%s\":%zu,\"%s\":[", count_key, count, key);
    most += out->len;
    for (size_t i = 0; i < count && out->len + AUDIT_TEXT_MAX <= most; i++) {
        buffer_append_format(out, "%s\"", i == 0 ? "" : ",");
        put_escaped(out, texts[i]);
        buffer_append_text(out, "\"");
    }
    buffer_append_text(out, "]");
}

static void
put_names(struct request *rq, struct buffer *out, Pb__Name *const *names, size_t count)
{
    const char **values = arena_array(rq->arena, count, sizeof *values);

    for (size_t i = 0; i < count; i++)
        values[i] = names[i]->value;
    put_list(out, "name_count", "names", values, count, AUDIT_NAMES_MAX);
}

/* Which names nobody had to prove. */
static void
put_preapproved(struct request *rq, struct buffer *out, const char *preapproved)
{
    size_t count;
    char **names = text_split(rq->arena, preapproved, ' ', &count);

    put_list(out, "preapproved_count", "preapproved", (const char *const *)names, count, AUDIT_PREAPPROVED_MAX);
}

static void
put_failure(struct request *rq, struct buffer *out)
{
    put_text(out, "result", error_name(rq->failure.kind));
    put_text(out, "layer", rq->failure.layer);
    put_text(out, "message", rq->failure.message);
}

static struct buffer
begin(struct request *rq, const char *action)
{
    struct buffer out = buffer_in(rq->arena);
    int64_t now_us = clock_now_us();
    const char *at = clock_format_rfc3339(rq->arena, now_us / 1000000);

    buffer_append_format(&out, "{\"at\":\"%.19s.%06dZ\",\"action\":\"%s\"", at, (int)(now_us % 1000000), action);
    return out;
}

static const char *
end(struct request *rq, struct buffer *out)
{
    put_text(out, "trace", rq->trace_id);
    buffer_append_text(out, "}");
    assert(out->len <= AUDIT_BODY_MAX);
    return buffer_text(out);
}

static void
put_intent(struct request *rq, struct buffer *out, const struct intent *intent)
{
    put_hex(rq, out, "intent", intent->id);
    put_text(out, "channel", intent->channel);
    put_text(out, "key", intent->idempotency_key);
    put_principal(rq, out, intent->principal_kind, intent->principal_id);
    put_text(out, "on_behalf_of", intent->on_behalf_of);
    put_text(out, "attested", intent->attested);
    put_text(out, "owner", intent->owner);
    put_text(out, "client", intent->client_address);
    put_text(out, "issuer", intent->plan->issuer);
    put_hex(rq, out, "serial", message_bytes(intent->plan->serial));
    put_text(out, "template", intent->plan->template_);
    if (csr_is_sha1_signed(intent->csr))
        put_text(out, "csr_signature", "sha1WithRSAEncryption");
    buffer_append_format(out, ",\"template_version\":%u", intent->plan->template_version);
    put_names(rq, out, intent->plan->names, intent->plan->n_names);
    put_preapproved(rq, out, intent->preapproved);
}

const char *
audit_issued(struct request *rq, const struct intent *intent, struct bytes certificate, const char *not_granted)
{
    struct buffer out = begin(rq, "certificate.issued");

    put_intent(rq, &out, intent);
    put_text(&out, "not_granted", not_granted);
    put_sha256(rq, &out, "certificate_sha256", certificate);
    put_text(&out, "result", "ok");
    return end(rq, &out);
}

const char *
audit_pending(struct request *rq, const struct intent *intent)
{
    struct buffer out = begin(rq, "enroll.pending");

    put_intent(rq, &out, intent);
    put_sha256(rq, &out, "csr_sha256", intent->csr);
    put_text(&out, "result", "pending");
    return end(rq, &out);
}

const char *
audit_intent_refused(struct request *rq, const struct intent *intent)
{
    struct buffer out = begin(rq, "intent.refused");

    put_intent(rq, &out, intent);
    put_failure(rq, &out);
    return end(rq, &out);
}

const char *
audit_decided(struct request *rq, const struct intent *intent, const Pb__ApproveRequest *request)
{
    struct buffer out = begin(rq, request->deny ? "enroll.denied" : "enroll.approved");

    put_intent(rq, &out, intent);
    put_text(&out, "operator", request->operator_);
    put_text(&out, "message", request->reason);
    put_text(&out, "result", "ok");
    return end(rq, &out);
}

const char *
audit_approval_refused(struct request *rq, const struct intent *intent, const Pb__ApproveRequest *request)
{
    struct buffer out = begin(rq, "approval.refused");

    put_intent(rq, &out, intent);
    put_text(&out, "operator", request->operator_);
    put_failure(rq, &out);
    return end(rq, &out);
}

const char *
audit_enroll_refused(struct request *rq, const Pb__EnrollRequest *request)
{
    struct buffer out = begin(rq, "enroll.refused");

    put_text(&out, "channel", request->channel);
    put_text(&out, "key", request->idempotency_key);
    put_principal(rq, &out, request->principal->kind, request->principal->id);
    put_text(&out, "owner", request->owner);
    put_text(&out, "client", request->client_address);
    put_text(&out, "issuer", request->issuer);
    put_text(&out, "template", request->template_);
    put_text(&out, "asset", request->asset);
    put_names(rq, &out, request->proven_names, request->n_proven_names);
    put_sha256(rq, &out, "csr_sha256", message_bytes(request->csr));
    put_failure(rq, &out);
    return end(rq, &out);
}

const char *
audit_withdrawn(struct request *rq, const struct intent *intent, const char *reason)
{
    struct buffer out = begin(rq, "enroll.withdrawn");

    put_intent(rq, &out, intent);
    put_text(&out, "message", reason);
    put_text(&out, "result", "ok");
    return end(rq, &out);
}

static void
put_revocation(struct request *rq, struct buffer *out, const struct revocation *revocation)
{
    put_text(out, "channel", revocation->channel);
    put_principal(rq, out, revocation->principal_kind, revocation->principal_id);
    put_text(out, "authority", revocation->authority);
    put_text(out, "client", revocation->client_address);
    put_text(out, "issuer", revocation->issuer);
    put_hex(rq, out, "serial", revocation->serial);
    buffer_append_format(out, ",\"reason\":%d", revocation->reason);
}

const char *
audit_revoked(struct request *rq, const struct revocation *revocation)
{
    struct buffer out = begin(rq, "certificate.revoked");

    put_revocation(rq, &out, revocation);
    put_text(&out, "result", "ok");
    return end(rq, &out);
}

const char *
audit_reason_changed(struct request *rq, const struct revocation *revocation)
{
    struct buffer out = begin(rq, "revocation.changed");

    put_revocation(rq, &out, revocation);
    buffer_append_format(&out, ",\"former_reason\":%d", revocation->former_reason);
    put_text(&out, "result", "ok");
    return end(rq, &out);
}

const char *
audit_key_blocked(struct request *rq, const struct revocation *revocation)
{
    struct buffer out = begin(rq, "key.blocked");

    put_revocation(rq, &out, revocation);
    put_hex(rq, &out, "key_sha256", BYTES(revocation->key_sha256, sizeof revocation->key_sha256));
    put_text(&out, "result", "ok");
    return end(rq, &out);
}

const char *
audit_revoke_refused(struct request *rq, const Pb__RevokeRequest *request, struct bytes serial)
{
    struct buffer out = begin(rq, "revoke.refused");

    put_text(&out, "channel", request->channel);
    put_principal(rq, &out, request->principal->kind, request->principal->id);
    put_text(&out, "authority", request->authority);
    put_text(&out, "client", request->client_address);
    put_text(&out, "issuer", request->issuer);
    put_hex(rq, &out, "serial", serial);
    buffer_append_format(&out, ",\"reason\":%d", (int)request->reason);
    put_failure(rq, &out);
    return end(rq, &out);
}

const char *
audit_ca_created(struct request *rq, const Pb__CaCreated *created)
{
    struct buffer out = begin(rq, "ca.created");

    put_text(&out, "issuer", created->name);
    put_text(&out, "operator", created->operator_);
    if (!text_is_empty(created->caller))
        put_principal(rq, &out, "bus", created->caller);
    put_sha256(rq, &out, "certificate_sha256", message_bytes(created->certificate));
    put_text(&out, "result", "ok");
    return end(rq, &out);
}

const char *
audit_configuration_changed(struct request *rq, const Pb__ConfigurationChanged *changed)
{
    struct buffer out = begin(rq, "configuration.changed");

    put_text(&out, "what", changed->what);
    put_text(&out, "name", changed->name);
    put_text(&out, "done", changed->action);
    put_text(&out, "operator", changed->operator_);
    put_principal(rq, &out, "bus", changed->caller);
    put_list(&out, "change_count", "changes", changed->changes, changed->n_changes, AUDIT_CHANGES_MAX);
    put_text(&out, "message", changed->also);
    put_text(&out, "result", "ok");
    return end(rq, &out);
}

/* Records are looked for by their action: what is not known is none of its own. */
static const char *
account_action(const char *action)
{
    static const struct {
        const char *announced, *recorded;
    } actions[] = {{"created", "account.created"},
                   {"key-changed", "account.key-changed"},
                   {"contacts-changed", "account.contacts-changed"},
                   {"deactivated", "account.deactivated"},
                   {"revoked", "account.revoked"}};

    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (text_equal(action, actions[i].announced))
            return actions[i].recorded;
    return "account.changed";
}

/* Its client has done it, or an operator. */
const char *
audit_account_changed(struct request *rq, const Pb__AccountChanged *changed)
{
    struct buffer out = begin(rq, account_action(changed->action));
    bool by_operator = !text_is_empty(changed->operator_);

    put_text(&out, "account", changed->account);
    put_text(&out, "policy", changed->policy);
    put_text(&out, "operator", changed->operator_);
    put_principal(rq, &out, by_operator ? "bus" : "acme-account", by_operator ? changed->caller : changed->account);
    put_text(&out, "client", changed->client_address);
    put_text(&out, "key_thumbprint", changed->key_thumbprint);
    put_text(&out, "former_thumbprint", changed->former_thumbprint);
    put_text(&out, "eab", changed->eab);
    put_text(&out, "eab_key_id", changed->eab_key_id);
    put_list(&out, "contact_count", "contacts", changed->contacts, changed->n_contacts, AUDIT_CONTACTS_MAX);
    put_list(&out, "former_contact_count", "former_contacts", changed->former_contacts, changed->n_former_contacts, AUDIT_CONTACTS_MAX);
    put_text(&out, "message", changed->why);
    put_text(&out, "result", "ok");
    return end(rq, &out);
}
