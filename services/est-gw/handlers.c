/* Binds the contract proto/signet/v1/est_gw.proto to the files that serve it. */
#include "est.h"

RPC_HANDLER(EstGw, StoreEstProfile, store_est_profile)
RPC_HANDLER(EstGw, ListEstProfiles, list_est_profiles)
RPC_HANDLER(EstGw, DeleteEstProfile, delete_est_profile)
RPC_HANDLER(EstGw, ResetEstPassword, reset_est_password)
RPC_HANDLER(EstGw, DeleteEstUser, delete_est_user)
RPC_HANDLER(EstGw, StoreEstCrl, store_est_crl)
RPC_HANDLER(EstGw, DeleteEstCrls, delete_est_crls)

static Pb__EstGw_Service table = PB__EST_GW__INIT(serve_);

ProtobufCService *
est_handlers(void)
{
    return &table.base;
}
