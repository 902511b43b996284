/*
 * Bodies from the bus. The first octet chooses the contract. What is accepted must be stable: packed and read again it is the same, because
 * idempotency keys and warrants are compared by what was read.
 */
#include <stdlib.h>

#include "link/message.h"
#include "signet/v1/event.pb-c.h"
#include "signet/v1/ra.pb-c.h"
#include "signet/v1/signer.pb-c.h"
#include "signet/v1/validator.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &pb__enroll_request__descriptor,
        &pb__explain_reply__descriptor,
        &pb__certificate_issued__descriptor,
        &pb__sign_certificates_request__descriptor,
        &pb__import_template_request__descriptor,
        &pb__validate_challenge_request__descriptor,
        &pb__event_bundle__descriptor,
    };
    if (size == 0)
        return 0;
    AUTO_STRUCT(arena, arena) = arena_new();
    const ProtobufCMessageDescriptor *type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
    const ProtobufCMessage *message = message_unpack(arena, type, BYTES(data + 1, size - 1));
    if (message == NULL)
        return 0;
    struct bytes packed = message_pack(arena, message);
    const ProtobufCMessage *again = message_unpack(arena, type, packed);
    if (again == NULL || !bytes_equal(message_pack(arena, again), packed))
        abort();
    return 0;
}
