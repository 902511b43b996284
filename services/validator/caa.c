/*
 * CAA (RFC 8659): whether the owner of a domain lets this CA issue for it, with RFC 8657's binding to an account and to ways of validation.
 *
 * The records of the name itself count, else those of the nearest domain above that has any. Whatever could not be looked up fails closed: it might
 * have been the record that forbids.
 */
#include "validator.h"

#include <string.h>

/* Names asked for at once, from the leaf upward; nearly all names have no more labels. */
#define AT_ONCE 4
/* Names of one order that are looked at together: one after the other, a hundred would take longer than anybody waits. */
#define TOGETHER 16
#define FLAG_CRITICAL 0x80
#define FLAG_CRITICAL_BY_MISTAKE 0x01 /* bit 0 counted from the other end, as some have written it */

static bool
is_text(struct bytes text, const char *expected)
{
    return text.len == strlen(expected) && strncasecmp((const char *)text.at, expected, text.len) == 0;
}

static bool
names_us(struct bytes issuer, const struct caa_subject *subject)
{
    for (size_t i = 0; i < subject->issuer_name_count; i++)
        if (is_text(issuer, subject->issuer_names[i]))
            return true;
    return false;
}

/* RFC 8657 §4: a comma-separated list; methods that we do not know do no harm. */
static bool
lists_method(struct bytes list, const char *method)
{
    while (list.len > 0) {
        const uint8_t *comma = memchr(list.at, ',', list.len);
        size_t len = comma == NULL ? list.len : (size_t)(comma - list.at);
        if (len == strlen(method) && memcmp(list.at, method, len) == 0)
            return true;
        list = comma == NULL ? BYTES_NONE : BYTES(comma + 1, list.len - len - 1);
    }
    return false;
}

/* A value that does not match the grammar is one that names nobody (RFC 8659 §4.2); a parameter that is there twice cannot be satisfied (RFC 8657).
 */
static bool
authorises(struct bytes text, const struct caa_subject *subject)
{
    struct issue_value value;
    struct bytes account = BYTES_NONE, methods = BYTES_NONE;

    if (!issue_value_parse(text, &value) || !names_us(value.issuer, subject))
        return false;
    size_t accounts = issue_value_find(&value, "accounturi", &account);
    if (accounts > 1 || (accounts == 1 && !bytes_equal(account, bytes_of_text(subject->account_uri))))
        return false;
    size_t lists = issue_value_find(&value, "validationmethods", &methods);
    return lists == 0 || (lists == 1 && lists_method(methods, subject->method));
}

static bool
is_known(struct bytes tag)
{
    static const char *const known[] = {"issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (is_text(tag, known[i]))
            return true;
    return false;
}

struct properties {
    bool has, authorises;
};

static void
add(struct properties *properties, struct bytes value, const struct caa_subject *subject)
{
    properties->has = true;
    properties->authorises = properties->authorises || authorises(value, subject);
}

const char *
caa_refusal(struct arena *arena, const struct bytes *records, size_t count, const struct caa_subject *subject)
{
    struct properties issue = {false, false}, issue_wild = {false, false};

    for (size_t i = 0; i < count; i++) {
        struct caa caa;
        if (!caa_decode(records[i], &caa))
            return "one of them is malformed";
        if ((caa.flags & (FLAG_CRITICAL | FLAG_CRITICAL_BY_MISTAKE)) != 0 && !is_known(caa.tag))
            return arena_format(arena, "the property \"%s\" is critical and not known here", harmless(arena, caa.tag));
        if (is_text(caa.tag, "issue"))
            add(&issue, caa.value, subject);
        else if (is_text(caa.tag, "issuewild"))
            add(&issue_wild, caa.value, subject);
    }
    /* RFC 8659 §4.3: for a wildcard issuewild counts where there is any, else issue; for others it is nothing. */
    const struct properties *decisive = subject->wildcard && issue_wild.has ? &issue_wild : &issue;
    if (!decisive->has || decisive->authorises)
        return NULL;
    if (subject->issuer_name_count == 0)
        return "this CA has no name that they could have";
    return arena_format(arena, "no property \"%s\" lets %s issue to this account by %s", decisive == &issue ? "issue" : "issuewild",
                        subject->issuer_names[0], subject->method);
}

/* A name on the way from itself to the root. */
struct climber {
    const struct caa_subject *subject;
    size_t which;     /* of those that were given */
    const char *rest; /* the next to ask about; NULL: the root was reached */
    size_t asked;     /* just now */
};

/* The next names upward, at most AT_ONCE; `*name` is what is left then, NULL at the root. */
static size_t
climb(const char **name, struct lookup *lookups)
{
    size_t count = 0;

    while (*name != NULL && count < AT_ONCE) {
        lookups[count++] = (struct lookup){.name = *name, .type = RRTYPE_CAA};
        const char *dot = strchr(*name, '.');
        *name = dot == NULL ? NULL : dot + 1;
    }
    return count;
}

/* The records that count for this one: of the lowest of these names that has any. *ret_open: none of them has, and there are names above. */
static enum error
judge(struct request *rq, const struct climber *climber, const struct lookup *lookups, bool *ret_open)
{
    for (size_t i = 0; i < climber->asked; i++) {
        const struct lookup *one = &lookups[i];
        if (one->failed)
            return found(rq, "dns", "looking up CAA of %.253s: %s; without an answer nothing is issued", one->name, one->why);
        if (one->count == 0)
            continue;
        const char *refusal = caa_refusal(rq->arena, one->records, one->count, climber->subject);
        return refusal == NULL ? OK : found(rq, "caa", "the CAA records of %.253s do not allow it: %s", one->name, refusal);
    }
    *ret_open = climber->rest != NULL;
    return OK;
}

/* One step upward for all that are not decided yet. */
static enum error
climb_together(struct resolver *resolver, struct request *rq, struct climber *climbers, size_t *count, size_t *ret_which)
{
    struct lookup lookups[TOGETHER * AT_ONCE];
    size_t asked = 0, left = 0, place = 0;

    for (size_t i = 0; i < *count; i++)
        asked += climbers[i].asked = climb(&climbers[i].rest, &lookups[asked]);
    look_up(resolver, rq, lookups, asked);
    for (size_t i = 0; i < *count; i++) {
        struct climber climber = climbers[i];
        bool open = false;
        enum error error = judge(rq, &climber, &lookups[place], &open);
        if (error) {
            *ret_which = climber.which;
            return error;
        }
        place += climber.asked;
        if (open)
            climbers[left++] = climber;
    }
    *count = left;
    return OK;
}

enum error
caa_check(struct resolver *resolver, struct request *rq, const struct caa_subject *subjects, size_t count, size_t *ret_which)
{
    struct climber climbers[TOGETHER];

    for (size_t first = 0; first < count; first += TOGETHER) {
        size_t climbing = 0;
        for (size_t i = first; i < count && climbing < TOGETHER; i++)
            climbers[climbing++] = (struct climber){.subject = &subjects[i], .which = i, .rest = subjects[i].name};
        while (climbing > 0) {
            enum error error = climb_together(resolver, rq, climbers, &climbing, ret_which);
            if (error)
                return error;
        }
    }
    return OK;
}
