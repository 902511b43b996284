/*
 * Ownership by scope. A variable declared with AUTO is freed when it goes out of scope, so that every function
 * may simply `return`. TAKE hands the value on and leaves NULL behind.
 *
 *     AUTO(X509, cert) = d2i_X509(NULL, &at, len);      // freed on every return
 *     if (cert == NULL)
 *         return fail(rq, ERR_BAD_REQUEST, "not a certificate");
 *     *ret_cert = TAKE(cert);                           // now the caller's
 *
 * A type opts in once with DEFINE_AUTO(type, free_function) next to its declaration; `struct thing` is written
 * DEFINE_AUTO_STRUCT(thing, thing_free) and AUTO_STRUCT(thing, name).
 */
#ifndef SIGNET_BASE_AUTO_H
#define SIGNET_BASE_AUTO_H

#include <pthread.h>

#define DEFINE_AUTO(type, free_function)           \
    static inline void auto_free_##type(type **at) \
    {                                              \
        if (*at != NULL)                           \
            free_function(*at);                    \
    }                                              \
    struct auto_swallow_semicolon_##type

#define DEFINE_AUTO_STRUCT(name, free_function)                  \
    static inline void auto_free_struct_##name(struct name **at) \
    {                                                            \
        if (*at != NULL)                                         \
            free_function(*at);                                  \
    }                                                            \
    struct auto_swallow_semicolon_struct_##name

#define AUTO(type, variable) __attribute__((cleanup(auto_free_##type))) type *variable
#define AUTO_STRUCT(name, variable) __attribute__((cleanup(auto_free_struct_##name))) struct name *variable

#define TAKE(pointer)                           \
    __extension__({                             \
        __typeof__(pointer) taken_ = (pointer); \
        (pointer) = NULL;                       \
        taken_;                                 \
    })

/* A closing file descriptor: `AUTO_FD fd = open(…)`. */
void auto_close_fd(int *fd);
#define AUTO_FD __attribute__((cleanup(auto_close_fd))) int

/* Memory from malloc: `AUTO_FREE char *line = NULL;`. */
void auto_free_memory(void *pointer_to_pointer);
#define AUTO_FREE __attribute__((cleanup(auto_free_memory)))

/* A held mutex: `AUTO_LOCK(&pool->mutex);` locks here and unlocks at the end of the scope. */
void auto_unlock(pthread_mutex_t **held);
pthread_mutex_t *auto_lock(pthread_mutex_t *mutex);
#define AUTO_LOCK_NAME_(line) auto_lock_held_##line
#define AUTO_LOCK_AT_(m, line) __attribute__((cleanup(auto_unlock), unused)) pthread_mutex_t *AUTO_LOCK_NAME_(line) = auto_lock(m)
#define AUTO_LOCK_LINE_(m, l) AUTO_LOCK_AT_(m, l)
#define AUTO_LOCK(mutex) AUTO_LOCK_LINE_(mutex, __LINE__)

#endif
