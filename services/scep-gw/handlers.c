/* Binds the contract proto/signet/v1/scep_gw.proto to the files that serve it. */
#include "link/rpc.h"
#include "scep.h"

RPC_HANDLER(ScepGw, SaveScepProfile, save_scep_profile)
RPC_HANDLER(ScepGw, ListScepProfiles, list_scep_profiles)
RPC_HANDLER(ScepGw, DeleteScepProfile, delete_scep_profile)
RPC_HANDLER(ScepGw, RotateScepSecret, rotate_scep_secret)

static Pb__ScepGw_Service table = PB__SCEP_GW__INIT(serve_);

ProtobufCService *
scep_handlers(void)
{
    return &table.base;
}
