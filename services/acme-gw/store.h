/* What the three store files share. */
#ifndef SIGNET_ACME_GW_STORE_H
#define SIGNET_ACME_GW_STORE_H

/* The place of a name in a table that begins at 1 and ends with NULL. */
int store_status(const char *const *names, const char *name);

#endif
