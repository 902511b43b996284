/* A kind of profile: what `signetctl profile VERB --kind KIND` does. NULL where the kind has no such thing. */
#ifndef SIGNET_SIGNETCTL_PROFILE_H
#define SIGNET_SIGNETCTL_PROFILE_H

#include "signetctl.h"

struct profile_kind {
    const char *name; /* of --kind */
    enum error (*list)(struct ctl *ctl, struct request *rq);
    enum error (*show)(struct ctl *ctl, struct request *rq); /* also export: what is shown is what can be imported */
    enum error (*create)(struct ctl *ctl, struct request *rq);
    enum error (*set)(struct ctl *ctl, struct request *rq);
    enum error (*import)(struct ctl *ctl, struct request *rq);
    enum error (*delete_)(struct ctl *ctl, struct request *rq);
    enum error (*reset_password)(struct ctl *ctl, struct request *rq);
    enum error (*rotate_passphrase)(struct ctl *ctl, struct request *rq);
    enum error (*delete_user)(struct ctl *ctl, struct request *rq);
};

extern const struct profile_kind profile_est, profile_scep;

#endif
