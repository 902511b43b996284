/*
 * Names of private keys: `pkcs11:token=…;object=…` (RFC 7512: token, object, id, type, serial, manufacturer, slot-id; percent-encoded) and
 * `managed:NAME` for software keys wrapped by a key-encryption key. A PIN never stands in a URI: pin-value and pin-source are refused.
 */
#ifndef SIGNET_PKI_KEY_URI_H
#define SIGNET_PKI_KEY_URI_H

#include "base/bytes.h"
#include "base/request.h"

enum key_place { KEY_IN_TOKEN = 1, KEY_MANAGED = 2 };

struct key_uri {
    enum key_place place;
    const char *token;  /* label; "" when not given */
    const char *object; /* label, or the name of a managed key */
    struct bytes id;    /* CKA_ID, or none */
};

/* ERR_BAD_REQUEST. */
enum error key_uri_parse(struct request *rq, const char *text, struct key_uri *ret_uri) MUST_CHECK;
char *key_uri_format(struct arena *arena, const struct key_uri *uri);

#endif
