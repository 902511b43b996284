/*
 * hsm-worker: the only program that loads the PKCS#11 module.
 *
 * Serves: one signer, over the socketpair on descriptor 3 (protocol.h): sign, decrypt, generate, destroy, find, ping.
 * Settings: SIGNET_HSM_MODULE, SIGNET_HSM_TOKEN, SIGNET_HSM_PIN_FILE, and whatever the module itself reads (SOFTHSM2_CONF).
 * Privileges: the token's PIN; no database, no bus, no other descriptor of the signer.
 * On failure: says why and exits. It never tries anything twice: how often and when is the signer's decision. It dies with its parent, and it
 * ends when the socket does; SIGTERM and SIGINT, which a terminal or a supervisor sends to the whole group, are left to the signer, which drains
 * first.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "worker.h"

static enum hsm_status
perform(struct worker *worker, const struct hsm_call *call, struct hsm_answer *answer)
{
    switch ((enum hsm_operation)call->operation) {
    case HSM_PING:
        return token_ping(worker, answer);
    case HSM_SIGN:
        return key_sign(worker, call, answer);
    case HSM_GENERATE:
        return key_generate(worker, call, answer);
    case HSM_FIND:
        return key_find(worker, call, answer);
    case HSM_DESTROY:
        return key_destroy(worker, call, answer);
    case HSM_DECRYPT:
        return key_decrypt(worker, call, answer);
    }
    return answer_text(answer, HSM_REFUSED, "there is no operation %u", call->operation);
}

static bool
send_answer(const struct hsm_answer *answer)
{
    size_t size = hsm_answer_size(answer);

    return send(HSM_FD, answer, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Only the head: the data is written where data_len says so. */
static void
clear_answer(struct hsm_answer *answer)
{
    memset(answer, 0, offsetof(struct hsm_answer, data));
}

static void
serve(struct worker *worker)
{
    static struct hsm_call call;
    static struct hsm_answer answer;

    for (;;) {
        ssize_t got = recv(HSM_FD, &call, sizeof call, 0);
        if (got <= 0 || !hsm_call_is_whole(&call, (size_t)got))
            return;
        clear_answer(&answer);
        answer.status = perform(worker, &call, &answer);
        if (!send_answer(&answer) || answer.status == HSM_LOST)
            return;
    }
}

/* No core files with a PIN or key in them, no debugger, no life after the signer. */
static void
harden(void)
{
    static const int left_to_the_signer[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
    struct rlimit none = {0, 0};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; i < sizeof left_to_the_signer / sizeof left_to_the_signer[0]; i++)
        signal(left_to_the_signer[i], SIG_IGN);
}

/* Somebody's shell, or a supervisor that was told of the wrong program. */
static bool
has_a_signer(void)
{
    int type = 0;
    socklen_t len = sizeof type;

    return getsockopt(HSM_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

int
main(void)
{
    static struct worker worker;
    static struct hsm_answer ready;

    if (!has_a_signer()) {
        fputs("hsm-worker: started by signer, not by hand; its settings are those of signer --help\n", stderr);
        return 2;
    }
    harden();
    softhsm_guard();
    ready.status = token_open(&worker, &ready);
    if (send_answer(&ready) && ready.status == HSM_OK)
        serve(&worker);
    token_close(&worker);
    return ready.status == HSM_OK ? 0 : 1;
}
