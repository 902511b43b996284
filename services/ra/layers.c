/*
 * The four layers, all of which must pass: identity, names, resource, template. One pure function over a policy snapshot and an
 * application; enroll.c acts on the verdicts, explain.c shows them.
 */
#include "ra.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "pki/name.h"

#define SECONDS_A_DAY 86400

static const struct {
    const char *name, *code;
} layers[LAYER_COUNT] = {
    [LAYER_IDENTITY] = {"identity", "AUTH-001"},
    [LAYER_NAMES] = {"names", "AUTH-002"},
    [LAYER_RESOURCE] = {"resource", "AUTH-003"},
    [LAYER_TEMPLATE] = {"template", "AUTH-004"},
};

const char *
layer_name(enum layer layer)
{
    assert(layer < LAYER_COUNT);
    return layers[layer].name;
}

const char *
layer_code(enum layer layer)
{
    assert(layer < LAYER_COUNT);
    return layers[layer].code;
}

static struct verdict
passed(const char *message)
{
    return (struct verdict){.passed = true, .message = message};
}

static struct verdict
refused(const char *message)
{
    return (struct verdict){.passed = false, .message = message};
}

/* ---- identity ------------------------------------------------------------------------------------------------------------------------ */

/* Identifiers of principals are told apart by case; only a pattern with '*' is matched as text. */
static bool
principal_matches(const char *pattern, const char *value)
{
    return strchr(pattern, '*') == NULL ? text_equal(pattern, value) : text_matches(pattern, value);
}

static bool
member_is(const struct role_member *member, const char *kind, const char *id)
{
    return principal_matches(member->kind, kind) && principal_matches(member->id, id);
}

/* Of whoever asks, or of whom he acts for. */
static bool
role_applies(const struct role *role, const struct application *application)
{
    bool member = false, template = false;

    for (size_t i = 0; !member && i < role->member_count; i++)
        member = member_is(&role->members[i], application->principal_kind, application->principal_id) ||
                 (application->sponsor_kind != NULL && member_is(&role->members[i], application->sponsor_kind, application->sponsor_id));
    for (size_t i = 0; member && !template && i < role->template_count; i++)
        template = text_matches(role->templates[i], application->template->name);
    return template;
}

static struct verdict
judge_identity(struct arena *arena, const struct role *const *roles, size_t role_count, const struct application *application)
{
    if (role_count == 0)
        return refused(arena_format(arena, "User not authorized for certificate template: %s", application->template->name));
    return passed(arena_format(arena, "role %s allows template %s", roles[0]->name, application->template->name));
}

/* ---- names ---------------------------------------------------------------------------------------------------------------------------- */

/* A certificate for *.example serves root.example too, so what forbids root.example forbids it. */
static bool
wildcard_serves(const char *name, const char *pattern)
{
    const char *first_dot = strchr(pattern, '.');

    return text_starts_with(name, "*.") && first_dot != NULL && text_equal_nocase(first_dot, name + 1);
}

static bool
name_is_allowed(const struct role *const *roles, size_t role_count, const char *name)
{
    bool allowed = false;

    for (size_t r = 0; r < role_count; r++) {
        for (size_t i = 0; i < roles[r]->name_count; i++) {
            const struct role_name *rule = &roles[r]->names[i];
            if (!rule->allow && (text_matches(rule->pattern, name) || wildcard_serves(name, rule->pattern)))
                return false;
            allowed |= rule->allow && text_matches(rule->pattern, name);
        }
    }
    return allowed;
}

static struct verdict
judge_names(struct arena *arena, const struct role *const *roles, size_t role_count, const struct application *application)
{
    for (size_t i = 0; i < application->asked_count; i++) {
        if (!name_is_allowed(roles, role_count, application->asked[i].value))
            return refused(arena_format(arena, "Domain not authorized for user role: %s", application->asked[i].value));
    }
    return passed("all names are allowed");
}

/* ---- resource -------------------------------------------------------------------------------------------------------------------------- */

/* "id" or "kind:id" */
static bool
owner_is(const char *owner, const char *kind, const char *id)
{
    size_t kind_len = strlen(kind);

    if (text_equal(owner, id))
        return true;
    return strncmp(owner, kind, kind_len) == 0 && owner[kind_len] == ':' && text_equal(owner + kind_len + 1, id);
}

static bool
owns_asset(const struct policy *policy, const char *asset, const struct application *application)
{
    size_t low = 0, high = policy->owner_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(policy->owners[middle].asset, asset) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < policy->owner_count && text_equal(policy->owners[low].asset, asset); low++) {
        const char *owner = policy->owners[low].owner;
        if (owner_is(owner, application->principal_kind, application->principal_id))
            return true;
        if (application->sponsor_kind != NULL && owner_is(owner, application->sponsor_kind, application->sponsor_id))
            return true;
    }
    return false;
}

static struct verdict
judge_resource(struct arena *arena, const struct policy *policy, const struct role *const *roles, size_t role_count,
               const struct application *application)
{
    const char *asset = application->request->asset;
    bool required = role_count > 0;

    if (!text_is_empty(asset)) {
        if (owns_asset(policy, asset, application))
            return passed(arena_format(arena, "the principal owns %s", asset));
        return refused(arena_format(arena, "Asset ownership verification failed: You do not have ownership of %s", asset));
    }
    for (size_t r = 0; required && r < role_count; r++)
        required = roles[r]->asset_required;
    if (required)
        return refused("Asset ownership verification failed: the request names no asset");
    return passed("no asset is named");
}

/* ---- template -------------------------------------------------------------------------------------------------------------------------- */

static bool
key_is_allowed(const Pb__Template *template, const struct public_key *key)
{
    static const char *const names[] = {
        [KEY_UNKNOWN] = "", [KEY_RSA] = "rsa", [KEY_P256] = "p256", [KEY_P384] = "p384", [KEY_P521] = "p521", [KEY_ED25519] = "ed25519",
    };

    if (key->type == KEY_RSA && key->bits < (int)template->min_rsa_bits)
        return false;
    for (size_t i = 0; i < template->n_key_types; i++) {
        if (key->type != KEY_UNKNOWN && text_equal(template->key_types[i], names[key->type]))
            return true;
    }
    return false;
}

/* "rsa of 4096 bits or more, p256" */
static const char *
allowed_keys(struct arena *arena, const Pb__Template *template)
{
    struct buffer list = buffer_in(arena);

    for (size_t i = 0; i < template->n_key_types; i++) {
        buffer_append_format(&list, "%s%s", i > 0 ? ", " : "", template->key_types[i]);
        if (text_equal(template->key_types[i], "rsa"))
            buffer_append_format(&list, " of %u bits or more", template->min_rsa_bits);
    }
    return buffer_text(&list);
}

static bool
name_type_is_allowed(const Pb__Template *template, enum identifier_type type)
{
    for (size_t i = 0; i < template->n_name_types; i++) {
        if ((int)template->name_types[i] == (int)type)
            return true;
    }
    return false;
}

/* NULL, or what is wrong with the names' forms. */
static const char *
trouble_with_name_forms(struct arena *arena, const struct application *application)
{
    const Pb__Template *template = application->template;

    if (template->n_name_types == 0 && application->san_count > 0)
        return "allows no subject alternative names";
    for (size_t i = 0; i < application->name_count; i++) {
        enum identifier_type type = application->names[i].type;
        if (!name_type_is_allowed(template, type))
            return arena_format(arena, "allows no names of the form %s: %s", identifier_type_name(type), application->names[i].value);
    }
    if (template->san_required && application->name_count == 0)
        return "needs a subject alternative name";
    if (template->max_names > 0 && application->name_count > template->max_names)
        return arena_format(arena, "allows %u names, %zu are asked", template->max_names, application->name_count);
    if (application->name_count == 0 && name_is_empty(application->subject))
        return "needs a subject or a subject alternative name";
    return NULL;
}

static const char *
trouble_with_validity(const struct application *application)
{
    const Pb__Template *template = application->template;
    int64_t span_s = application->not_after_s - application->not_before_s + 1; /* both ends count (RFC 5280 §4.1.2.5) */

    if (application->not_before_s < application->now_s - (int64_t) template->backdate_s - VALIDITY_LEEWAY_S)
        return "allows no validity that begins in the past";
    if (span_s <= 1 || application->not_after_s <= application->now_s)
        return "allows no validity that has ended before it begins";
    if (span_s > (int64_t) template->validity_days * SECONDS_A_DAY)
        return "allows no validity of that length";
    if (serial_month_of(application->not_after_s) >= MONTHS_MAX)
        return "allows no validity beyond the year 2099";
    if (application->not_before_s < application->issuer->not_before_s || application->not_after_s > application->issuer->not_after_s)
        return "allows no validity beyond that of the issuing CA";
    return NULL;
}

static const char *
trouble_with_template(struct arena *arena, const struct application *application)
{
    const Pb__Template *template = application->template;
    const char *trouble;

    if (!template->enabled)
        return "is disabled";
    if (template->is_ca)
        return "is for CA certificates, which signetctl ca create makes";
    if (!text_is_empty(template->issuer) && !text_equal(template->issuer, application->issuer->ca->name))
        return arena_format(arena, "is issued by %s only", template->issuer);
    if (text_is_empty(template->issuer) && application->issuer->is_above_others)
        return arena_format(arena, "is not issued by %s, a root with CAs below it, unless it names that CA", application->issuer->ca->name);
    trouble = trouble_with_name_forms(arena, application);
    return trouble != NULL ? trouble : trouble_with_validity(application);
}

/* To clients whose protocols know it, another matter than what they may have: they only need another key. */
static struct verdict
refused_key(struct arena *arena, const struct application *application)
{
    const Pb__Template *template = application->template;
    struct verdict verdict = refused(arena_format(arena, "Certificate template %s does not allow the key %s; it allows %s", template->name,
                                                  public_key_name(arena, &application->csr.key), allowed_keys(arena, template)));

    verdict.reason = "keyNotAllowed";
    return verdict;
}

static struct verdict
judge_template(struct arena *arena, const struct application *application)
{
    const char *trouble = trouble_with_template(arena, application);

    if (trouble != NULL)
        return refused(arena_format(arena, "Certificate template %s %s", application->template->name, trouble));
    if (!key_is_allowed(application->template, &application->csr.key))
        return refused_key(arena, application);
    if (application->template->requires_approval)
        return passed("Certificate template requires manual approval");
    return passed("the template allows it");
}

void
layers_judge(struct arena *arena, const struct policy *policy, const struct application *application, struct verdict ret_verdicts[LAYER_COUNT])
{
    const struct role **roles = arena_array(arena, policy->role_count, sizeof(const struct role *));
    size_t role_count = 0;

    for (size_t i = 0; i < policy->role_count; i++) {
        if (role_applies(&policy->roles[i], application))
            roles[role_count++] = &policy->roles[i];
    }
    ret_verdicts[LAYER_IDENTITY] = judge_identity(arena, roles, role_count, application);
    ret_verdicts[LAYER_NAMES] = judge_names(arena, roles, role_count, application);
    ret_verdicts[LAYER_RESOURCE] = judge_resource(arena, policy, roles, role_count, application);
    ret_verdicts[LAYER_TEMPLATE] = judge_template(arena, application);
}
