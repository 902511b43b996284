/*
 * What may stand in subjectAltName, and its one canonical spelling. ACME orders, policies, CSRs and certificates are compared by these texts,
 * so everything that names the same thing must end in the same text here, and nothing else may.
 */
#include "pki/identifier.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"
#include "pki/punycode.h"

#define DNS_NAME_MAX 253
#define DNS_LABEL_MAX 63
#define EMAIL_MAX 254
#define EMAIL_LOCAL_MAX 64
#define URI_MAX 2048

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static const char *
check_characters(const char *text, size_t most)
{
    size_t len = strlen(text);

    if (len == 0)
        return "is empty";
    if (len > most)
        return "is too long";
    if (!text_is_printable_ascii(BYTES(text, len)))
        return "has characters that are not printable ASCII (international host names are written as xn-- labels)";
    return strchr(text, ' ') != NULL ? "has a blank" : NULL;
}

static bool
is_address(const char *text)
{
    struct in6_addr room;

    return inet_pton(AF_INET, text, &room) == 1 || inet_pton(AF_INET6, text, &room) == 1;
}

/* RFC 1035 §2.3.1 and RFC 1123 §2.1: letters, digits, hyphens inside. RFC 5890 §2.3.1: "--" in third place is for A-labels only. */
static const char *
check_label(const char *label, size_t len)
{
    if (len == 0)
        return "has an empty label";
    if (len > DNS_LABEL_MAX)
        return "has a label of more than 63 characters";
    if (label[0] == '-' || label[len - 1] == '-')
        return "has a label that begins or ends with a hyphen";
    for (size_t i = 0; i < len; i++)
        if (!is_letter(label[i]) && !is_digit(label[i]) && label[i] != '-')
            return label[i] == '*' ? "has a wildcard that is not the whole first label of a longer name"
                                   : "has a character that host names do not have";
    if (len >= 4 && label[2] == '-' && label[3] == '-') {
        if (strncmp(label, "xn", 2) != 0)
            return "has a label with hyphens in third and fourth place that is not an A-label";
        if (!punycode_is_valid(label + 4, len - 4))
            return "has an A-label (xn--) that does not decode";
    }
    return NULL;
}

static bool
is_all_digits(const char *label, size_t len)
{
    size_t i = 0;

    while (i < len && is_digit(label[i]))
        i++;
    return i == len;
}

/* `name` is lower case and without final dot. */
static const char *
check_host(const char *name)
{
    const char *wrong = check_characters(name, DNS_NAME_MAX);

    if (wrong != NULL)
        return wrong;
    if (is_address(name))
        return "is an IP address, not a host name";
    for (const char *label = name;;) {
        size_t len = strcspn(label, ".");
        wrong = check_label(label, len);
        if (wrong != NULL)
            return wrong;
        if (label[len] == '\0')
            return is_all_digits(label, len) ? "ends in a label of digits only" : NULL;
        label += len + 1;
    }
}

static char *
lower_without_final_dot(struct arena *arena, const char *text)
{
    char *name = text_lower(arena, text);
    size_t len = strlen(name);

    if (len > 1 && name[len - 1] == '.')
        name[len - 1] = '\0';
    return name;
}

static const char *
read_dns(struct arena *arena, const char *text, const char **ret_value)
{
    const char *wrong = check_characters(text, DNS_NAME_MAX + 1);
    if (wrong != NULL)
        return wrong;
    char *name = lower_without_final_dot(arena, text);

    /* RFC 6125 §6.4.3: a wildcard is the whole left-most label. */
    wrong = check_host(text_starts_with(name, "*.") ? name + 2 : name);
    if (wrong == NULL && strlen(name) > DNS_NAME_MAX)
        wrong = "is too long";
    if (wrong == NULL)
        *ret_value = name;
    return wrong;
}

static const char *
read_ip(struct arena *arena, const char *text, const char **ret_value)
{
    char canonical[INET6_ADDRSTRLEN];
    struct in6_addr address;
    int family = strchr(text, ':') == NULL ? AF_INET : AF_INET6;

    if (inet_pton(family, text, &address) != 1)
        return "is not an IPv4 or IPv6 address";
    /* RFC 4291 §2.5.5.2: the host is that of the IPv4 address, and has one name. RFC 8738 §3 would have 16 octets of it in the certificate, where no
     * client looks; public CAs refuse it as a reserved block. */
    if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address))
        return arena_format(arena, "stands for an IPv4 address: write %s", inet_ntop(AF_INET, &address.s6_addr[12], canonical, sizeof canonical));
    *ret_value = arena_text(arena, inet_ntop(family, &address, canonical, sizeof canonical));
    return NULL;
}

/* RFC 5280 §4.2.1.6 with RFC 5321 §4.1.2: local@domain, the local part a dot-atom. Its case counts, that of the domain does not. */
static const char *
read_email(struct arena *arena, const char *text, const char **ret_value)
{
    const char *wrong = check_characters(text, EMAIL_MAX);
    if (wrong != NULL)
        return wrong;
    const char *at = strrchr(text, '@');
    if (at == NULL || at == text || at - text > EMAIL_LOCAL_MAX)
        return "is not of the form local@domain";
    char *local = arena_text_n(arena, text, (size_t)(at - text));

    for (const char *c = local; *c != '\0'; c++)
        if (!is_letter(*c) && !is_digit(*c) && strchr(".!#$%&'*+-/=?^_`{|}~", *c) == NULL)
            return "has a character that e-mail addresses do not have in front of the @";
    if (local[0] == '.' || local[strlen(local) - 1] == '.' || strstr(local, "..") != NULL)
        return "has a misplaced dot in front of the @";
    char *domain = lower_without_final_dot(arena, at + 1);
    wrong = check_host(domain);
    if (wrong == NULL)
        *ret_value = arena_format(arena, "%s@%s", local, domain);
    return wrong;
}

static const char *
check_uri_characters(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '%') {
            if (strspn(c + 1, "0123456789abcdefABCDEF") < 2)
                return "has a % without two hexadecimal digits";
        } else if (!is_letter(*c) && !is_digit(*c) && strchr("-._~:/?#[]@!$&'()*+,;=", *c) == NULL) {
            return "has a character that URIs do not have";
        }
    }
    return NULL;
}

/* "host", "host:port", "[v6]:port" → canonical; the port stays as it is. */
static const char *
read_authority(struct arena *arena, const char *authority, char **ret_canonical)
{
    struct identifier host;
    bool is_v6 = authority[0] == '[';
    const char *host_start = authority + is_v6;
    size_t host_len = strcspn(host_start, is_v6 ? "]" : ":");
    const char *after = host_start + host_len;
    if (is_v6 && *after++ != ']')
        return "has an IPv6 address without closing bracket";
    const char *text = arena_text_n(arena, host_start, host_len);
    if (is_v6 && strchr(text, ':') == NULL)
        return "has something else than an IPv6 address in brackets";

    if (*after != '\0' && (*after != ':' || !is_all_digits(after + 1, strlen(after + 1))))
        return "has a malformed port";
    if (text[0] == '*')
        return "has a wildcard as its host";
    const char *wrong = identifier_read(arena, is_v6 || is_address(text) ? IDENTIFIER_IP : IDENTIFIER_DNS, text, &host);
    if (wrong == NULL)
        *ret_canonical = is_v6 ? arena_format(arena, "[%s]%s", host.value, after) : arena_format(arena, "%s%s", host.value, after);
    return wrong;
}

/* RFC 5280 §4.2.1.6: absolute; a host, where there is one, is a full name or an address. Scheme and host are compared without case; but a scheme of
 * somebody's own stays as he writes it, because who looks for "IntuneDeviceId://" in a certificate looks for just that. */
static const char *
read_uri(struct arena *arena, const char *text, const char **ret_value)
{
    const char *wrong = check_characters(text, URI_MAX);
    if (wrong == NULL)
        wrong = check_uri_characters(text);
    if (wrong != NULL)
        return wrong;
    size_t scheme_len = strcspn(text, ":/?#");
    if (text[scheme_len] != ':' || text[scheme_len + 1] == '\0' || !is_letter(text[0]))
        return "is not an absolute URI";
    char *written = arena_text_n(arena, text, scheme_len), *scheme = text_lower(arena, written);
    if (strspn(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != scheme_len)
        return "has a malformed scheme";
    if (!text_equal(scheme, "http") && !text_equal(scheme, "https"))
        scheme = written;
    const char *rest = text + scheme_len + 1;
    if (!text_starts_with(rest, "//")) {
        *ret_value = arena_format(arena, "%s:%s", scheme, rest);
        return NULL;
    }

    size_t authority_len = strcspn(rest + 2, "/?#");
    char *authority = arena_text_n(arena, rest + 2, authority_len);
    if (strchr(authority, '@') != NULL)
        return "has user information in it";
    wrong = read_authority(arena, authority, &authority);
    if (wrong == NULL)
        *ret_value = arena_format(arena, "%s://%s%s", scheme, authority, rest + 2 + authority_len);
    return wrong;
}

const char *
identifier_read(struct arena *arena, enum identifier_type type, const char *text, struct identifier *ret_identifier)
{
    const char *value, *wrong = "is of no known type";

    switch (type) {
    case IDENTIFIER_DNS:
        wrong = read_dns(arena, text, &value);
        break;
    case IDENTIFIER_IP:
        wrong = read_ip(arena, text, &value);
        break;
    case IDENTIFIER_EMAIL:
        wrong = read_email(arena, text, &value);
        break;
    case IDENTIFIER_URI:
        wrong = read_uri(arena, text, &value);
        break;
    case IDENTIFIER_PERMANENT:
    case IDENTIFIER_HARDWARE_MODULE:
        wrong = identifier_read_device(arena, type, text);
        value = arena_text(arena, text);
        break;
    case IDENTIFIER_UPN:
        wrong = read_email(arena, text, &value);
        break;
    }
    if (wrong == NULL)
        *ret_identifier = (struct identifier){type, value};
    return wrong;
}

enum error
identifier_parse(struct request *rq, enum identifier_type type, const char *text, struct identifier *ret_identifier)
{
    const char *wrong = identifier_read(rq->arena, type, text, ret_identifier);

    return wrong == NULL ? OK : fail(rq, ERR_BAD_NAME, "the %s name \"%.255s\" %s", identifier_type_name(type), text, wrong);
}

bool
identifier_equal(const struct identifier *a, const struct identifier *b)
{
    return a->type == b->type && text_equal(a->value, b->value);
}

static bool
contains_all(const struct identifier *a, size_t a_count, const struct identifier *b, size_t b_count)
{
    for (size_t i = 0; i < b_count; i++) {
        size_t j = 0;
        while (j < a_count && !identifier_equal(&a[j], &b[i]))
            j++;
        if (j == a_count)
            return false;
    }
    return true;
}

bool
identifiers_equal(const struct identifier *a, size_t a_count, const struct identifier *b, size_t b_count)
{
    return contains_all(a, a_count, b, b_count) && contains_all(b, b_count, a, a_count);
}

bool
dns_name_is_below(const char *name, const char *domain)
{
    size_t len = strlen(name), domain_len = strlen(domain);

    return len > domain_len + 1 && name[len - domain_len - 1] == '.' && text_equal(name + len - domain_len, domain);
}

static const char *const type_names[] = {
    [IDENTIFIER_DNS] = "dns",
    [IDENTIFIER_IP] = "ip",
    [IDENTIFIER_EMAIL] = "email",
    [IDENTIFIER_URI] = "uri",
    [IDENTIFIER_PERMANENT] = "permanent-identifier",
    [IDENTIFIER_HARDWARE_MODULE] = "hardware-module",
    [IDENTIFIER_UPN] = "upn",
};

const char *
identifier_type_name(enum identifier_type type)
{
    return type >= IDENTIFIER_DNS && type <= IDENTIFIER_UPN ? type_names[type] : "unknown";
}

bool
identifier_is_provable(enum identifier_type type)
{
    return type != IDENTIFIER_EMAIL && type != IDENTIFIER_URI && type != IDENTIFIER_UPN;
}

bool
identifier_type_find(const char *name, enum identifier_type *ret_type)
{
    for (enum identifier_type type = IDENTIFIER_DNS; type <= IDENTIFIER_UPN; type++) {
        if (!text_equal(name, type_names[type]))
            continue;
        *ret_type = type;
        return true;
    }
    return false;
}
