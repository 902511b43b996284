/*
 * The intent that ra has stored and warranted: read strictly, then held against the template and the CA once more. ra has done the same; a mistake
 * or a break-in there must still not get a certificate that template or CA forbid.
 */
#include "signer.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "link/message.h"
#include "pki/name.h"
#include "pki/serial.h"

#define INTENT_ID_LEN 16
#define SECONDS_A_DAY 86400

static enum error
read_names(struct request *rq, const Pb__CertificateIntent *about, struct intent *intent)
{
    if (about->n_names > IDENTIFIERS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "the intent has %zu names, at most %d are certified", about->n_names, IDENTIFIERS_MAX);
    intent->names = arena_array(rq->arena, about->n_names, sizeof *intent->names);
    for (size_t i = 0; i < about->n_names; i++) {
        const Pb__Name *name = about->names[i];
        if (name->type < PB__NAME_TYPE__NAME_TYPE_DNS || name->type > PB__NAME_TYPE__NAME_TYPE_UPN)
            return fail(rq, ERR_BAD_REQUEST, "the intent has a name without a type");
        enum error error = identifier_parse(rq, (enum identifier_type)name->type, name->value, &intent->names[i]);
        if (error != OK)
            return error;
        if (!text_equal(intent->names[i].value, name->value))
            return fail(rq, ERR_BAD_REQUEST, "the intent's name %s is not in its canonical form %s", name->value, intent->names[i].value);
        for (size_t k = 0; k < i; k++)
            if (identifier_equal(&intent->names[k], &intent->names[i]))
                return fail(rq, ERR_BAD_REQUEST, "the intent has the name %s twice", name->value);
    }
    intent->name_count = about->n_names;
    return OK;
}

enum error
intent_read(struct request *rq, struct bytes packed, struct intent *ret_intent)
{
    const Pb__CertificateIntent *about = (const Pb__CertificateIntent *)message_unpack(rq->arena, &pb__certificate_intent__descriptor, packed);
    int month;

    if (about == NULL)
        return fail(rq, ERR_BAD_REQUEST, "the intent is not a CertificateIntent");
    struct intent intent = {.about = about, .serial = message_bytes(about->serial), .subject = message_bytes(about->subject)};
    if (about->intent_id.len != INTENT_ID_LEN)
        return fail(rq, ERR_BAD_REQUEST, "the intent has no id of %d octets", INTENT_ID_LEN);
    if (about->not_before_s >= about->not_after_s)
        return fail(rq, ERR_BAD_REQUEST, "the intent's validity ends before it begins");
    if (!serial_parse(intent.serial, &month) || month != serial_month_of(about->not_after_s))
        return fail(rq, ERR_BAD_REQUEST, "the intent's serial number does not carry the month of its expiry");
    enum error error = name_check(rq, intent.subject);
    if (error == OK)
        error = read_names(rq, about, &intent);
    if (error == OK)
        error = public_key_parse(rq, message_bytes(about->public_key), &intent.key);
    if (error == OK)
        error = public_key_check(rq, &intent.key);
    if (error != OK)
        return error;
    *ret_intent = intent;
    return OK;
}

/* ---- what the CA allows ---- */

static enum error
check_authority(struct request *rq, const struct intent *intent, const struct authority *authority)
{
    const struct certificate *certificate = &authority->certificate;

    if (authority->row.status != AUTHORITY_ACTIVE)
        return fail(rq, ERR_DENIED, "the CA %s issues no certificates: it is %s", authority->row.name, authority_status_name(authority->row.status));
    if (intent->about->not_before_s < certificate->not_before_s || intent->about->not_after_s > certificate->not_after_s)
        return fail(rq, ERR_DENIED, "the certificate would be valid when the CA %s is not", authority->row.name);
    return OK;
}

/* ---- what the template allows ---- */

static enum error
deny(struct request *rq, const struct template *template, const char *why)
{
    return fail(rq, ERR_DENIED, "the template %s version %u %s", template->about->name, template->about->version, why);
}

static enum error
check_key(struct request *rq, const struct intent *intent, const struct template *template)
{
    const Pb__Template *about = template->about;
    bool allowed = false;

    for (size_t i = 0; i < about->n_key_types; i++)
        allowed |= text_equal(about->key_types[i], template_key_name(intent->key.type));
    if (!allowed || (intent->key.type == KEY_RSA && intent->key.bits < (int)about->min_rsa_bits))
        return deny(rq, template, arena_format(rq->arena, "does not allow the key %s", public_key_name(rq->arena, &intent->key)));
    if (encode_key_usage(template, intent->key.type) == 0)
        return deny(rq, template, arena_format(rq->arena, "has no usage for the key %s", public_key_name(rq->arena, &intent->key)));
    return OK;
}

static enum error
check_names(struct request *rq, const struct intent *intent, const struct template *template)
{
    const Pb__Template *about = template->about;

    for (size_t i = 0; i < intent->name_count; i++) {
        bool allowed = false;
        for (size_t k = 0; k < about->n_name_types; k++)
            allowed |= (int)about->name_types[k] == (int)intent->names[i].type;
        if (!allowed)
            return deny(rq, template, arena_format(rq->arena, "does not allow the name %s", intent->names[i].value));
    }
    if (about->san_required && intent->name_count == 0)
        return deny(rq, template, "needs a name");
    if (about->max_names > 0 && intent->name_count > about->max_names)
        return deny(rq, template, "does not allow so many names");
    return OK;
}

/* A subject that is one of the names, alone. */
static bool
is_common_name_only(struct arena *arena, const struct intent *intent)
{
    for (size_t i = 0; i < intent->name_count; i++) {
        struct name_part part = {.type = OID_COMMON_NAME, .value = intent->names[i].value};
        if (bytes_equal(name_encode(arena, &part, 1), intent->subject))
            return true;
    }
    return false;
}

/* RFC 5280 §4.1.2.6: a mail address in the subject is one of the names. */
static bool
has_address_of_its_own(struct arena *arena, const struct intent *intent)
{
    size_t count;
    char **addresses = name_values(arena, intent->subject, OID_EMAIL_ADDRESS, &count);

    for (size_t i = 0; i < count; i++) {
        struct identifier address;
        size_t k = 0;
        if (identifier_read(arena, IDENTIFIER_EMAIL, addresses[i], &address) != NULL)
            return true;
        while (k < intent->name_count && !identifier_equal(&intent->names[k], &address))
            k++;
        if (k == intent->name_count)
            return true;
    }
    return false;
}

static enum error
check_subject(struct request *rq, const struct intent *intent, const struct template *template)
{
    const char *rule = template->about->subject;

    /* RFC 5280 §4.1.2.6: without a subject the names must identify. */
    if (name_is_empty(intent->subject))
        return intent->name_count > 0 ? OK : deny(rq, template, "needs a subject or a name");
    if (text_equal(rule, "none"))
        return deny(rq, template, "allows no subject");
    if (text_equal(rule, "common-name") && !is_common_name_only(rq->arena, intent))
        return deny(rq, template, "allows a subject of one common name only, which must be one of the names");
    if (has_address_of_its_own(rq->arena, intent))
        return deny(rq, template, "allows no mail address in the subject that is not one of the names");
    return OK;
}

static enum error
check_validity(struct request *rq, const struct intent *intent, const struct template *template)
{
    /* Both ends count (RFC 5280 §4.1.2.5). */
    int64_t span_s = intent->about->not_after_s - intent->about->not_before_s + 1;

    if (span_s > (int64_t) template->about->validity_days * SECONDS_A_DAY)
        return deny(rq, template, "does not allow a validity of that length");
    return OK;
}

/* What a root signs is trusted without end: it is for CAs, where there are such, unless an operator's template says otherwise. */
static enum error
check_issuer(struct request *rq, const struct template *template, const struct authority *authority)
{
    const char *issuer = template->about->issuer;

    if (!text_is_empty(issuer) && !text_equal(issuer, authority->row.name))
        return deny(rq, template, arena_format(rq->arena, "is issued by %s only", issuer));
    if (text_is_empty(issuer) && authority->is_self_signed && authority->row.has_children)
        return deny(rq, template,
                    arena_format(rq->arena, "is not issued by %s, a root with CAs below it, unless it names that CA", authority->row.name));
    return OK;
}

enum error
intent_check(struct request *rq, const struct intent *intent, const struct template *template, const struct authority *authority)
{
    if (template->about->is_ca)
        return deny(rq, template, "is for CA certificates, which CreateCa makes");
    enum error error = check_issuer(rq, template, authority);
    if (error == OK)
        error = check_authority(rq, intent, authority);
    if (error == OK)
        error = check_key(rq, intent, template);
    if (error == OK)
        error = check_names(rq, intent, template);
    if (error == OK)
        error = check_subject(rq, intent, template);
    if (error == OK)
        error = check_validity(rq, intent, template);
    return error;
}
