/*
 * Settings come from environment variables. A service states each once, in a table; the table is its --help.
 *
 *     struct ra_config { int workers; const char *warrant_key_file; };
 *     static const struct setting settings[] = {
 *         SETTING_NUMBER(struct ra_config, workers, "SIGNET_RA_WORKERS", "8", 1, 256, "calls worked on at once"),
 *         SETTING_TEXT(struct ra_config, warrant_key_file, "SIGNET_RA_WARRANT_KEY_FILE", NULL, "PEM file with the Ed25519 key of the warrants"),
 *     };
 *
 * A fallback of NULL makes a setting required; "" makes a text optional. Secrets are named …_FILE and are read with
 * config_read_secret. Texts are owned by the process and live as long as it does. Threads: start-up only.
 */
#ifndef SIGNET_BASE_CONFIG_H
#define SIGNET_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/request.h"

enum setting_type { SETTING_IS_TEXT, SETTING_IS_NUMBER, SETTING_IS_SWITCH, SETTING_IS_ADDRESS };

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset;
    const char *fallback;
    long least, most; /* numbers only */
    const char *help;
};

/* const char * member */
#define SETTING_TEXT(type_, member, name_, fallback_, help_)                                                                  \
    {                                                                                                                         \
        .name = (name_), .type = SETTING_IS_TEXT, .offset = offsetof(type_, member), .fallback = (fallback_), .help = (help_) \
    }
/* int member */
#define SETTING_NUMBER(type_, member, name_, fallback_, least_, most_, help_)                                                                       \
    {                                                                                                                                               \
        .name = (name_), .type = SETTING_IS_NUMBER, .offset = offsetof(type_, member), .fallback = (fallback_), .least = (least_), .most = (most_), \
        .help = (help_)                                                                                                                             \
    }
/* bool member; "1", "true", "yes", "on" or their opposites */
#define SETTING_SWITCH(type_, member, name_, fallback_, help_)                                                                  \
    {                                                                                                                           \
        .name = (name_), .type = SETTING_IS_SWITCH, .offset = offsetof(type_, member), .fallback = (fallback_), .help = (help_) \
    }
/* const char * member; checked to be "host:port" */
#define SETTING_ADDRESS(type_, member, name_, fallback_, help_)                                                                  \
    {                                                                                                                            \
        .name = (name_), .type = SETTING_IS_ADDRESS, .offset = offsetof(type_, member), .fallback = (fallback_), .help = (help_) \
    }

/* Fills `into` from the environment. Reports every wrong setting, not only the first, as one message. */
enum error config_load(struct request *rq, const struct setting *settings, size_t count, void *into) MUST_CHECK;

/* The table as people read it: name, default, meaning. */
void config_print_help(FILE *to, const struct setting *settings, size_t count);

/* The effective values, for --check: one NAME=value line each. */
void config_print_values(FILE *to, const struct setting *settings, size_t count, const void *from);

/* Reads a whole small file (at most 64 KiB); a final newline is dropped. Fails when it is open to others; a file of root may be
 * readable for the group of a service that is not root. */
enum error config_read_secret(struct request *rq, const char *path, struct secret **ret_secret) MUST_CHECK;

/* Splits "host:port" or "[v6]:port"; false when it is neither. `host` has room for 256 characters. */
bool config_split_address(const char *address, char *ret_host, int *ret_port);

#endif
