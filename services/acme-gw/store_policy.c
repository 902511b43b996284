/* Policies in the database. Few rows, read whole; written by operators only. */
#include "acme.h"

#include <string.h>

#define POLICY_COLUMNS                                                                                                                      \
    "name, description, disabled, template, issuer, validity_days, preapproved_names, challenge_types, client_networks, allowed_networks, " \
    "denied_networks, eab, caa, orders_per_account, certificates_per_account, identifiers_max, limits, subdomain_auth, identifier_types, "  \
    "apple_roots, step_roots, tpm_roots, profiles, star_max_duration_s, star_min_lifetime_s, star_certificate_get"
#define POLICY_VALUES "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26"

static const struct db_statement list_policies = {"list_policies", "SELECT " POLICY_COLUMNS
                                                                   " FROM acme.policy WHERE $1 = '' OR name = $1 ORDER BY name COLLATE \"C\""};
static const struct db_statement insert_policy = {"insert_policy", "INSERT INTO acme.policy (" POLICY_COLUMNS ") VALUES (" POLICY_VALUES
                                                                   ") ON CONFLICT (name) DO NOTHING"};
static const struct db_statement update_policy = {"update_policy", "UPDATE acme.policy SET (" POLICY_COLUMNS ", changed_at) = (" POLICY_VALUES
                                                                   ", now()) WHERE name = $1"};
/* The two together make one atomic "insert or update" that can tell which it was. */
static const struct db_statement write_policy = {"write_policy", "INSERT INTO acme.policy AS p (" POLICY_COLUMNS ") VALUES (" POLICY_VALUES
                                                                 ") ON CONFLICT (name) DO UPDATE SET (" POLICY_COLUMNS
                                                                 ", changed_at) = (" POLICY_VALUES ", now()) RETURNING p.xmax = 0"};
static const struct db_statement delete_policy = {"delete_policy", "DELETE FROM acme.policy WHERE name = $1"};

static size_t
read_texts(const struct db_rows *rows, size_t row, size_t column, const char ***ret_texts)
{
    const char *const *texts;
    size_t count = db_text_array(rows, row, column, &texts);

    *ret_texts = (const char **)texts;
    return count;
}

static Pb__AcmePolicy *
read_policy(struct arena *arena, const struct db_rows *rows, size_t row)
{
    Pb__AcmePolicy *policy = arena_alloc(arena, sizeof *policy);

    pb__acme_policy__init(policy);
    policy->name = db_text(rows, row, 0);
    policy->description = db_text(rows, row, 1);
    policy->disabled = db_bool(rows, row, 2);
    policy->template_ = db_text(rows, row, 3);
    policy->issuer = db_text(rows, row, 4);
    policy->validity_days = (int32_t)db_int(rows, row, 5);
    policy->n_preapproved_names = read_texts(rows, row, 6, &policy->preapproved_names);
    policy->n_challenge_types = read_texts(rows, row, 7, &policy->challenge_types);
    policy->n_client_networks = read_texts(rows, row, 8, &policy->client_networks);
    policy->n_allowed_networks = read_texts(rows, row, 9, &policy->allowed_networks);
    policy->n_denied_networks = read_texts(rows, row, 10, &policy->denied_networks);
    policy->eab = db_text(rows, row, 11);
    policy->caa = db_bool(rows, row, 12);
    policy->orders_per_account = (uint32_t)db_int(rows, row, 13);
    policy->certificates_per_account = (uint32_t)db_int(rows, row, 14);
    policy->identifiers_max = (uint32_t)db_int(rows, row, 15);
    policy->limits = db_text(rows, row, 16);
    policy->subdomain_auth = db_bool(rows, row, 17);
    policy->n_identifier_types = read_texts(rows, row, 18, &policy->identifier_types);
    policy->apple_roots = db_text(rows, row, 19);
    policy->step_roots = db_text(rows, row, 20);
    policy->tpm_roots = db_text(rows, row, 21);
    policy->n_profiles = read_texts(rows, row, 22, &policy->profiles);
    policy->star_max_duration_s = (int32_t)db_int(rows, row, 23);
    policy->star_min_lifetime_s = (int32_t)db_int(rows, row, 24);
    policy->star_certificate_get = db_bool(rows, row, 25);
    return policy;
}

enum error
store_list_policies(struct acme *acme, struct request *rq, const char *name, Pb__AcmePolicy ***ret_policies, size_t *ret_count)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &list_policies, &rows, DB_TEXT(name));
    if (error)
        return error;
    size_t count = db_count(rows);
    Pb__AcmePolicy **policies = arena_array(rq->arena, count, sizeof(Pb__AcmePolicy *));
    for (size_t i = 0; i < count; i++)
        policies[i] = read_policy(rq->arena, rows, i);
    *ret_policies = policies;
    *ret_count = count;
    return OK;
}

/* ---- as requests use them ---- */

static struct network *
networks_of(struct arena *arena, const char *const *texts, size_t count)
{
    struct network *networks = arena_array(arena, count, sizeof *networks);

    for (size_t i = 0; i < count; i++)
        if (!network_parse(texts[i], &networks[i]))
            networks[i] = (struct network){.bits = 128}; /* "::", nobody: put_acme_policy.c lets no such text in */
    return networks;
}

static const char *
joined(struct arena *arena, const char *const *texts, size_t count)
{
    struct buffer list = buffer_in(arena);

    for (size_t i = 0; i < count; i++)
        buffer_append_format(&list, "%s%s", i > 0 ? "," : "", texts[i]);
    return buffer_text(&list);
}

static const char *
or_setting(const char *text, const char *setting)
{
    return text_is_empty(text) ? setting : text;
}

/* Its own, or of the default policy the setting's; none when they cannot be read, which put_acme_policy.c does not let in. */
static void
take_profiles(const struct acme *acme, struct request *rq, const Pb__AcmePolicy *row, struct policy *policy)
{
    struct profile *own = NULL;

    if (row->n_profiles == 0 && text_equal(row->name, DEFAULT_POLICY)) {
        policy->profiles = acme->profiles;
        policy->profile_count = acme->profile_count;
    } else if (profiles_parse(rq, "profiles", (char *const *)row->profiles, row->n_profiles, &own) == OK) {
        policy->profiles = own;
        policy->profile_count = row->n_profiles;
    } else {
        failure_clear(rq);
    }
}

static struct policy
policy_of(struct acme *acme, struct request *rq, const Pb__AcmePolicy *row, const struct limits *limits)
{
    struct arena *arena = rq->arena;
    struct policy policy = {
        .name = row->name,
        .description = row->description,
        .disabled = row->disabled,
        .template_name = or_setting(row->template_, acme->config.template_name),
        .issuer = or_setting(row->issuer, acme->config.issuer),
        .validity_days = row->validity_days == 0  ? acme->config.validity_days
                         : row->validity_days < 0 ? 0
                                                  : row->validity_days,
        .preapproved_names = (const char *const *)row->preapproved_names,
        .preapproved_count = row->n_preapproved_names,
        .challenge_types = joined(arena, (const char *const *)row->challenge_types, row->n_challenge_types),
        .clients = networks_of(arena, (const char *const *)row->client_networks, row->n_client_networks),
        .client_network_count = row->n_client_networks,
        .allowed_networks = (const char *const *)row->allowed_networks,
        .allowed_network_count = row->n_allowed_networks,
        .denied_networks = (const char *const *)row->denied_networks,
        .denied_network_count = row->n_denied_networks,
        .eab = EAB_REQUIRED,
        .caa = row->caa,
        .subdomain_auth = row->subdomain_auth,
        .star_max_duration_s = row->star_max_duration_s,
        .star_min_lifetime_s = row->star_min_lifetime_s == 0 ? STAR_LIFETIME_S : row->star_min_lifetime_s,
        .star_certificate_get = row->star_certificate_get,
        .orders_per_account = (int)row->orders_per_account,
        .certificates_per_account = (int)row->certificates_per_account,
        .identifiers_max = row->identifiers_max == 0 || row->identifiers_max > IDENTIFIERS_MAX ? IDENTIFIERS_MAX : row->identifiers_max,
        .limits = limits,
    };

    (void)eab_rule_find(row->eab, &policy.eab);
    attestation_of_policy(row, &policy);
    take_profiles(acme, rq, row, &policy);
    policy.directory = directory_of_policy(acme, arena, &policy);
    return policy;
}

static const struct limits *
limits_of(struct arena *arena, Pb__AcmeLimits *const *rows, size_t count, const char *name)
{
    struct limits *limits = arena_alloc(arena, sizeof *limits);

    for (size_t i = 0; i < count; i++) {
        const Pb__AcmeLimits *row = rows[i];
        if (!text_equal(row->name, name))
            continue;
        *limits = (struct limits){
            .name = row->name,
            .new_accounts = {(int)row->new_accounts_per_address, (int)row->new_accounts_period_s},
            .new_orders = {(int)row->new_orders_per_account, (int)row->new_orders_period_s},
            .failed_authorizations = {(int)row->failed_authorizations_per_name, (int)row->failed_authorizations_period_s},
            .certificates = {(int)row->certificates_per_domain, (int)row->certificates_period_s},
            .failures_before_pause = (int)row->failures_before_pause,
        };
        return limits;
    }
    return NULL;
}

/* Two statements see two moments: a set that is gone in the second is named by nobody any more, and whoever took it away is heard of soon. */
enum error
store_load_policies(struct acme *acme, struct request *rq, struct policies *ret_policies)
{
    Pb__AcmePolicy **rows;
    Pb__AcmeLimits **limits;
    size_t count, limits_count;

    enum error error = store_list_policies(acme, rq, "", &rows, &count);
    if (!error)
        error = store_list_limits(acme, rq, "", &limits, &limits_count);
    if (error)
        return error;
    struct policy *policies = arena_array(rq->arena, count, sizeof *policies);
    for (size_t i = 0; i < count; i++) {
        const struct limits *named = limits_of(rq->arena, limits, limits_count, rows[i]->limits);
        if (named == NULL)
            return fail(rq, ERR_UNAVAILABLE, "the policies were changed while they were read");
        policies[i] = policy_of(acme, rq, rows[i], named);
    }
    *ret_policies = (struct policies){policies, count};
    return OK;
}

/* ---- written ---- */

static const struct db_statement *
statement_for(enum policy_write how)
{
    switch (how) {
    case POLICY_CREATE:
        return &insert_policy;
    case POLICY_CHANGE:
        return &update_policy;
    case POLICY_WRITE:
        return &write_policy;
    }
    return &write_policy;
}

#define TEXTS(field) DB_TEXT_ARRAY((const char *const *)policy->field, policy->n_##field)

enum error
store_write_policy(struct acme *acme, struct request *rq, const Pb__AcmePolicy *policy, enum policy_write how, bool *ret_created)
{
    struct db_rows *rows;

    enum error error =
        DB_QUERY(acme->db, rq, statement_for(how), &rows, DB_TEXT(policy->name), DB_TEXT(policy->description), DB_BOOL(policy->disabled),
                 DB_TEXT(policy->template_), DB_TEXT(policy->issuer), DB_INT(policy->validity_days), TEXTS(preapproved_names), TEXTS(challenge_types),
                 TEXTS(client_networks), TEXTS(allowed_networks), TEXTS(denied_networks), DB_TEXT(or_setting(policy->eab, eab_rule_name(EAB_NONE))),
                 DB_BOOL(policy->caa), DB_INT(policy->orders_per_account), DB_INT(policy->certificates_per_account), DB_INT(policy->identifiers_max),
                 DB_TEXT(or_setting(policy->limits, DEFAULT_POLICY)), DB_BOOL(policy->subdomain_auth), TEXTS(identifier_types),
                 DB_TEXT(policy->apple_roots), DB_TEXT(policy->step_roots), DB_TEXT(policy->tpm_roots), TEXTS(profiles),
                 DB_INT(policy->star_max_duration_s), DB_INT(policy->star_min_lifetime_s), DB_BOOL(policy->star_certificate_get));
    if (error == ERR_CONFLICT) {
        failure_clear(rq);
        return fail(rq, ERR_BAD_REQUEST, "there are no limits \"%s\": see signetctl acme limits list", policy->limits);
    }
    if (error)
        return error;
    if (how == POLICY_CREATE && db_affected(rows) == 0)
        return fail(rq, ERR_CONFLICT, "there is a policy \"%s\" already", policy->name);
    if (how == POLICY_CHANGE && db_affected(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no policy \"%s\": see signetctl acme policy list", policy->name);
    *ret_created = how == POLICY_CREATE || (how == POLICY_WRITE && db_bool(rows, 0, 0));
    return OK;
}

enum error
store_delete_policy(struct acme *acme, struct request *rq, const char *name)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &delete_policy, &rows, DB_TEXT(name));
    if (error == ERR_CONFLICT) {
        failure_clear(rq);
        return fail(rq, ERR_CONFLICT, "the policy \"%s\" has accounts or credentials, which stay bound to it; disable it instead", name);
    }
    if (error)
        return error;
    return db_affected(rows) == 1 ? OK : fail(rq, ERR_NOT_FOUND, "there is no policy \"%s\": see signetctl acme policy list", name);
}
