/*
 * What an Authorization header of the scheme Basic holds (RFC 7617): for services that know their clients by name and password.
 *
 *     if (!http_basic_read(rq->arena, http_header_in(x, "Authorization"), &user, &password))
 *         return …; // 401 with WWW-Authenticate
 */
#ifndef SIGNET_LINK_HTTP_BASIC_H
#define SIGNET_LINK_HTTP_BASIC_H

#include "base/bytes.h"

#define HTTP_BASIC_MAX 1024 /* octets of the header */

/* False when there is no header (NULL), or none of this form. Both are any octets, of any number; they lie in the arena, for the caller to wipe. */
bool http_basic_read(struct arena *arena, const char *header, struct bytes *ret_user, struct bytes *ret_password);

#endif
