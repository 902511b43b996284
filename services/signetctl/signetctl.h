/*
 * The operator's command. Each command is one function in one file; commands.c is the table of them all.
 *
 * A command returns an error kind like every other function; main prints what it says and turns it into the exit code:
 * 0 done, 1 refused, 2 wrong usage, 3 something is away (try again), 4 not found, 5 the audit log does not verify.
 */
#ifndef SIGNET_SIGNETCTL_H
#define SIGNET_SIGNETCTL_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

#include "base/request.h"
#include "link/bus.h"
#include "link/db.h"
#include "link/message.h"
#include "link/rpc.h"
#include "signet/v1/acme_gw.pb-c.h"
#include "signet/v1/inventory.pb-c.h"
#include "signet/v1/ra.pb-c.h"
#include "signet/v1/signer.pb-c.h"

DEFINE_AUTO(json_t, json_decref);

#define EXIT_REFUSED 1
#define EXIT_USAGE 2
#define EXIT_UNAVAILABLE 3
#define EXIT_NOT_FOUND 4
#define EXIT_UNVERIFIED 5

struct ctl_config {
    const char *nats_url, *nats_ca_file, *nats_cert_file, *nats_key_file;
    const char *database_url, *database_password_file;
    int timeout_ms;
};

#define ARGUMENTS_MAX 64

/* What was typed behind the command's two words. */
struct arguments {
    const char *words[ARGUMENTS_MAX];
    size_t word_count;
    struct {
        const char *name;
        const char *value; /* "" for a switch */
    } options[ARGUMENTS_MAX];
    size_t option_count;
};

struct ctl {
    struct ctl_config config;
    const struct command *command;
    struct arguments arguments;
    bool json;
    struct bus *bus; /* opened by ctl_bus on first use */
    struct db *db;   /* opened by ctl_database on first use */
};

struct command {
    const char *group, *verb; /* "ca", "create"; "acme", "policy create"; verb "" for a group of one */
    const char *words;        /* positional arguments, for the usage: "NAME"; "[NAME]" when it may be missing */
    int word_count;
    const char *options; /* "parent= csr-only": '=' takes a value */
    const char *summary;
    enum error (*run)(struct ctl *ctl, struct request *rq);
};

/* commands.c */
extern const struct command commands[];
extern const size_t command_count;
/* How many words the group and the verb are. */
int command_length(const struct command *command);

/* arguments.c: the value, "" for a given switch, NULL when it was not given */
const char *argument(const struct ctl *ctl, const char *name);
const char *argument_or(const struct ctl *ctl, const char *name, const char *fallback);
enum error argument_number(const struct ctl *ctl, struct request *rq, const char *name, int64_t least, int64_t most, int64_t fallback,
                           int64_t *ret_number) MUST_CHECK;
/* The refusal of a command that was called wrongly: exit code 2. */
enum error argument_refused(struct request *rq, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum error arguments_parse(struct ctl *ctl, struct request *rq, int count, char **words) MUST_CHECK;

/* connect.c */
enum error ctl_bus(struct ctl *ctl, struct request *rq) MUST_CHECK;
enum error ctl_database(struct ctl *ctl, struct request *rq) MUST_CHECK;
enum error ctl_call(struct ctl *ctl, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *method, const ProtobufCMessage *input,
                    const ProtobufCMessage **ret_reply) MUST_CHECK;
/* RPC_CALL over the bus, which the first call opens. */
#define CTL_CALL(ctl, rq, service, method, input, ret_reply)                                                              \
    ctl_call((ctl), (rq), &pb__##service##__descriptor, #method, &(1 ? (input) : (const Pb__##method##Request *)0)->base, \
             (const ProtobufCMessage **)(1 ? (ret_reply) : (const Pb__##method##Reply **)0))
void ctl_close(struct ctl *ctl);
/* Who sits at the keyboard, for the audit log: the login that started sudo, or the user. */
const char *operator_name(struct arena *arena);

/* files.c: whole files, bounded; PEM or DER certificates and CSRs */
enum error file_read(struct request *rq, const char *path, size_t most, struct bytes *ret_bytes) MUST_CHECK;
enum error file_read_der(struct request *rq, const char *path, const char *label, struct bytes *ret_der) MUST_CHECK;

/* PEM blocks for --out; `path` NULL: standard output. `again` says how to get them again when they cannot be written. */
enum error file_write(struct request *rq, const char *path, const char *text, const char *again) MUST_CHECK;

/* table.c: columns as wide as their longest cell. What a terminal would obey is shown as '?': names in certificates are made by strangers. */
#define TABLE_COLUMNS_MAX 16
struct table;
struct table *table_new(struct arena *arena, const char *const *heads, size_t columns);
void table_row(struct table *table, const char *const *cells);
void table_print(const struct table *table, FILE *to);
/* "name   value" lines; NULL values are left out */
void table_facts(FILE *to, const char *const (*facts)[2], size_t count);

/* message_json.c: any contract message as JSON: bytes in hex, times ("…_s") as RFC 3339, enums by their short name */
json_t *message_json(struct arena *arena, const ProtobufCMessage *message);
void json_print(json_t *take);
void json_print_to(FILE *to, json_t *take);
/* "NAME_TYPE_DNS" of NameType → "dns" */
const char *enum_short_name(struct arena *arena, const ProtobufCEnumDescriptor *type, int value);
bool enum_from_short_name(struct arena *arena, const ProtobufCEnumDescriptor *type, const char *name, int *ret_value);

/* message_options.c: the fields that are given as options; lists are written with commas */
enum error message_from_options(struct ctl *ctl, struct request *rq, ProtobufCMessage *message) MUST_CHECK;

/* message_yaml.c: fields that are not named keep what the message has. `noun`: "a template" */
enum error message_from_yaml(struct request *rq, struct bytes yaml, const char *noun, ProtobufCMessage *message) MUST_CHECK;
void message_to_yaml(struct arena *arena, const ProtobufCMessage *message, struct buffer *to);
/* One value (of a list: one element) as people write it. NULL, or what is wrong with the text: "is true or false" */
const char *field_from_text(struct arena *arena, const ProtobufCFieldDescriptor *field, const char *text, void *to) MUST_CHECK;

/* answer.c: --json: the reply, else the line for people */
enum error answer(const struct ctl *ctl, struct request *rq, const ProtobufCMessage *reply, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Whether --json was asked for, and the reply is printed. */
bool answer_json(const struct ctl *ctl, struct request *rq, const ProtobufCMessage *reply);
/* Of what was written: "created", "changed", "unchanged". */
const char *put_word(bool created, bool changed);

/* list_command.c */
struct listing {
    const char *heads[TABLE_COLUMNS_MAX + 1]; /* up to NULL */
    void (*add_row)(struct request *rq, struct table *table, const void *element);
};
/* A repeated field of messages, as a table for people. */
void list_print(struct request *rq, const struct listing *listing, const void *const *elements, size_t count);
/* ERR_NOT_FOUND when nothing is listed for a name. `noun`: "ACME policy", `see`: "acme policy list" */
enum error list_check_found(struct request *rq, const char *name, size_t count, const char *noun, const char *see) MUST_CHECK;
/* "a,b,c" */
const char *list_joined(struct arena *arena, const char *const *texts, size_t count);

/* known_names.c: ERR_NOT_FOUND for a name that nobody has; an empty one, or NULL, is none. `field` is what was to have it, for the message */
enum error check_template_name(struct ctl *ctl, struct request *rq, const char *field, const char *name) MUST_CHECK;
enum error check_ca_name(struct ctl *ctl, struct request *rq, const char *field, const char *name) MUST_CHECK;

/* yaml_file.c */
/* `message` as YAML; with --json `stored`: the same, or what it lies in. */
enum error yaml_show(const struct ctl *ctl, struct request *rq, const ProtobufCMessage *stored, const ProtobufCMessage *message);
/* From the file of at most `most` octets that the first word names. `noun` as in message_from_yaml. */
enum error yaml_import(const struct ctl *ctl, struct request *rq, size_t most, const char *noun, ProtobufCMessage *message) MUST_CHECK;

/* template.c */
enum error template_from_yaml(struct request *rq, struct bytes yaml, Pb__Template **ret_template) MUST_CHECK;

/* one function per command, in the file of its name */
enum error ca_create(struct ctl *ctl, struct request *rq);
enum error ca_list(struct ctl *ctl, struct request *rq);
enum error ca_show(struct ctl *ctl, struct request *rq);
enum error ca_import(struct ctl *ctl, struct request *rq);
enum error ca_successor(struct ctl *ctl, struct request *rq);
enum error template_list(struct ctl *ctl, struct request *rq);
enum error template_show(struct ctl *ctl, struct request *rq);
enum error template_import(struct ctl *ctl, struct request *rq);
enum error acme_explain(struct ctl *ctl, struct request *rq);
enum error acme_renew_within(struct ctl *ctl, struct request *rq);
enum error acme_policy_list(struct ctl *ctl, struct request *rq);
enum error acme_policy_show(struct ctl *ctl, struct request *rq);
enum error acme_policy_create(struct ctl *ctl, struct request *rq);
enum error acme_policy_set(struct ctl *ctl, struct request *rq);
enum error acme_policy_import(struct ctl *ctl, struct request *rq);
enum error acme_policy_delete(struct ctl *ctl, struct request *rq);
enum error acme_account_list(struct ctl *ctl, struct request *rq);
enum error acme_account_show(struct ctl *ctl, struct request *rq);
enum error acme_account_revoke(struct ctl *ctl, struct request *rq);
enum error acme_eab_list(struct ctl *ctl, struct request *rq);
enum error acme_eab_show(struct ctl *ctl, struct request *rq);
enum error acme_eab_create(struct ctl *ctl, struct request *rq);
enum error acme_eab_delete(struct ctl *ctl, struct request *rq);
enum error acme_eab_revoke(struct ctl *ctl, struct request *rq);
enum error acme_limits_list(struct ctl *ctl, struct request *rq);
enum error acme_limits_show(struct ctl *ctl, struct request *rq);
enum error acme_limits_set(struct ctl *ctl, struct request *rq);
enum error acme_limits_delete(struct ctl *ctl, struct request *rq);
enum error acme_resume(struct ctl *ctl, struct request *rq);
enum error cert_list(struct ctl *ctl, struct request *rq);
enum error cert_show(struct ctl *ctl, struct request *rq);
enum error cert_request(struct ctl *ctl, struct request *rq);
enum error cert_explain(struct ctl *ctl, struct request *rq);
enum error cert_revoke(struct ctl *ctl, struct request *rq);
enum error cert_pending(struct ctl *ctl, struct request *rq);
enum error cert_approve(struct ctl *ctl, struct request *rq);
enum error cert_deny(struct ctl *ctl, struct request *rq);
enum error crl_publish(struct ctl *ctl, struct request *rq);
enum error migrate_run(struct ctl *ctl, struct request *rq);
enum error profile_run(struct ctl *ctl, struct request *rq);
enum error audit_show(struct ctl *ctl, struct request *rq);
enum error audit_verify(struct ctl *ctl, struct request *rq);
enum error status(struct ctl *ctl, struct request *rq);

/* cert.c: "keyCompromise", as RFC 5280 writes it, or "key_compromise" */
enum error revocation_reason(struct request *rq, const char *name, Pb__RevocationReason *ret_reason) MUST_CHECK;
/* cert.c: by serial number or SHA-256, as people write them */
enum error cert_find(struct ctl *ctl, struct request *rq, const char *name, const Pb__ShowCertificateReply **ret_reply) MUST_CHECK;

#endif
