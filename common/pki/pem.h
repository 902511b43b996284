/* PEM (RFC 7468): strict out (64 columns, LF), lenient in. */
#ifndef SIGNET_PKI_PEM_H
#define SIGNET_PKI_PEM_H

#include "base/bytes.h"
#include "base/request.h"

void pem_append(struct buffer *to, const char *label, struct bytes der);
/* The next block with this label at or after *at (NUL-terminated text), which is moved behind it; ERR_NOT_FOUND when there is none. */
enum error pem_next(struct request *rq, const char **at, const char *label, struct bytes *ret_der) MUST_CHECK;
/* All blocks with this label of a text, at most `most`. */
enum error pem_all(struct request *rq, const char *text, const char *label, size_t most, struct bytes **ret_ders, size_t *ret_count) MUST_CHECK;

#endif
