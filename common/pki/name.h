/* Distinguished names (RFC 5280 §4.1.2.4): DER in, text out (RFC 4514), and the encoder for names that we make. */
#ifndef SIGNET_PKI_NAME_H
#define SIGNET_PKI_NAME_H

#include "base/request.h"
#include "pki/der.h"

#define NAME_ATTRIBUTES_MAX 32
#define NAME_VALUE_MAX 256

/* Checks a Name from outside: shape, known string types, valid UTF-8, lengths (RFC 5280 upper bounds), no empty value. ERR_BAD_REQUEST. */
enum error name_check(struct request *rq, struct bytes der) MUST_CHECK;

/* The same without recording a refusal: NULL, or what is wrong, in the arena. */
const char *name_find_fault(struct arena *arena, struct bytes der);

/* The same Name as certificates have it: string types of RFC 5280 §4.1.2.4, parts of an RDN in DER's order. For one that name_check has accepted. */
struct bytes name_respell(struct arena *arena, struct bytes der);

/* RFC 4514: "CN=host.example,O=Example"; most specific first. Never fails: what cannot be shown is shown as #hex. */
char *name_format(struct arena *arena, struct bytes der);

/* The first common name as UTF-8 text, or NULL. */
char *name_common_name(struct arena *arena, struct bytes der);

/* Every value of this attribute type that can be shown as UTF-8, in the order of the name; at most NAME_ATTRIBUTES_MAX. */
char **name_values(struct arena *arena, struct bytes der, struct bytes type, size_t *ret_count);

bool name_is_empty(struct bytes der);

struct name_part {
    struct bytes type; /* OID */
    const char *value; /* UTF-8; empty or NULL parts are left out */
};
/* In the given order; PrintableString for country and serialNumber, IA5String for DC and e-mail, UTF8String else. Nothing is checked
 * here: what a person typed is checked by name_check afterwards. */
struct bytes name_encode(struct arena *arena, const struct name_part *parts, size_t count);
/* The tag that name_encode gives a value of this type. */
unsigned name_string_type(struct bytes type);

#endif
