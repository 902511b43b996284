/*
 * Identifiers: what a certificate names in subjectAltName. Text forms are canonical, so that equality is strcmp:
 * DNS names lower case A-labels without final dot; IPv4 dotted; IPv6 as RFC 5952; e-mail with lower-case domain; devices as their maker numbers them,
 * with the object identifier of who assigned the number behind a slash ("ABCDEF123456/1.2.3.4": draft-ietf-acme-device-attest); user principal names,
 * by which Windows and what talks to it know users and computers, as e-mail.
 */
#ifndef SIGNET_PKI_IDENTIFIER_H
#define SIGNET_PKI_IDENTIFIER_H

#include "base/request.h"
#include "pki/der.h"

/* The numbers of NameType. */
enum identifier_type {
    IDENTIFIER_DNS = 1,
    IDENTIFIER_IP = 2,
    IDENTIFIER_EMAIL = 3,
    IDENTIFIER_URI = 4,
    IDENTIFIER_PERMANENT = 5,
    IDENTIFIER_HARDWARE_MODULE = 6,
    IDENTIFIER_UPN = 7
};

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

/* Whole labels are compared (RFC 9444 §7.1); both are canonical, and a name is not below itself. */
bool dns_name_is_below(const char *name, const char *domain);

/* "dns", "ip", "email", "uri", "permanent-identifier", "hardware-module", "upn" */
const char *identifier_type_name(enum identifier_type type);
/* To others, by a challenge: not e-mail, URIs and user principal names. */
bool identifier_is_provable(enum identifier_type type);
bool identifier_type_find(const char *name, enum identifier_type *ret_type);

/* ---- identifier_other.c ---- */

bool identifier_is_device(enum identifier_type type);
/* NULL, or what is wrong with the text. */
const char *identifier_read_device(struct arena *arena, enum identifier_type type, const char *text);
/* The content of an otherName: a device, or a user principal name; false when it is of another kind, or has no canonical text. */
bool identifier_decode_other(struct arena *arena, struct bytes other_name, struct identifier *ret_identifier);
void identifier_encode_other(struct buffer *out, const struct identifier *identifier);
/* The devices that somebody else's certificate names, whatever else stands in its subjectAltName. False when that is malformed. */
bool identifiers_find_devices(struct arena *arena, struct bytes general_names, struct identifier **ret_identifiers, size_t *ret_count) MUST_CHECK;

#endif
