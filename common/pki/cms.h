/* What more than one service makes of CMS (RFC 5652). */
#ifndef SIGNET_PKI_CMS_H
#define SIGNET_PKI_CMS_H

#include "pki/der.h"

/* The degenerate SignedData of §5.2, without content and signers: certificates, and a CRL when there is one. */
struct bytes cms_certs_only(struct arena *arena, const struct bytes *certificates, size_t count, struct bytes crl);

#endif
