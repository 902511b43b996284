/* Every command: its words, its options, what it does. --help and the parser both read this table. */
#include <string.h>

#include "signetctl.h"

#define POLICY_OPTIONS                                                                                                                        \
    "description= disabled= template= issuer= validity-days= preapproved-names= challenge-types= client-networks= allowed-networks= "         \
    "denied-networks= eab= caa= orders-per-account= certificates-per-account= identifiers-max= limits= subdomain-auth= star-max-duration-s= " \
    "star-min-lifetime-s= star-certificate-get= profiles= identifier-types= apple-roots= step-roots= tpm-roots="

/* Of all kinds together; profile.c refuses what only another kind has. */
#define PROFILE_OPTIONS                                                                                                                      \
    "kind= description= disabled= template= issuer= validity-days= authentication= anchors= crl= client-revocation= devices= names= "        \
    "proof-required= server-key-type= "                                                                                                      \
    "approval= retry-after-s= csr-attributes= csr-key-type= csr-subject= csr-names= csr-extended-key-usage= csr-template= "                  \
    "authorization= ca-certificates= strip-root= include-ca-in-reply= legacy= renewal= renewal-window-days= renewal-grace-days= "            \
    "renewal-from-predecessors= ndes= ndes-page-in-utf8= challenge-minutes= challenges-most= admin-user= request-networks= admin-networks= " \
    "webhook-url= webhook-secret-file= intune-tenant= intune-application= intune-secret-file= intune-login-url= intune-revocation-minutes= " \
    "intune-graph-url="

const struct command commands[] = {
    {"status", "", "", 0, "", "every service with its health, version and lag", status},
    {"ca", "list", "", 0, "", "the certification authorities", ca_list},
    {"ca", "show", "NAME", 1, "pem csr evidence", "one CA; --pem its certificate, --csr its request, --evidence its key's attributes", ca_show},
    {"ca", "create", "NAME", 1,
     "common-name= organization= organizational-unit= locality= state= country= key-type= days= path-length= parent= csr-only key-uri= digest= out=",
     "a root, an intermediate (--parent), or a request for a foreign CA (--csr-only)", ca_create},
    {"ca", "import", "NAME", 1, "certificate= chain= alternate",
     "the certificate that a foreign CA signed for a CA made with --csr-only; --alternate: a cross certificate beside its own", ca_import},
    {"ca", "successor", "NAME", 1, "to= cancel", "--to CA: the one that takes over from it, which SCEP tells its clients; --cancel: none any more",
     ca_successor},
    {"template", "list", "", 0, "", "the templates", template_list},
    {"template", "show", "NAME", 1, "version=", "one template, as it is exported", template_show},
    {"template", "export", "NAME", 1, "version=", "one template as YAML", template_show},
    {"template", "import", "FILE", 1, "", "a new version of a template from YAML ('-': standard input)", template_import},
    {"cert", "list", "", 0, "name= owner= issuer= protocol= template= status= expires-within= limit= cursor=", "the catalogue, newest first",
     cert_list},
    {"cert", "show", "SERIAL|SHA256", 1, "pem", "one certificate", cert_show},
    {"cert", "request", "", 0, "csr= template= issuer= days= key= owner= out=", "a certificate for a CSR", cert_request},
    {"cert", "explain", "", 0, "csr= template= issuer= owner= principal= asset=", "the verdict of each authorisation layer, without issuing",
     cert_explain},
    {"cert", "revoke", "[SERIAL|SHA256]", 1, "reason= certificate= issuer=",
     "revokes it, or the one in --certificate FILE, with a reason of RFC 5280; SERIAL --issuer CA needs no catalogue", cert_revoke},
    {"cert", "pending", "", 0, "", "the enrolments that wait for a person, oldest first", cert_pending},
    {"cert", "approve", "INTENT", 1, "", "lets one of them go on", cert_approve},
    {"cert", "deny", "INTENT", 1, "reason=", "refuses one of them for good", cert_deny},
    {"crl", "publish", "", 0, "issuer=", "new CRLs now", crl_publish},
    {"acme", "policy list", "", 0, "", "the ACME policies", acme_policy_list},
    {"acme", "policy show", "NAME", 1, "", "one policy, as it is exported", acme_policy_show},
    {"acme", "policy export", "NAME", 1, "", "one policy as YAML", acme_policy_show},
    {"acme", "policy create", "NAME", 1, POLICY_OPTIONS, "a new policy, with a directory at /acme/NAME/directory", acme_policy_create},
    {"acme", "policy set", "NAME", 1, POLICY_OPTIONS, "changes what is given, and leaves the rest", acme_policy_set},
    {"acme", "policy import", "FILE", 1, "", "a policy, new or changed, from YAML ('-': standard input)", acme_policy_import},
    {"acme", "policy delete", "NAME", 1, "", "a policy that has no accounts", acme_policy_delete},
    {"acme", "eab list", "", 0, "", "the credentials for external account binding", acme_eab_list},
    {"acme", "eab show", "NAME", 1, "", "one credential, without its key", acme_eab_show},
    {"acme", "eab create", "NAME", 1, "policy= uses= days= owner= principal= allowed-names= allowed-templates=",
     "a credential for --uses accounts (1; 0: any number); its HMAC key is shown once", acme_eab_create},
    {"acme", "eab delete", "NAME", 1, "", "a credential; its accounts stay", acme_eab_delete},
    {"acme", "eab revoke", "NAME|KEY-ID", 1, "cascade",
     "no new accounts with it; --cascade: those that were made with it are revoked, too, also of one that was deleted", acme_eab_revoke},
    {"acme", "account list", "", 0, "policy= status= eab= contact= limit= cursor=",
     "the ACME accounts, newest first; --eab: those of a credential, by its name or key id; --contact: a part of an address", acme_account_list},
    {"acme", "account show", "ACCOUNT", 1, "", "one account, by its id, its URL, or the thumbprint of its key (RFC 7638)", acme_account_show},
    {"acme", "account revoke", "ACCOUNT", 1, "why= certificates reason=",
     "its key opens nothing any more, its orders end; --certificates: what it has is revoked, too, with a --reason of RFC 5280", acme_account_revoke},
    {"acme", "limits list", "", 0, "", "the sets of rate limits that policies name", acme_limits_list},
    {"acme", "limits show", "NAME", 1, "", "one set", acme_limits_show},
    {"acme", "limits set", "NAME", 1,
     "new-accounts-per-address= new-accounts-period-s= new-orders-per-account= new-orders-period-s= failed-authorizations-per-name= "
     "failed-authorizations-period-s= certificates-per-domain= certificates-period-s= failures-before-pause=",
     "a set, new or changed: so many in so many seconds; 0: no limit", acme_limits_set},
    {"acme", "limits delete", "NAME", 1, "", "a set that no policy names", acme_limits_delete},
    {"acme", "resume", "NAME", 1, "account=", "a name that failed too often may be tried again, by every account or one", acme_resume},
    {"acme", "explain", "ORDER", 1, "", "why an order is where it is, and what comes next (its id or URL)", acme_explain},
    {"acme", "renew-within", "TIME", 1, "issuer= name= serial= explanation= all", "clients are told to replace these certificates by then: 24h, 7d",
     acme_renew_within},
    {"profile", "list", "", 0, "kind=", "the profiles of devices; --kind est, scep: those of one gateway", profile_run},
    {"profile", "show", "NAME", 1, "kind=", "one profile, as it is exported", profile_run},
    {"profile", "export", "NAME", 1, "kind=", "one profile as YAML", profile_run},
    {"profile", "create", "NAME", 1, PROFILE_OPTIONS, "a new profile, with a URL of its own", profile_run},
    {"profile", "set", "NAME", 1, PROFILE_OPTIONS, "changes what is given, and leaves the rest", profile_run},
    {"profile", "import", "FILE", 1, "kind=", "a profile, new or changed, from YAML ('-': standard input)", profile_run},
    {"profile", "delete", "NAME", 1, "kind=", "a profile with its users, secrets and RA key; what it issued stays valid", profile_run},
    {"profile", "reset-password", "NAME", 1, "kind= user=", "a new password for a user of the profile, new or old, shown this once", profile_run},
    {"profile", "rotate-passphrase", "NAME", 1, "kind= cancel", "a new passphrase for devices, shown this once; --cancel: none any more",
     profile_run},
    {"profile", "delete-user", "NAME", 1, "kind= user=", "a user of the profile, by --user", profile_run},
    {"audit", "show", "", 0, "action= limit=", "the newest records of the audit log; --action: those whose action begins so", audit_show},
    {"audit", "verify", "", 0, "head= key=", "proves that the audit log was not changed, shortened or reordered", audit_verify},
    {"migrate", "", "", 0, "", "brings the database and the streams to this version", migrate_run},
};

const size_t command_count = sizeof(commands) / sizeof(commands[0]);

int
command_length(const struct command *command)
{
    int words = command->verb[0] == '\0' ? 1 : 2;
    const char *at;

    for (at = strchr(command->verb, ' '); at != NULL; at = strchr(at + 1, ' '))
        words++;
    return words;
}
