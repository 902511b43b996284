/*
 * An answer of the DNS (RFC 1035 §4.1) as libunbound hands it on: its records of the type that was asked for, at the name or where aliases lead from
 * it. Libunbound has read it before, dropped what does not belong, and put the aliases in their order.
 */
#include "validator.h"

#include <arpa/nameser.h>
#include <string.h>

/* `name` is moved on. False: not an alias of it. */
static bool
follow(const ns_msg *message, const ns_rr *record, char name[NS_MAXDNAME])
{
    char target[NS_MAXDNAME];

    if (ns_rr_type(*record) != ns_t_cname || strcasecmp(record->name, name) != 0)
        return false;
    if (ns_name_uncompress(ns_msg_base(*message), ns_msg_end(*message), ns_rr_rdata(*record), target, sizeof target) < 0)
        return false;
    memcpy(name, target, sizeof target);
    return true;
}

static bool
is_asked_for(const ns_rr *record, const char *name, int type)
{
    return (int)ns_rr_type(*record) == type && ns_rr_class(*record) == ns_c_in && strcasecmp(record->name, name) == 0;
}

bool
dns_answer_read(struct arena *arena, struct bytes packet, int type, struct dns_answer *ret_answer)
{
    struct dns_answer answer = {.records = arena_array(arena, RECORDS_MAX, sizeof *answer.records)};
    char name[NS_MAXDNAME];
    ns_msg message;
    ns_rr record;

    if (packet.len > NS_MAXMSG || ns_initparse(packet.at, (int)packet.len, &message) != 0 || ns_parserr(&message, ns_s_qd, 0, &record) != 0)
        return false;
    memcpy(name, record.name, sizeof name);
    answer.rcode = (int)ns_msg_getflag(message, ns_f_rcode);
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
        if (ns_parserr(&message, ns_s_an, i, &record) != 0)
            return false;
        if (follow(&message, &record, name)) {
            answer.aliased = true;
        } else if (is_asked_for(&record, name, type)) {
            if (answer.count < RECORDS_MAX)
                answer.records[answer.count] = bytes_copy(arena, BYTES(ns_rr_rdata(record), ns_rr_rdlen(record)));
            answer.count++;
        }
    }
    *ret_answer = answer;
    return true;
}
