/* Binds the contract proto/signet/v1/crl_publisher.proto to the file that serves it. */
#include "crl_publisher.h"
#include "link/rpc.h"

RPC_HANDLER(CrlPublisher, PublishCrl, publish_crl)

static Pb__CrlPublisher_Service table = PB__CRL_PUBLISHER__INIT(serve_);

ProtobufCService *
publisher_handlers(void)
{
    return &table.base;
}
