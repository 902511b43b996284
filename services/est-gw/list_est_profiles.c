/* Called when an operator looks at profiles. Reads the tables, not the memory: what was stored last is what is shown. */
#include "est.h"

/* The rows come in the order of the profiles. */
static void
add_users(struct arena *arena, const struct db_rows *rows, Pb__EstProfileEntry *entry)
{
    const char **users = arena_array(arena, db_count(rows), sizeof *users);

    for (size_t i = 0; i < db_count(rows); i++)
        if (text_equal(db_text(rows, i, 0), entry->profile->name))
            users[entry->n_users++] = db_text(rows, i, 1);
    entry->users = users;
}

static void
add_crls(struct arena *arena, const struct db_rows *rows, Pb__EstProfileEntry *entry)
{
    entry->crls = arena_array(arena, db_count(rows), sizeof *entry->crls);
    for (size_t i = 0; i < db_count(rows); i++) {
        if (!text_equal(db_text(rows, i, 0), entry->profile->name))
            continue;
        Pb__EstCrl *crl = arena_alloc(arena, sizeof *crl);
        pb__est_crl__init(crl);
        crl->issuer = db_text(rows, i, 1);
        crl->number = bytes_hex(arena, db_bytes(rows, i, 2), 0);
        crl->this_update_at_s = db_time_s(rows, i, 3);
        crl->next_update_at_s = db_time_s(rows, i, 4);
        crl->entries = (uint32_t)db_int(rows, i, 5);
        entry->crls[entry->n_crls++] = crl;
    }
}

enum error
list_est_profiles(struct est *est, struct request *rq, const Pb__ListEstProfilesRequest *input, Pb__ListEstProfilesReply *ret_reply)
{
    Pb__EstProfile **profiles;
    struct db_rows *users, *crls;
    size_t count;

    enum error error = store_load_profiles(est->db, rq, &profiles, NULL, &count);
    if (!error)
        error = store_list_users(est, rq, &users);
    if (!error)
        error = store_list_client_crls(est, rq, &crls);
    if (error)
        return error;
    Pb__EstProfileEntry **entries = arena_array(rq->arena, count, sizeof *entries);
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (input->name[0] != '\0' && !text_equal(input->name, profiles[i]->name))
            continue;
        entries[found] = arena_alloc(rq->arena, sizeof *entries[found]);
        pb__est_profile_entry__init(entries[found]);
        entries[found]->profile = profiles[i];
        add_users(rq->arena, users, entries[found]);
        add_crls(rq->arena, crls, entries[found]);
        found++;
    }
    ret_reply->profiles = entries;
    ret_reply->n_profiles = found;
    return OK;
}
