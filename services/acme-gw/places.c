/* Called by the memories of authorisations and certificates, with their locks held. Ids are short texts that nobody can choose. */
#include "places.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"

#define WAYS 8 /* places of one set */

static size_t
set_of(const char *id)
{
    return text_hash(id) % (PLACES / WAYS) * WAYS;
}

bool
places_find(const struct places *places, const char *id, size_t *ret_place)
{
    size_t set = set_of(id);

    for (size_t place = set; place < set + WAYS; place++) {
        if (places->at[place].came == 0 || strcmp(places->at[place].id, id) != 0)
            continue;
        *ret_place = place;
        return true;
    }
    return false;
}

size_t
places_take(struct places *places, const char *id)
{
    size_t set = set_of(id), taken = set, len = strlen(id);

    assert(len <= PLACE_ID_MAX);
    if (!places_find(places, id, &taken))
        for (size_t place = set; place < set + WAYS; place++)
            if (places->at[place].came < places->at[taken].came)
                taken = place;
    memcpy(places->at[taken].id, id, len + 1);
    places->at[taken].came = ++places->newcomers;
    return taken;
}
