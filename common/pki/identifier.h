/*
 * Identifiers: what a certificate names in subjectAltName. Text forms are canonical, so that equality is strcmp:
 * DNS names lower case A-labels without final dot; IPv4 dotted; IPv6 as RFC 5952; e-mail with lower-case domain.
 */
#ifndef SIGNET_PKI_IDENTIFIER_H
#define SIGNET_PKI_IDENTIFIER_H

#include "base/request.h"
#include "pki/der.h"

enum identifier_type { IDENTIFIER_DNS = 1, IDENTIFIER_IP = 2, IDENTIFIER_EMAIL = 3, IDENTIFIER_URI = 4 }; /* the numbers of NameType */

struct identifier {
    enum identifier_type type;
    const char *value;
};

#define IDENTIFIERS_MAX 100

/* Checks and brings to canonical form: LDH labels ≤ 63, total ≤ 253, no all-numeric last label, "*." only in front and only once, no bare
 * public-suffix rules. ERR_BAD_NAME says which rule. */
enum error identifier_parse(struct request *rq, enum identifier_type type, const char *text, struct identifier *ret_identifier) MUST_CHECK;

/* The same without recording a refusal: NULL, or what is wrong ("has an empty label"). */
const char *identifier_read(struct arena *arena, enum identifier_type type, const char *text, struct identifier *ret_identifier) MUST_CHECK;

/* GeneralNames (the value of subjectAltName: the whole SEQUENCE) → canonical identifiers, in their order, without duplicates. Other forms:
 * ERR_BAD_NAME. */
enum error identifiers_decode(struct request *rq, struct bytes general_names, struct identifier **ret_identifiers, size_t *ret_count) MUST_CHECK;

/* The SEQUENCE OF GeneralName. Canonical identifiers only: what came over the bus goes through identifier_parse first. */
struct bytes identifiers_encode(struct arena *arena, const struct identifier *identifiers, size_t count);

bool identifier_equal(const struct identifier *a, const struct identifier *b);
/* The same set, in any order. */
bool identifiers_equal(const struct identifier *a, size_t a_count, const struct identifier *b, size_t b_count);

const char *identifier_type_name(enum identifier_type type); /* "dns", "ip", "email", "uri" */

#endif
