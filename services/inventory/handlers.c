/* Binds the contract proto/signet/v1/inventory.proto to the files that serve it. */
#include "inventory.h"
#include "link/rpc.h"

RPC_HANDLER(Inventory, FindCertificates, find_certificates)
RPC_HANDLER(Inventory, ShowCertificate, show_certificate)

static Pb__Inventory_Service table = PB__INVENTORY__INIT(serve_);

ProtobufCService *
inventory_handlers(void)
{
    return &table.base;
}
