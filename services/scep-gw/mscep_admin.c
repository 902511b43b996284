/*
 * The page that Windows' NDES shows to administrators, and that MDM systems read by its text: each visit makes a challenge that one device may use
 * once. The texts are Windows' own to the last blank, because they are searched for octet by octet.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/drawn_secret.h"
#include "base/text.h"
#include "link/http_basic.h"
#include "scep.h"

#define CHALLENGE_OCTETS 8
#define MINUTES_DEFAULT 60

#define PAGE_HEAD                                                                                                                                \
    "<HTML><Head><Meta HTTP-Equiv=\"Content-Type\" Content=\"text/html; charset=UTF-8\"><Title>Network Device Enrollment Service</Title></Head>" \
    "<Body BgColor=#FFFFFF><Font ID=locPageFont Face=\"Arial\"><Table Border=0 CellSpacing=0 CellPadding=4 Width=100% BgColor=#008080><TR><TD>"  \
    "<Font ID=locPageTitleFont Face=\"Arial\" Size=-1 Color=#FFFFFF><LocID ID=locMSCertSrv>Network Device Enrollment Service</LocID></Font>"     \
    "</TD></TR></Table><P ID=locPageTitle> Network Device Enrollment Service allows you to obtain certificates for routers or other network "    \
    "devices using the Simple Certificate Enrollment Protocol (SCEP). </P>"
#define PAGE_TAIL "</Font></Body></HTML>"
#define TEXT_FULL "<P> The password cache is full. </P>"
#define TEXT_DENIED "<P> You do not have sufficient permission to enroll with SCEP. Please contact your system administrator. </P>"

/* UTF-16LE behind a byte order mark, or as it is. The text is ASCII. */
static enum error
answer_page(struct http_exchange *x, const struct profile *profile, const char *middle)
{
    struct buffer page = buffer_in(x->rq.arena), wide = buffer_in(x->rq.arena);

    buffer_append_text(&page, PAGE_HEAD);
    buffer_append_text(&page, middle);
    buffer_append_text(&page, PAGE_TAIL);
    http_header_out(x, "Cache-Control", "no-store");
    if (profile->about->ndes_page_in_utf8)
        return http_answer(x, 200, "text/html; charset=utf-8", buffer_bytes(&page));
    buffer_append(&wide, "\xff\xfe", 2);
    for (size_t i = 0; i < page.len; i++)
        buffer_append(&wide, (const uint8_t[]){page.at[i], 0}, 2);
    return http_answer(x, 200, "text/html", buffer_bytes(&wide));
}

/* "A656FA66 AB12B433 A2DA5CF7 CC153D9A": MD5, as Windows shows it; nobody's trust rests on it here. */
static const char *
thumbprint(struct arena *arena, struct bytes certificate)
{
    struct buffer text = buffer_in(arena);
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned int len = 0;

    if (EVP_Digest(certificate.at, certificate.len, hash, &len, EVP_md5(), NULL) != 1)
        return "";
    for (unsigned i = 0; i < len; i++)
        buffer_append_format(&text, "%s%02X", i > 0 && i % 4 == 0 ? " " : "", hash[i]);
    return buffer_text(&text);
}

static const char *
new_challenge(struct arena *arena)
{
    struct buffer text = buffer_in(arena);
    uint8_t octets[CHALLENGE_OCTETS];

    random_bytes(octets, sizeof octets);
    for (size_t i = 0; i < sizeof octets; i++)
        buffer_append_format(&text, "%02X", octets[i]);
    return buffer_text(&text);
}

/* ---- who may see it ---- */

static bool
is_admin(struct http_exchange *x, const struct profile *profile)
{
    const char *header = http_header_in(x, "Authorization");
    struct bytes user, password;

    if (!http_basic_read(x->rq.arena, header, &user, &password))
        return false;
    /* Windows' scrapers write DOMAIN\user. */
    const uint8_t *domain = user.len == 0 ? NULL : memchr(user.at, '\\', user.len);
    if (domain != NULL)
        user = BYTES(domain + 1, user.len - (size_t)(domain - user.at) - 1);
    return drawn_secret_is(profile->admin_password, password) && bytes_equal(user, bytes_of_text(profile->about->admin_user));
}

static enum error
ask_for_password(struct http_exchange *x)
{
    http_header_out(x, "WWW-Authenticate", "Basic realm=\"Network Device Enrollment Service\"");
    request_note(&x->rq, "rule", "admin-password");
    return http_answer_text(x, 401, "text/html", "<HTML><Body><P> 401 - Unauthorized </P></Body></HTML>");
}

static bool
may_see(struct http_exchange *x, const struct profile *profile)
{
    return profile->admin_network_count == 0 || networks_cover_text(profile->admin_networks, profile->admin_network_count, x->peer);
}

/* ---- the page ---- */

static enum error
give_challenge(struct scep *scep, struct http_exchange *x, const struct profile *profile)
{
    const char *challenge = new_challenge(x->rq.arena);
    struct ra_certificates ras;
    bool added;

    enum error error = ra_certificates_load(scep, &x->rq, profile, &ras);
    if (error != OK)
        return error;
    struct bytes mac = drawn_secret_mac(x->rq.arena, profile->challenge_salt, bytes_of_text(challenge));
    error = store_add_challenge(scep, &x->rq, profile, mac, &added);
    if (error != OK)
        return error;
    if (!added) {
        request_note(&x->rq, "rule", "challenges-most");
        return answer_page(x, profile, TEXT_FULL);
    }
    unsigned minutes = profile->about->challenge_minutes > 0 ? profile->about->challenge_minutes : MINUTES_DEFAULT;
    return answer_page(
        x, profile,
        arena_format(
            x->rq.arena,
            "<P> To complete certificate enrollment for your network device you will need the following information: <P> The thumbprint (hash "
            "value) for the CA certificate is: <B> %s </B> <P> The enrollment challenge password is: <B> %s </B> <P> This password can be used "
            "only once and will expire within %u minutes. <P> Each enrollment requires a new challenge password. You can refresh this web page "
            "to obtain a new challenge password. </P>",
            thumbprint(x->rq.arena, ras.issuer.der), challenge, minutes));
}

static enum error
show(struct scep *scep, struct http_exchange *x, const struct profile *profile)
{
    /* Before the password: an address that may not come here is not told whether it would be right. */
    if (!may_see(x, profile)) {
        request_note(&x->rq, "rule", "admin-network");
        return answer_page(x, profile, TEXT_DENIED);
    }
    const char *whom = arena_format(x->rq.arena, "%s/admin", profile->about->name);
    enum error error = request_limit_check_failures(scep->limit, &x->rq, x->peer, whom);
    if (error != OK)
        return error;
    if (!is_admin(x, profile)) {
        if (http_header_in(x, "Authorization") != NULL)
            request_limit_count_failure(scep->limit, &x->rq, x->peer, whom);
        return ask_for_password(x);
    }
    request_note(&x->rq, "admin", "%s", profile->about->admin_user);
    if (profile->authorization != BY_CHALLENGE) {
        request_note(&x->rq, "rule", "authorization");
        return answer_page(x, profile, TEXT_DENIED);
    }
    return give_challenge(scep, x, profile);
}

enum error
mscep_admin(void *context, struct http_exchange *x)
{
    const struct profile *profile;

    note_client(x);
    enum error error = profile_find_ndes(context, &x->rq, &profile);
    return error == OK ? show(context, x, profile) : error;
}

enum error
mscep_admin_of_profile(void *context, struct http_exchange *x)
{
    const struct profile *profile;

    note_client(x);
    enum error error = profile_find(context, &x->rq, x->params[0], &profile);
    return error == OK ? show(context, x, profile) : error;
}
