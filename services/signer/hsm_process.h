/* One hsm-worker child: exec with a socketpair, first words, end. Used by hsm_pool.c's own thread only. */
#ifndef SIGNET_SIGNER_HSM_PROCESS_H
#define SIGNET_SIGNER_HSM_PROCESS_H

#include <sys/types.h>

#include "hsm_pool.h"

struct hsm_process {
    pid_t pid; /* 0: none */
    int fd;
};

/* Starts the child; 0, or an errno. Must be called by a thread that lives as long as the process: the child dies with the thread that made it. */
int hsm_process_spawn(const struct hsm_pool_options *options, struct hsm_process *ret_process);

/* Ends it: politely within `patience_ms` (its socket is closed, it logs out), else by SIGKILL. Reaps it. The way it ended, as for waitpid. */
int hsm_process_end(struct hsm_process *process, int patience_ms);

/* What recv of one whole answer came to. */
enum hsm_received { HSM_RECEIVED, HSM_RECEIVED_NOTHING_IN_TIME, HSM_RECEIVED_END };

enum hsm_received hsm_process_receive(int fd, int within_ms, struct hsm_answer *ret_answer);
bool hsm_process_send(int fd, const struct hsm_call *call);

#endif
