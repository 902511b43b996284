/* The policy tables, read whole into one arena. Called by policy.c when something changed. */
#include "ra.h"

#include "base/text.h"

static const struct db_statement list_roles = {"list_roles", "SELECT name, asset_required FROM ra.role ORDER BY name"};
static const struct db_statement list_members = {"list_members", "SELECT role, principal_kind, principal_id FROM ra.role_member ORDER BY role"};
static const struct db_statement list_templates = {"list_templates", "SELECT role, template FROM ra.role_template ORDER BY role"};
static const struct db_statement list_names = {"list_names", "SELECT role, pattern, allow FROM ra.role_name ORDER BY role"};
static const struct db_statement list_owners = {
    "list_owners", "SELECT a.name, o.owner FROM ra.asset a, unnest(a.owners) AS o (owner) ORDER BY a.name COLLATE \"C\""};

/* Moves *at over the rows of one role; all lists are sorted by role, as the roles are. */
static size_t
rows_of_role(const struct db_rows *rows, const char *role, size_t *at)
{
    size_t from = *at;

    while (*at < db_count(rows) && text_equal(db_text(rows, *at, 0), role))
        (*at)++;
    return *at - from;
}

static void
read_roles(struct arena *arena, const struct db_rows *roles, const struct db_rows *members, const struct db_rows *templates,
           const struct db_rows *names, struct policy *policy)
{
    size_t member = 0, template = 0, name = 0;

    policy->role_count = db_count(roles);
    policy->roles = arena_array(arena, policy->role_count, sizeof *policy->roles);
    for (size_t i = 0; i < policy->role_count; i++) {
        struct role *role = &policy->roles[i];
        size_t first_member = member, first_template = template, first_name = name;
        role->name = db_text(roles, i, 0);
        role->asset_required = db_bool(roles, i, 1);
        role->member_count = rows_of_role(members, role->name, &member);
        role->members = arena_array(arena, role->member_count, sizeof *role->members);
        for (size_t m = 0; m < role->member_count; m++)
            role->members[m] = (struct role_member){db_text(members, first_member + m, 1), db_text(members, first_member + m, 2)};
        role->template_count = rows_of_role(templates, role->name, &template);
        role->templates = arena_array(arena, role->template_count, sizeof *role->templates);
        for (size_t t = 0; t < role->template_count; t++)
            role->templates[t] = db_text(templates, first_template + t, 1);
        role->name_count = rows_of_role(names, role->name, &name);
        role->names = arena_array(arena, role->name_count, sizeof *role->names);
        for (size_t n = 0; n < role->name_count; n++)
            role->names[n] = (struct role_name){db_text(names, first_name + n, 1), db_bool(names, first_name + n, 2)};
    }
}

struct tables {
    struct db_rows *roles, *members, *templates, *names, *owners;
};

/* As they were at one moment: half of a change could allow what neither the policy before nor that after it does. */
static enum error
read_tables(struct db *db, struct request *rq, void *context)
{
    static const struct db_statement at_one_moment = {"at_one_moment", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"};
    struct tables *tables = context;
    struct db_step steps[] = {
        {.statement = &at_one_moment},
        {.statement = &list_roles, .ret_rows = &tables->roles},
        {.statement = &list_members, .ret_rows = &tables->members},
        {.statement = &list_templates, .ret_rows = &tables->templates},
        {.statement = &list_names, .ret_rows = &tables->names},
        {.statement = &list_owners, .ret_rows = &tables->owners},
    };

    return db_atomic(db, rq, steps, sizeof steps / sizeof steps[0]);
}

enum error
policy_load(struct request *rq, struct db *db, const struct policy **ret_policy)
{
    struct tables tables = {0};
    enum error error = db_transaction(db, rq, read_tables, &tables);
    if (error)
        return error;

    struct policy *policy = arena_alloc(rq->arena, sizeof *policy);
    read_roles(rq->arena, tables.roles, tables.members, tables.templates, tables.names, policy);
    policy->owner_count = db_count(tables.owners);
    policy->owners = arena_array(rq->arena, policy->owner_count, sizeof *policy->owners);
    for (size_t i = 0; i < policy->owner_count; i++)
        policy->owners[i] = (struct asset_owner){db_text(tables.owners, i, 0), db_text(tables.owners, i, 1)};
    *ret_policy = policy;
    return OK;
}
