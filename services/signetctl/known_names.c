/* Names of CAs and templates that were typed: one that nobody has is refused here, before it is written down somewhere and found out much later. */
#include <string.h>

#include "base/text.h"
#include "signetctl.h"

enum error
check_template_name(struct ctl *ctl, struct request *rq, const char *field, const char *name)
{
    Pb__ListTemplatesRequest request = PB__LIST_TEMPLATES_REQUEST__INIT;
    const Pb__ListTemplatesReply *reply;

    if (text_is_empty(name))
        return OK;
    request.name = name;
    enum error error = CTL_CALL(ctl, rq, signer, ListTemplates, &request, &reply);
    if (error || reply->n_templates > 0)
        return error;
    return fail(rq, ERR_NOT_FOUND, "%s: there is no template named \"%s\": see signetctl template list", field, name);
}

enum error
check_ca_name(struct ctl *ctl, struct request *rq, const char *field, const char *name)
{
    Pb__ListCasRequest request = PB__LIST_CAS_REQUEST__INIT;
    const Pb__ListCasReply *reply;

    if (text_is_empty(name))
        return OK;
    request.name = name;
    enum error error = CTL_CALL(ctl, rq, signer, ListCas, &request, &reply);
    if (error || reply->n_cas > 0)
        return error;
    return fail(rq, ERR_NOT_FOUND, "%s: there is no CA named \"%s\": see signetctl ca list", field, name);
}
