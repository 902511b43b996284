/* The CAs of a profile: the one in force, and those that it has succeeded, whose certificates are still out there. */
#include "base/text.h"
#include "scep.h"

const struct profile_ca *
authorities_find_issuer(const struct ra_certificates *ras, struct bytes der)
{
    AUTO_STRUCT(request, aside) = request_new();
    struct certificate certificate;
    struct peer peer;

    /* The names first: nearly all requests are signed with self-signed certificates. */
    if (!peer_read(der, &peer) || !authorities_have_subject(ras, peer.issuer) || certificate_parse(aside, der, &certificate) != OK)
        return NULL;
    for (size_t i = 0; i < ras->ca_count; i++)
        if (certificate_is_issued_by(&certificate, &ras->cas[i].certificate))
            return &ras->cas[i];
    return NULL;
}

bool
authorities_have_subject(const struct ra_certificates *ras, struct bytes subject)
{
    for (size_t i = 0; i < ras->ca_count; i++)
        if (bytes_equal(subject, ras->cas[i].certificate.subject))
            return true;
    return false;
}

const struct profile_ca *
authorities_find_name(const struct ra_certificates *ras, const char *name)
{
    for (size_t i = 0; i < ras->ca_count; i++)
        if (text_equal(ras->cas[i].name, name))
            return &ras->cas[i];
    return NULL;
}
