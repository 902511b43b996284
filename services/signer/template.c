/* Templates: what a good one is, and a cache of versions. A version never changes, so what is cached stays true. */
#include "signer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pki/oid.h"

#define VALIDITY_DAYS_MOST 36500
#define BACKDATE_MOST_S (7 * 86400)
#define CACHED_MOST 1024
#define KEY_USAGE_BITS 9

struct cached_template {
    struct cached_template *next;
    struct arena *arena;
    struct template template;
};

struct template_cache {
    pthread_mutex_t mutex;
    struct cached_template *first;
    size_t count;
};

struct template_cache *
template_cache_new(void)
{
    struct template_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

void
template_cache_free(struct template_cache *cache)
{
    for (struct cached_template *at = cache->first, *next; at != NULL; at = next) {
        next = at->next;
        arena_free(at->arena); /* at itself lies in it */
    }
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

static const struct template *
find_cached(struct template_cache *cache, const char *name, uint32_t version)
{
    struct cached_template *at = cache->first;

    while (at != NULL && (at->template.about->version != version || !text_equal(at->template.about->name, name)))
        at = at->next;
    return at == NULL ? NULL : &at->template;
}

/* ---- what a good template is ---- */

const char *
template_key_name(enum key_type type)
{
    static const char *const names[] = {
        [KEY_UNKNOWN] = "", [KEY_RSA] = "rsa", [KEY_P256] = "p256", [KEY_P384] = "p384", [KEY_P521] = "p521", [KEY_ED25519] = "ed25519"};

    return names[type];
}

static enum error
refuse(struct request *rq, const Pb__Template *about, const char *why)
{
    return fail(rq, ERR_BAD_REQUEST, "the template \"%.64s\" is not usable: %s", about->name, why);
}

static bool
has_repeats(const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++)
            if (text_equal(texts[i], texts[k]))
                return true;
    return false;
}

static bool
is_key_name(const char *name)
{
    for (enum key_type type = KEY_RSA; type <= KEY_ED25519; type++)
        if (text_equal(template_key_name(type), name))
            return true;
    return false;
}

static enum error
check_identity(struct request *rq, const Pb__Template *about)
{
    size_t len = strlen(about->name);

    if (len == 0 || len > 64 || !text_is_printable_ascii(bytes_of_text(about->name)) || about->name[0] == ' ' || about->name[len - 1] == ' ')
        return refuse(rq, about, "its name must have 1 to 64 printable characters");
    if (strlen(about->description) > 400)
        return refuse(rq, about, "its description is longer than 400 octets");
    if (about->validity_days == 0 || about->validity_days > VALIDITY_DAYS_MOST)
        return refuse(rq, about, "validity_days must be between 1 and 36500");
    if (about->backdate_s > BACKDATE_MOST_S)
        return refuse(rq, about, "backdate_s must not be more than seven days");
    if (strlen(about->issuer) > 40 || strspn(about->issuer, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(about->issuer))
        return refuse(rq, about, "issuer must be the name of a CA, or empty");
    return OK;
}

static enum error
check_keys(struct request *rq, const Pb__Template *about)
{
    bool allows_rsa = false;

    if (about->n_key_types == 0 || has_repeats(about->key_types, about->n_key_types))
        return refuse(rq, about, "key_types must name each allowed type once");
    for (size_t i = 0; i < about->n_key_types; i++) {
        if (!is_key_name(about->key_types[i]))
            return refuse(rq, about, "key_types knows rsa, p256, p384, p521 and ed25519");
        allows_rsa |= text_equal(about->key_types[i], "rsa");
    }
    if (allows_rsa && (about->min_rsa_bits < KEY_RSA_BITS_MIN || about->min_rsa_bits > KEY_RSA_BITS_MAX))
        return refuse(rq, about, "min_rsa_bits must be between 2048 and 8192");
    return OK;
}

static enum error
check_names(struct request *rq, const Pb__Template *about)
{
    unsigned seen = 0;

    for (size_t i = 0; i < about->n_name_types; i++) {
        Pb__NameType type = about->name_types[i];
        if (type < PB__NAME_TYPE__NAME_TYPE_DNS || type > PB__NAME_TYPE__NAME_TYPE_UPN || seen & 1u << type)
            return refuse(rq, about, "name_types must name each of dns, ip, email, uri, permanent_identifier, hardware_module and upn at most once");
        seen |= 1u << type;
    }
    if (about->san_required && about->n_name_types == 0)
        return refuse(rq, about, "san_required needs name_types");
    if (about->max_names > IDENTIFIERS_MAX)
        return refuse(rq, about, "max_names must not be more than 100");
    if (!text_equal(about->subject, "csr") && !text_equal(about->subject, "common-name") && !text_equal(about->subject, "none"))
        return refuse(rq, about, "subject must be csr, common-name or none");
    if (!text_equal(about->subject, "csr") && !about->san_required)
        return refuse(rq, about, "without a subject of the CSR, san_required must be set");
    return OK;
}

static unsigned
bit(const char *name)
{
    return 1u << key_usage_bit(name);
}

static enum error
read_key_usage(struct request *rq, const Pb__Template *about, unsigned *ret_bits)
{
    unsigned bits = 0;

    if (has_repeats(about->key_usage, about->n_key_usage))
        return refuse(rq, about, "key_usage names a usage twice");
    for (size_t i = 0; i < about->n_key_usage; i++) {
        int known = key_usage_bit(about->key_usage[i]);
        if (known < 0 || known >= KEY_USAGE_BITS)
            return refuse(rq, about, "key_usage has a name that RFC 5280 does not know");
        bits |= 1u << known;
    }
    if (bits == 0)
        return refuse(rq, about, "key_usage must not be empty");
    if (about->is_ca != ((bits & bit("keyCertSign")) != 0))
        return refuse(rq, about, "keyCertSign belongs to is_ca, and to nothing else");
    if (!about->is_ca && bits & bit("cRLSign"))
        return refuse(rq, about, "cRLSign belongs to CAs");
    if (about->path_length < -1 || (!about->is_ca && about->path_length > 0))
        return refuse(rq, about, "path_length is -1 or more, and for CAs only");
    *ret_bits = bits;
    return OK;
}

/* RFC 5280 §4.2.1.12: which usages go with which purposes. */
static enum error
check_purpose(struct request *rq, const Pb__Template *about, struct bytes purpose, unsigned usage)
{
    static const uint8_t any_purpose[] = {0x55, 0x1d, 0x25, 0x00};
    unsigned signing = bit("digitalSignature") | bit("nonRepudiation"), agreeing = bit("keyEncipherment") | bit("keyAgreement");

    if (bytes_equal(purpose, BYTES(any_purpose, sizeof any_purpose)))
        return refuse(rq, about, "anyExtendedKeyUsage is not issued");
    if (oid_is(purpose, OID_OCSP_SIGNING))
        return refuse(rq, about, "OCSPSigning is for the responders that the signer itself makes");
    if (oid_is(purpose, OID_SERVER_AUTH) && (usage & (bit("digitalSignature") | agreeing)) == 0)
        return refuse(rq, about, "serverAuth needs digitalSignature, keyEncipherment or keyAgreement");
    if (oid_is(purpose, OID_CLIENT_AUTH) && (usage & (bit("digitalSignature") | bit("keyAgreement"))) == 0)
        return refuse(rq, about, "clientAuth needs digitalSignature or keyAgreement");
    if (oid_is(purpose, OID_CODE_SIGNING) && (usage & bit("digitalSignature")) == 0)
        return refuse(rq, about, "codeSigning needs digitalSignature");
    if (oid_is(purpose, OID_EMAIL_PROTECTION) && (usage & (signing | agreeing)) == 0)
        return refuse(rq, about, "emailProtection needs a signing or enciphering usage");
    if (oid_is(purpose, OID_TIME_STAMPING) && ((usage & signing) == 0 || about->n_extended_key_usage != 1))
        return refuse(rq, about, "timeStamping stands alone, with digitalSignature or nonRepudiation");
    return OK;
}

static enum error
read_extended_key_usage(struct request *rq, struct arena *arena, const Pb__Template *about, struct template *template)
{
    if (about->n_extended_key_usage > EXTENDED_KEY_USAGES_MAX || has_repeats(about->extended_key_usage, about->n_extended_key_usage))
        return refuse(rq, about, "extended_key_usage names a purpose twice, or more than 16");
    for (size_t i = 0; i < about->n_extended_key_usage; i++) {
        if (!oid_parse(arena, about->extended_key_usage[i], &template->extended_key_usage[i]))
            return refuse(rq, about, "extended_key_usage has an entry that is neither a known name nor a dotted OID");
        enum error error = check_purpose(rq, about, template->extended_key_usage[i], template->key_usage);
        if (error != OK)
            return error;
    }
    template->extended_key_usage_count = about->n_extended_key_usage;
    return OK;
}

enum error
template_check(struct request *rq, struct arena *arena, const Pb__Template *about, struct template *ret_template)
{
    struct template template = {.about = about};

    enum error error = check_identity(rq, about);
    if (error == OK)
        error = check_keys(rq, about);
    if (error == OK)
        error = check_names(rq, about);
    if (error == OK)
        error = read_key_usage(rq, about, &template.key_usage);
    if (error == OK)
        error = read_extended_key_usage(rq, arena, about, &template);
    if (error != OK)
        return error;
    *ret_template = template;
    return OK;
}

/* ---- the cache ---- */

/* Into a request of its own, whose arena the cache keeps. */
static enum error
read_anew(struct signer *signer, struct request *own, const char *name, uint32_t version, struct cached_template **ret_cached)
{
    struct cached_template *cached = arena_alloc(own->arena, sizeof *cached);
    Pb__Template **found;
    size_t count;

    enum error error = store_list_templates(signer->db, own, name, version, &found, &count);
    if (error != OK)
        return error;
    if (count == 0)
        return fail(own, ERR_NOT_FOUND, "there is no template \"%s\" version %u", name, version);
    error = template_check(own, own->arena, found[0], &cached->template);
    if (error != OK)
        return error;
    *ret_cached = cached;
    return OK;
}

/* False when the cache is full, or somebody was faster. */
static bool
put(struct template_cache *cache, struct cached_template *cached)
{
    if (cache->count >= CACHED_MOST || find_cached(cache, cached->template.about->name, cached->template.about->version) != NULL)
        return false;
    cached->next = cache->first;
    cache->first = cached;
    cache->count++;
    return true;
}

static void
drop_arena(void *arena)
{
    arena_free(arena);
}

enum error
template_load(struct signer *signer, struct request *rq, const char *name, uint32_t version, const struct template **ret_template)
{
    struct template_cache *cache = signer->templates;
    struct cached_template *cached = NULL;

    if (text_is_empty(name) || version == 0)
        return fail(rq, ERR_BAD_REQUEST, "the request names no version of a template");
    {
        AUTO_LOCK(&cache->mutex);
        const struct template *known = find_cached(cache, name, version);
        if (known != NULL) {
            *ret_template = known;
            return OK;
        }
    }
    AUTO_STRUCT(request, own) = request_new();
    own->deadline_ms = rq->deadline_ms;
    enum error error = read_anew(signer, own, name, version, &cached);
    rq->sql_round_trips += own->sql_round_trips;
    if (error != OK) {
        rq->failure = own->failure;
        return error;
    }
    AUTO_LOCK(&cache->mutex);
    cached->arena = TAKE(own->arena);
    if (!put(cache, cached))
        arena_defer(rq->arena, drop_arena, cached->arena);
    *ret_template = &cached->template;
    return OK;
}
