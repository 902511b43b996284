/* Takes a credential away. Its accounts have what they need of it and stay. */
#include "acme.h"

enum error
delete_eab(struct acme *acme, struct request *rq, const Pb__DeleteEabRequest *input, Pb__DeleteEabReply *ret_reply)
{
    request_note(rq, "eab", "%.100s", input->name);
    return store_delete_eab(acme, rq, input->name);
}
