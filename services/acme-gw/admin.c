/* Binds the service AcmeAdmin of proto/signet/v1/acme_gw.proto to the files that serve it. */
#include "acme.h"

RPC_HANDLER(AcmeAdmin, ListAcmePolicies, list_acme_policies)
RPC_HANDLER(AcmeAdmin, PutAcmePolicy, put_acme_policy)
RPC_HANDLER(AcmeAdmin, DeleteAcmePolicy, delete_acme_policy)
RPC_HANDLER(AcmeAdmin, CreateEab, create_eab)
RPC_HANDLER(AcmeAdmin, ListEabs, list_eabs)
RPC_HANDLER(AcmeAdmin, DeleteEab, delete_eab)
RPC_HANDLER(AcmeAdmin, RevokeEab, revoke_eab)
RPC_HANDLER(AcmeAdmin, ListAcmeAccounts, list_acme_accounts)
RPC_HANDLER(AcmeAdmin, ShowAcmeAccount, show_acme_account)
RPC_HANDLER(AcmeAdmin, RevokeAcmeAccount, revoke_acme_account)
RPC_HANDLER(AcmeAdmin, ListAcmeAccountCertificates, list_acme_account_certificates)
RPC_HANDLER(AcmeAdmin, ListAcmeLimits, list_acme_limits)
RPC_HANDLER(AcmeAdmin, PutAcmeLimits, put_acme_limits)
RPC_HANDLER(AcmeAdmin, DeleteAcmeLimits, delete_acme_limits)
RPC_HANDLER(AcmeAdmin, ResumeName, resume_name)
RPC_HANDLER(AcmeAdmin, ExplainOrder, explain_order)
RPC_HANDLER(AcmeAdmin, MoveRenewalWindow, move_renewal_window)

static Pb__AcmeAdmin_Service table = PB__ACME_ADMIN__INIT(serve_);

ProtobufCService *
acme_admin_handlers(void)
{
    return &table.base;
}
