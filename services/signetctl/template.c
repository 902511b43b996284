/* template list, show, export, import: templates are data; a change is a new version. */
#include <string.h>

#include "base/text.h"
#include "signetctl.h"

static enum error
ask(struct ctl *ctl, struct request *rq, const char *name, const Pb__ListTemplatesReply **ret_reply)
{
    Pb__ListTemplatesRequest request = PB__LIST_TEMPLATES_REQUEST__INIT;
    int64_t version = 0;
    enum error error = argument_number(ctl, rq, "version", 1, INT32_MAX, 0, &version);

    request.name = name;
    request.version = (uint32_t)version;
    if (!error)
        error = CTL_CALL(ctl, rq, signer, ListTemplates, &request, ret_reply);
    if (!error && name[0] != '\0' && (*ret_reply)->n_templates == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no template named \"%s\"%s: see signetctl template list", name, version ? " with this version" : "");
    return error;
}

enum error
template_from_yaml(struct request *rq, struct bytes yaml, Pb__Template **ret_template)
{
    Pb__Template *template = arena_alloc(rq->arena, sizeof(*template));

    pb__template__init(template);
    enum error error = message_from_yaml(rq, yaml, "a template", &template->base);
    if (!error)
        *ret_template = template;
    return error;
}

static void
add_template(struct request *rq, struct table *table, const void *element)
{
    const Pb__Template *template = element;
    const char *const cells[] = {template->name,
                                 arena_format(rq->arena, "%u", template->version),
                                 template->enabled ? "yes" : "no",
                                 arena_format(rq->arena, "%u", template->validity_days),
                                 list_joined(rq->arena, (const char *const *)template->key_types, template->n_key_types),
                                 list_joined(rq->arena, (const char *const *)template->extended_key_usage, template->n_extended_key_usage),
                                 template->requires_approval ? "yes" : "no",
                                 template->description};
    table_row(table, cells);
}

static const struct listing templates = {.heads = {"NAME", "VERSION", "ENABLED", "DAYS", "KEYS", "USAGES", "APPROVAL", "DESCRIPTION"},
                                         .add_row = add_template};

enum error
template_list(struct ctl *ctl, struct request *rq)
{
    const Pb__ListTemplatesReply *reply;
    enum error error = ask(ctl, rq, "", &reply);

    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    list_print(rq, &templates, (const void *const *)reply->templates, reply->n_templates);
    return OK;
}

/* Both `template show` and `template export`: what is shown is what can be imported, one form to learn. */
enum error
template_show(struct ctl *ctl, struct request *rq)
{
    const Pb__ListTemplatesReply *reply;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    return error ? error : yaml_show(ctl, rq, &reply->templates[0]->base, &reply->templates[0]->base);
}

enum error
template_import(struct ctl *ctl, struct request *rq)
{
    Pb__ImportTemplateRequest request = PB__IMPORT_TEMPLATE_REQUEST__INIT;
    const Pb__ImportTemplateReply *reply;
    struct bytes yaml;
    enum error error;

    request.operator_ = operator_name(rq->arena);
    error = file_read(rq, ctl->arguments.words[0], 64 * 1024, &yaml);
    if (!error)
        error = template_from_yaml(rq, yaml, &request.template_);
    if (!error)
        error = check_ca_name(ctl, rq, "issuer", request.template_->issuer);
    if (!error)
        error = CTL_CALL(ctl, rq, signer, ImportTemplate, &request, &reply);
    return error ? error
                 : answer(ctl, rq, &reply->base, "template %s: version %u%s\n", request.template_->name, reply->version,
                          reply->changed ? "" : " (unchanged)");
}
