/* Binds the contract proto/signet/v1/signer.proto to the files that serve it. */
#include "link/rpc.h"
#include "signer.h"

RPC_HANDLER(Signer, SignCertificates, sign_certificates)
RPC_HANDLER(Signer, SignCrl, sign_crl)
RPC_HANDLER(Signer, SignOcsp, sign_ocsp)
RPC_HANDLER(Signer, SignAuditHead, sign_audit_head)
RPC_HANDLER(Signer, CreateCa, create_ca)
RPC_HANDLER(Signer, ImportCa, import_ca)
RPC_HANDLER(Signer, NameSuccessor, name_successor)
RPC_HANDLER(Signer, ListCas, list_cas)
RPC_HANDLER(Signer, ListTemplates, list_templates)
RPC_HANDLER(Signer, ImportTemplate, import_template)
RPC_HANDLER(Signer, GetScepRa, get_scep_ra)
RPC_HANDLER(Signer, OpenScepEnvelope, open_scep_envelope)
RPC_HANDLER(Signer, SignScepReply, sign_scep_reply)
RPC_HANDLER(Signer, SignScepNextCa, sign_scep_next_ca)
RPC_HANDLER(Signer, DestroyScepRa, destroy_scep_ra)

static Pb__Signer_Service table = PB__SIGNER__INIT(serve_);

ProtobufCService *
signer_handlers(void)
{
    return &table.base;
}
