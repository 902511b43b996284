/*
 * What becomes of an account, from the key that made it to its end, for the audit log: AccountChanged, which goes into the outbox in the very
 * statement that changes the row. So there is no change without its record, whoever dies.
 */
#include "acme.h"

#include "base/base64.h"
#include "base/clock.h"

#define EVENT_ID_OCTETS 16

const char *
account_event_id(struct arena *arena)
{
    uint8_t octets[EVENT_ID_OCTETS];

    random_bytes(octets, sizeof octets);
    return bytes_hex(arena, BYTES(octets, sizeof octets), 0);
}

const char *
account_thumbprint(struct arena *arena, const struct account *account)
{
    return base64url_encode(arena, BYTES(account->jwk.thumbprint, THUMBPRINT_LEN));
}

Pb__AccountChanged
account_event(struct arena *arena, const struct account *account, const char *action, const char *client_address)
{
    Pb__AccountChanged event = PB__ACCOUNT_CHANGED__INIT;

    event.account = account->id;
    event.action = action;
    event.policy = account->policy;
    event.key_thumbprint = account_thumbprint(arena, account);
    event.client_address = client_address;
    return event;
}
