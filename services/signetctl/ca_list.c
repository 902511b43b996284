/* ca list, ca show: what the signer says of its CAs. */
#include "base/clock.h"
#include "base/text.h"
#include "pki/certificate.h"
#include "pki/name.h"
#include "pki/pem.h"
#include "signetctl.h"

static enum error
ask(struct ctl *ctl, struct request *rq, const char *name, const Pb__ListCasReply **ret_reply)
{
    Pb__ListCasRequest request = PB__LIST_CAS_REQUEST__INIT;

    request.name = name;
    enum error error = CTL_CALL(ctl, rq, signer, ListCas, &request, ret_reply);
    if (!error && name[0] != '\0' && (*ret_reply)->n_cas == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no CA named %s: see signetctl ca list", name);
    return error;
}

/* Subject and expiry of a CA that has its certificate. */
static bool
read_certificate(struct request *rq, const Pb__Ca *ca, struct certificate *ret_certificate)
{
    if (ca->certificate.len == 0)
        return false;
    if (certificate_parse(rq, message_bytes(ca->certificate), ret_certificate) == OK)
        return true;
    failure_clear(rq);
    return false;
}

static void
add_ca(struct request *rq, struct table *table, const void *element)
{
    const Pb__Ca *ca = element;
    struct certificate *certificate = arena_alloc(rq->arena, sizeof(*certificate));
    bool known = read_certificate(rq, ca, certificate);
    const char *const cells[] = {ca->name,
                                 ca->status,
                                 ca->is_default ? "yes" : "",
                                 known ? name_format(rq->arena, certificate->subject) : "",
                                 ca->key_type,
                                 ca->parent,
                                 known ? clock_format_rfc3339(rq->arena, certificate->not_after_s) : ""};
    table_row(table, cells);
}

static const struct listing cas = {.heads = {"NAME", "STATUS", "DEFAULT", "SUBJECT", "KEY", "PARENT", "EXPIRES"}, .add_row = add_ca};

enum error
ca_list(struct ctl *ctl, struct request *rq)
{
    const Pb__ListCasReply *reply;
    enum error error = ask(ctl, rq, "", &reply);

    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    list_print(rq, &cas, (const void *const *)reply->cas, reply->n_cas);
    return OK;
}

static enum error
print_pem(struct request *rq, const Pb__Ca *ca, const char *label, ProtobufCBinaryData der)
{
    struct buffer pem = buffer_in(rq->arena);

    if (der.len == 0)
        return fail(rq, ERR_NOT_FOUND, "CA %s has none: it is %s", ca->name, ca->status);
    pem_append(&pem, label, message_bytes(der));
    fputs(buffer_text(&pem), stdout);
    return OK;
}

enum error
ca_show(struct ctl *ctl, struct request *rq)
{
    const Pb__ListCasReply *reply;
    struct certificate certificate;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);
    const Pb__Ca *ca;
    bool known;

    if (error)
        return error;
    ca = reply->cas[0];
    if (argument(ctl, "pem") != NULL)
        return print_pem(rq, ca, "CERTIFICATE", ca->certificate);
    if (argument(ctl, "csr") != NULL)
        return print_pem(rq, ca, "CERTIFICATE REQUEST", ca->csr);
    if (argument(ctl, "evidence") != NULL)
        return puts(ca->evidence), OK;
    if (answer_json(ctl, rq, &ca->base))
        return OK;

    known = read_certificate(rq, ca, &certificate);
    const char *const facts[][2] = {
        {"name", ca->name},
        {"status", ca->status},
        {"default", ca->is_default ? "yes" : "no"},
        {"subject", known ? name_format(rq->arena, certificate.subject) : NULL},
        {"issuer", known ? name_format(rq->arena, certificate.issuer) : NULL},
        {"serial", known ? bytes_hex(rq->arena, certificate.serial, 0) : NULL},
        {"valid from", known ? clock_format_rfc3339(rq->arena, certificate.not_before_s) : NULL},
        {"valid until", known ? clock_format_rfc3339(rq->arena, certificate.not_after_s) : NULL},
        {"key", ca->key_type},
        {"key uri", ca->key_uri},
        {"parent", ca->parent[0] != '\0' ? ca->parent : NULL},
        {"successor", ca->successor[0] != '\0' ? ca->successor : NULL},
        {"created", clock_format_rfc3339(rq->arena, ca->created_at_s)},
    };
    table_facts(stdout, facts, sizeof(facts) / sizeof(facts[0]));
    return OK;
}
