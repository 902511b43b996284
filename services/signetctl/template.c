/* template list, show, export, import: templates are data; a change is a new version. */
#include <string.h>

#include "base/text.h"
#include "link/rpc.h"
#include "signetctl.h"

static enum error
ask(struct ctl *ctl, struct request *rq, const char *name, const Pb__ListTemplatesReply **ret_reply)
{
    Pb__ListTemplatesRequest request = PB__LIST_TEMPLATES_REQUEST__INIT;
    int64_t version = 0;
    enum error error = argument_number(ctl, rq, "version", 1, INT32_MAX, 0, &version);

    if (!error)
        error = ctl_bus(ctl, rq);
    if (error)
        return error;
    request.name = name;
    request.version = (uint32_t)version;
    error = RPC_CALL(ctl->bus, rq, signer, ListTemplates, &request, ret_reply);
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

static const char *
joined(struct arena *arena, char *const *texts, size_t count)
{
    struct buffer list = buffer_in(arena);
    size_t i;

    for (i = 0; i < count; i++)
        buffer_append_format(&list, "%s%s", i ? "," : "", texts[i]);
    return buffer_text(&list);
}

enum error
template_list(struct ctl *ctl, struct request *rq)
{
    static const char *const heads[] = {"NAME", "VERSION", "ENABLED", "DAYS", "KEYS", "USAGES", "APPROVAL", "DESCRIPTION"};
    const Pb__ListTemplatesReply *reply;
    struct table *table;
    enum error error = ask(ctl, rq, "", &reply);
    size_t i;

    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    table = table_new(rq->arena, heads, sizeof(heads) / sizeof(heads[0]));
    for (i = 0; i < reply->n_templates; i++) {
        const Pb__Template *template = reply->templates[i];
        const char *const cells[] = {template->name,
                                     arena_format(rq->arena, "%u", template->version),
                                     template->enabled ? "yes" : "no",
                                     arena_format(rq->arena, "%u", template->validity_days),
                                     joined(rq->arena, (char *const *)template->key_types, template->n_key_types),
                                     joined(rq->arena, (char *const *)template->extended_key_usage, template->n_extended_key_usage),
                                     template->requires_approval ? "yes" : "no",
                                     template->description};
        table_row(table, cells);
    }
    table_print(table, stdout);
    return OK;
}

/* Both `template show` and `template export`: what is shown is what can be imported, one form to learn. */
enum error
template_show(struct ctl *ctl, struct request *rq)
{
    const Pb__ListTemplatesReply *reply;
    struct buffer yaml = buffer_in(rq->arena);
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->templates[0]->base)), OK;
    message_to_yaml(rq->arena, &reply->templates[0]->base, &yaml);
    fputs(buffer_text(&yaml), stdout);
    return OK;
}

enum error
template_import(struct ctl *ctl, struct request *rq)
{
    Pb__ImportTemplateRequest request = PB__IMPORT_TEMPLATE_REQUEST__INIT;
    const Pb__ImportTemplateReply *reply;
    struct bytes yaml;
    enum error error;

    error = file_read(rq, ctl->arguments.words[0], 64 * 1024, &yaml);
    if (!error)
        error = template_from_yaml(rq, yaml, &request.template_);
    if (!error)
        error = ctl_bus(ctl, rq);
    if (!error)
        error = RPC_CALL(ctl->bus, rq, signer, ImportTemplate, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    printf("template %s: version %u%s\n", request.template_->name, reply->version, reply->changed ? "" : " (unchanged)");
    return OK;
}
