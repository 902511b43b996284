/* The functions that the compiler calls at the end of a scope for AUTO_FD, AUTO_FREE and AUTO_LOCK. */
#include "base/auto.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Keeps errno: a function often returns because of it. */
void
auto_close_fd(int *fd)
{
    if (*fd < 0)
        return;
    int saved = errno;
    close(*fd);
    *fd = -1;
    errno = saved;
}

void
auto_free_memory(void *pointer_to_pointer)
{
    void *memory;

    memcpy(&memory, pointer_to_pointer, sizeof memory);
    free(memory);
}

pthread_mutex_t *
auto_lock(pthread_mutex_t *mutex)
{
    int error = pthread_mutex_lock(mutex);

    assert(error == 0);
    (void)error;
    return mutex;
}

void
auto_unlock(pthread_mutex_t **held)
{
    int error = pthread_mutex_unlock(*held);

    assert(error == 0);
    (void)error;
}
