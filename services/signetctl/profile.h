/* A kind of profile: what `signetctl profile VERB --kind KIND` does. */
#ifndef SIGNET_SIGNETCTL_PROFILE_H
#define SIGNET_SIGNETCTL_PROFILE_H

#include "signetctl.h"

#define PROFILE_VERBS_MAX 16

struct profile_verb {
    const char *name; /* as in commands.c */
    enum error (*run)(struct ctl *ctl, struct request *rq);
};

struct profile_kind {
    const char *name;                                 /* of --kind */
    const ProtobufCMessageDescriptor *fields;         /* options of create and set, and keys in YAML */
    const char *beside;                               /* NULL, or the option that is no field */
    struct profile_verb verbs[PROFILE_VERBS_MAX + 1]; /* up to NULL; what the kind does not have is refused by name */
};

extern const struct profile_kind profile_est, profile_scep;

/* False for what is a field of other kinds only; true for all else, and where the kind is not known. */
bool profile_option_fits(struct arena *arena, const char *kind, const char *option);

/* That there are a template and a CA of these names, which a gateway would look for only when the first device comes; "": not asked. ERR_NOT_FOUND.
 */
enum error profile_check_names(struct ctl *ctl, struct request *rq, const char *template, const char *issuer) MUST_CHECK;

#endif
