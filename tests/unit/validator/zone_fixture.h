/* A real authoritative DNS server (knotd) with the zones of a test, one of them signed, on a free port of loopback. */
#ifndef SIGNET_TESTS_VALIDATOR_ZONE_FIXTURE_H
#define SIGNET_TESTS_VALIDATOR_ZONE_FIXTURE_H

#include "world_fixture.h"

#include <sys/stat.h>

static struct {
    char directory[64];
    pid_t knotd;
    int port;
} zones;

static inline void
write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", zones.directory, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

#define ZONE_HEAD "@ 5 SOA ns.test. admin.test. 1 60 60 600 5\n@ 5 NS ns.test.\n"

static inline void
write_zones(const char *records, const char *signed_records)
{
    char text[16384];

    snprintf(text, sizeof text, "$ORIGIN test.\n" ZONE_HEAD "ns 5 A 127.0.0.1\n%s", records);
    write_file("test.zone", text);
    snprintf(text, sizeof text, "$ORIGIN signed.test.\n" ZONE_HEAD "%s", signed_records);
    write_file("signed.zone", text);
    snprintf(text, sizeof text,
             "server:\n  listen: 127.0.0.1@%d\n  rundir: %s\nlog:\n- target: stderr\n  any: error\ndatabase:\n  storage: %s\n"
             "zone:\n- domain: test.\n  storage: %s\n  file: test.zone\n- domain: signed.test.\n  storage: %s\n  file: signed.zone\n"
             "  dnssec-signing: on\n",
             zones.port, zones.directory, zones.directory, zones.directory, zones.directory);
    write_file("knot.conf", text);
}

static inline char *
zones_file(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", zones.directory, name);
    return path;
}

/* The DS record of the signed zone, as a trust anchor. */
static inline void
write_trust_anchor(void)
{
    char command[256], line[512] = "";

    snprintf(command, sizeof command, "keymgr -c %s/knot.conf signed.test. ds 2>/dev/null", zones.directory);
    FILE *pipe = popen(command, "re");
    assert_non_null(pipe);
    while (strstr(line, " DS ") == NULL || strstr(line, " 2 ") == NULL)
        if (fgets(line, sizeof line, pipe) == NULL)
            fail_msg("keymgr tells no DS record");
    pclose(pipe);
    write_file("anchor", line);
    /* Of a zone that is not signed at all. */
    write_file("wrong-anchor", "test. IN DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n");
}

static inline void
start_knotd_once(const char *records, const char *signed_records)
{
    close(listen_on_loopback(SOCK_DGRAM, &zones.port));
    write_zones(records, signed_records);
    zones.knotd = fork();
    if (zones.knotd == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl("/usr/sbin/knotd", "knotd", "-c", zones_file("knot.conf"), NULL);
        _exit(127);
    }
}

static inline void
open_zones(const char *records, const char *signed_records)
{
    bool answers = false;

    strcpy(zones.directory, "/tmp/signet-zones-XXXXXX");
    assert_non_null(mkdtemp(zones.directory));
    for (int i = 0; i < 5 && !answers; i++) {
        start_knotd_once(records, signed_records);
        answers = dns_answers(zones.knotd, zones.port);
    }
    assert_true(answers);
    write_trust_anchor();
}

static inline void
close_zones(void)
{
    char command[128];

    kill(zones.knotd, SIGTERM);
    waitpid(zones.knotd, NULL, 0);
    snprintf(command, sizeof command, "rm -rf %s", zones.directory);
    assert_int_equal(system(command), 0);
}

#endif
