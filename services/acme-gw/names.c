/* Identifiers in their three spellings: of clients (JSON), of columns ("dns:host.example"), of the PKI layer; and patterns of them. */
#include "acme.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 255

static enum error
type_from_json(struct request *rq, const json_t *json, enum identifier_type *ret_type)
{
    const char *type = json_text(json, "type");

    if (type == NULL)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "an identifier must have a \"type\" and a \"value\"");
    if (!identifier_type_find(type, ret_type) || !identifier_is_provable(*ret_type))
        return refuse(rq, ERR_BAD_NAME, "unsupportedIdentifier",
                      "identifiers of type \"%.30s\" are not served; \"dns\", \"ip\", and under some policies \"permanent-identifier\" and "
                      "\"hardware-module\" are",
                      type);
    return OK;
}

enum error
name_from_json(struct request *rq, const json_t *json, struct identifier *ret_name)
{
    const char *value = json_text(json, "value");
    enum identifier_type type = IDENTIFIER_DNS;

    enum error error = type_from_json(rq, json, &type);
    if (error)
        return error;
    if (value == NULL || strlen(value) > VALUE_MAX)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "an identifier must have a \"value\" of at most %d characters", VALUE_MAX);
    error = identifier_parse(rq, type, value, ret_name);
    /* draft-ietf-acme-device-attest §3.1, §4.1 */
    return error ? fail_reason(rq, identifier_is_device(type) ? "malformed" : "rejectedIdentifier") : OK;
}

json_t *
name_to_json(const struct identifier *name)
{
    return json_pack("{s:s, s:s}", "type", identifier_type_name(name->type), "value", name->value);
}

const char *
name_to_column(struct arena *arena, const struct identifier *name)
{
    return arena_format(arena, "%s:%s", identifier_type_name(name->type), name->value);
}

struct identifier
name_from_column(struct arena *arena, const char *column)
{
    const char *colon = strchr(column, ':');
    assert(colon != NULL);
    enum identifier_type type = IDENTIFIER_DNS;
    bool known = identifier_type_find(arena_text_n(arena, column, (size_t)(colon - column)), &type);
    assert(known);
    return (struct identifier){.type = type, .value = arena_text(arena, colon + 1)};
}

struct identifier
name_all_below(struct arena *arena, const struct identifier *name)
{
    return (struct identifier){.type = name->type, .value = arena_format(arena, "*.%s", name->value)};
}

static int
compare(const void *a, const void *b)
{
    const struct identifier *one = a, *other = b;

    if (one->type != other->type)
        return one->type < other->type ? -1 : 1;
    return strcmp(one->value, other->value);
}

void
names_sort(struct identifier *names, size_t *count)
{
    size_t kept = 0;

    if (*count == 0)
        return;
    qsort(names, *count, sizeof *names, compare);
    for (size_t i = 1; i < *count; i++)
        if (compare(&names[kept], &names[i]) != 0)
            names[++kept] = names[i];
    *count = kept + 1;
}

bool
names_equal_but_devices(const struct order *order, const struct identifier *asked, size_t count)
{
    size_t matched = 0;

    for (size_t i = 0; i < order->name_count; i++) {
        if (identifier_is_device(order->names[i].type))
            continue;
        if (matched == count || !identifier_equal(&order->names[i], &asked[matched]))
            return false;
        matched++;
    }
    return matched == count;
}

/* ---- patterns, as policies and credentials have them ---- */

/* "permanent-identifier:" → what is behind it, and the type; NULL when it is no such pattern. */
static const char *
device_pattern(const char *pattern, enum identifier_type *ret_type)
{
    for (enum identifier_type type = IDENTIFIER_PERMANENT; type <= IDENTIFIER_HARDWARE_MODULE; type++) {
        const char *name = identifier_type_name(type);
        if (!text_starts_with(pattern, name) || pattern[strlen(name)] != ':')
            continue;
        *ret_type = type;
        return pattern + strlen(name) + 1;
    }
    return NULL;
}

bool
name_pattern_is_device(const char *pattern)
{
    enum identifier_type type;

    return device_pattern(pattern, &type) != NULL;
}

/* "permanent-identifier:C02*": each that begins so. */
static bool
device_matches(const char *pattern, const struct identifier *name)
{
    enum identifier_type type = IDENTIFIER_DNS;
    const char *value = device_pattern(pattern, &type);

    if (value == NULL || type != name->type)
        return false;
    size_t len = strlen(value);
    return len > 0 && value[len - 1] == '*' ? strncmp(value, name->value, len - 1) == 0 : text_equal(value, name->value);
}

/* "*.example" stands for every name below, however deep, and for wildcards among them; never for "example" itself. */
static bool
pattern_covers(const char *pattern, const char *name)
{
    return text_starts_with(pattern, "*.") ? text_ends_with(name, pattern + 1) : text_equal(pattern, name);
}

bool
name_matches(const char *const *patterns, size_t count, const struct identifier *name)
{
    struct network network;

    for (size_t i = 0; i < count; i++) {
        bool is_network = network_parse(patterns[i], &network);
        if (name->type == IDENTIFIER_DNS && !is_network && pattern_covers(patterns[i], name->value))
            return true;
        if (name->type == IDENTIFIER_IP && is_network && networks_cover_text(&network, 1, name->value))
            return true;
        if (identifier_is_device(name->type) && device_matches(patterns[i], name))
            return true;
    }
    return false;
}

enum error
name_patterns_check(struct request *rq, const char *what, const char **patterns, size_t count)
{
    struct network network;
    struct identifier name;

    if (count > POLICY_LIST_MAX)
        return fail(rq, ERR_TOO_LARGE, "%s: at most %d can be given", what, POLICY_LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        if (network_parse(patterns[i], &network))
            continue;
        if (name_pattern_is_device(patterns[i])) {
            if (strlen(patterns[i]) > VALUE_MAX)
                return fail(rq, ERR_TOO_LARGE, "%s: \"%.60s…\" is longer than %d octets", what, patterns[i], VALUE_MAX);
            continue;
        }
        const char *why = identifier_read(rq->arena, IDENTIFIER_DNS, patterns[i], &name);
        if (why != NULL)
            return fail(rq, ERR_BAD_REQUEST, "%s: \"%.60s\" %s", what, patterns[i], why);
        patterns[i] = name.value;
    }
    return OK;
}

const char **
names_to_columns(struct arena *arena, const struct identifier *names, size_t count)
{
    const char **columns = arena_array(arena, count + 1, sizeof *columns);

    for (size_t i = 0; i < count; i++)
        columns[i] = name_to_column(arena, &names[i]);
    return columns;
}
