/* The bus and the database, opened by the commands that need them. */
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "signetctl.h"

enum error
ctl_bus(struct ctl *ctl, struct request *rq)
{
    const struct bus_options options = {
        .name = "signetctl",
        .url = ctl->config.nats_url,
        .ca_file = ctl->config.nats_ca_file,
        .cert_file = ctl->config.nats_cert_file,
        .key_file = ctl->config.nats_key_file,
    };

    if (ctl->bus != NULL)
        return OK;
    if (options.url[0] == '\0')
        return argument_refused(
            rq, "SIGNET_NATS_URL is not set: this command speaks with the services over the bus; signetctl --help lists the settings");
    return bus_open(rq, &options, &ctl->bus);
}

enum error
ctl_call(struct ctl *ctl, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *method, const ProtobufCMessage *input,
         const ProtobufCMessage **ret_reply)
{
    enum error error = ctl_bus(ctl, rq);

    return error ? error : rpc_call(ctl->bus, rq, callee, "", method, input, ret_reply);
}

enum error
ctl_database(struct ctl *ctl, struct request *rq)
{
    const struct db_options options = {
        .name = "signetctl",
        .url = ctl->config.database_url,
        .password_file = ctl->config.database_password_file,
        .connections = 2,
    };

    if (ctl->db != NULL)
        return OK;
    if (options.url[0] == '\0')
        return argument_refused(rq,
                                "SIGNET_DATABASE_URL is not set: this command needs the database, as its owner; signetctl --help lists the settings");
    return db_open(rq, &options, &ctl->db);
}

void
ctl_close(struct ctl *ctl)
{
    if (ctl->bus != NULL)
        bus_close(ctl->bus, 1000);
    if (ctl->db != NULL)
        db_close(ctl->db);
}

const char *
operator_name(struct arena *arena)
{
    const char *before_sudo = getenv("SUDO_USER");
    /* cppcheck-suppress getpwuidCalled ; nobody else asks */
    const struct passwd *user = getpwuid(getuid());

    if (!text_is_empty(before_sudo))
        return arena_text(arena, before_sudo);
    return user != NULL ? arena_text(arena, user->pw_name) : arena_format(arena, "uid %u", (unsigned)getuid());
}
