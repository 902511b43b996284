/* What an account still has: whoever ends it may want to revoke these, too. */
#include "acme.h"

#include <string.h>

enum error
list_acme_account_certificates(struct acme *acme, struct request *rq, const Pb__ListAcmeAccountCertificatesRequest *input,
                               Pb__ListAcmeAccountCertificatesReply *ret_reply)
{
    struct page_place after;

    if (strlen(input->account) != ACME_ID_LEN || !text_is_printable_ascii(bytes_of_text(input->account)))
        return fail(rq, ERR_BAD_REQUEST, "an account is named by the %d characters of its id here", ACME_ID_LEN);
    request_note(rq, "account", "%s", input->account);
    enum error error = page_place_parse(rq, input->cursor, &after);
    return error ? error : store_list_account_certificates(acme, rq, input->account, &after, account_page(input->limit), ret_reply);
}
