/*
 * The outside of est-gw: one table of what is served. Without a label the profile is "default" (RFC 7030 §3.2.2). A profile cannot have the name of
 * an operation, so the two kinds of path never mean the same.
 */
#include "est.h"

#define EST "/.well-known/est/"

const struct http_route est_routes[] = {
    {"GET", EST "cacerts", ca_certs, ON_WORKER},
    {"GET", EST "{label}/cacerts", ca_certs, ON_WORKER},
    {"POST", EST "simpleenroll", simple_enroll, ON_WORKER},
    {"POST", EST "{label}/simpleenroll", simple_enroll, ON_WORKER},
    {"POST", EST "simplereenroll", simple_reenroll, ON_WORKER},
    {"POST", EST "{label}/simplereenroll", simple_reenroll, ON_WORKER},
    {"POST", EST "serverkeygen", server_key_gen, ON_WORKER},
    {"POST", EST "{label}/serverkeygen", server_key_gen, ON_WORKER},
    {"POST", EST "fullcmc", full_cmc, ON_WORKER},
    {"POST", EST "{label}/fullcmc", full_cmc, ON_WORKER},
    {"GET", EST "csrattrs", csr_attrs, ON_WORKER},
    {"GET", EST "{label}/csrattrs", csr_attrs, ON_WORKER},
};
const size_t est_route_count = sizeof est_routes / sizeof est_routes[0];
