/*
 * Protobuf messages between the wire and an arena. Unpacking is bounded (a small body can describe a huge message) and refuses texts that are
 * not UTF-8, which protobuf-c lets through.
 *
 * Owner: the arena. Threads: any.
 */
#ifndef SIGNET_LINK_MESSAGE_H
#define SIGNET_LINK_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"

/* What one message may take in memory. */
#define MESSAGE_UNPACKED_MAX (16 * 1024 * 1024)

/* A bytes field as a span, and back: both borrow. protobuf-c has no const, but does not write to what it packs. */
static inline struct bytes
message_bytes(ProtobufCBinaryData field)
{
    return BYTES(field.data, field.len);
}

static inline ProtobufCBinaryData
message_data(struct bytes from)
{
    return (ProtobufCBinaryData){.len = from.len, .data = (uint8_t *)from.at};
}

struct bytes message_pack(struct arena *arena, const ProtobufCMessage *message);

/* NULL when the bytes are not a message of this type, or too large once unpacked. */
const ProtobufCMessage *message_unpack(struct arena *arena, const ProtobufCMessageDescriptor *type, struct bytes from);

#endif
