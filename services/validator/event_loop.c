/*
 * A look at the DNS takes two sockets and a few timers for some milliseconds: one poll over a short list. What is ready is told first and what is
 * overdue after it, for an answer that has come takes its timer away.
 */
#include "event_loop.h"

#include <assert.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unbound-event.h>

#include "base/clock.h"

struct event {
    struct ub_event event; /* first: what libunbound sees */
    struct event_loop *loop;
    struct event *next;
    int fd;
    short bits;
    void (*call)(int fd, short what, void *context);
    void *context;
    bool active;
    int64_t timeout_us, due_us; /* 0: none */
    short happened;             /* and was not told yet */
};

struct event_loop {
    struct ub_event_base base; /* first: what libunbound sees */
    struct event *first;
    struct pollfd *polled;
    size_t room; /* there */
};

/* ---- what libunbound calls ---- */

static void
add_bits(struct ub_event *event, short bits)
{
    ((struct event *)event)->bits |= bits;
}

static void
del_bits(struct ub_event *event, short bits)
{
    ((struct event *)event)->bits &= (short)~bits;
}

static void
set_fd(struct ub_event *event, int fd)
{
    ((struct event *)event)->fd = fd;
}

static void
free_event(struct ub_event *freed)
{
    struct event *event = (struct event *)freed, **at = &event->loop->first;

    while (*at != event)
        at = &(*at)->next;
    *at = event->next;
    free(event);
}

static int
add(struct ub_event *added, struct timeval *timeout)
{
    struct event *event = (struct event *)added;

    event->active = true;
    event->timeout_us = timeout == NULL ? 0 : (int64_t)timeout->tv_sec * 1000000 + timeout->tv_usec;
    event->due_us = timeout == NULL ? 0 : clock_monotonic_us() + event->timeout_us;
    return 0;
}

static int
del(struct ub_event *deleted)
{
    struct event *event = (struct event *)deleted;

    event->active = false;
    event->due_us = 0;
    event->happened = 0;
    return 0;
}

static int
add_timer(struct ub_event *added, struct ub_event_base *base, void (*call)(int, short, void *), void *context, struct timeval *timeout)
{
    struct event *event = (struct event *)added;

    event->call = call;
    event->context = context;
    return add(added, timeout);
}

static struct ub_event_vmt event_table = {.add_bits = add_bits,
                                          .del_bits = del_bits,
                                          .set_fd = set_fd,
                                          .free = free_event,
                                          .add = add,
                                          .del = del,
                                          .add_timer = add_timer,
                                          .del_timer = del};

static struct ub_event *
new_event(struct ub_event_base *base, int fd, short bits, void (*call)(int, short, void *), void *context)
{
    struct event_loop *loop = (struct event_loop *)base;
    struct event *event = calloc(1, sizeof *event);

    if (event == NULL)
        abort();
    *event = (struct event){.event = {.magic = UB_EVENT_MAGIC, .vmt = &event_table},
                            .loop = loop,
                            .next = loop->first,
                            .fd = fd,
                            .bits = bits,
                            .call = call,
                            .context = context};
    loop->first = event;
    return &event->event;
}

static struct ub_event_base_vmt base_table = {.new_event = new_event};

/* ---- a turn ---- */

struct event_loop *
event_loop_new(void)
{
    struct event_loop *loop = calloc(1, sizeof *loop);

    if (loop == NULL)
        abort();
    loop->base = (struct ub_event_base){.magic = UB_EVENT_MAGIC, .vmt = &base_table};
    return loop;
}

void
event_loop_free(struct event_loop *loop)
{
    assert(loop->first == NULL); /* libunbound has taken its events back */
    free(loop->polled);
    free(loop);
}

struct ub_event_base *
event_loop_base(struct event_loop *loop)
{
    return &loop->base;
}

static bool
is_polled(const struct event *event)
{
    return event->active && event->fd >= 0 && (event->bits & (UB_EV_READ | UB_EV_WRITE)) != 0;
}

static size_t
fill_polled(struct event_loop *loop)
{
    size_t wanted = 0, count = 0;

    for (const struct event *event = loop->first; event != NULL; event = event->next)
        wanted += is_polled(event);
    if (wanted > loop->room) {
        loop->polled = realloc(loop->polled, wanted * sizeof *loop->polled);
        loop->room = wanted;
        if (loop->polled == NULL)
            abort();
    }
    for (const struct event *event = loop->first; event != NULL; event = event->next) {
        short wish = (short)((event->bits & UB_EV_READ ? POLLIN : 0) | (event->bits & UB_EV_WRITE ? POLLOUT : 0));
        if (is_polled(event))
            loop->polled[count++] = (struct pollfd){.fd = event->fd, .events = wish};
    }
    return count;
}

static int64_t
first_due_us(const struct event_loop *loop, int64_t until_us)
{
    for (const struct event *event = loop->first; event != NULL; event = event->next)
        if (event->due_us != 0 && event->due_us < until_us)
            until_us = event->due_us;
    return until_us;
}

/* Before the first of them is told: telling changes the list. */
static void
mark(struct event_loop *loop)
{
    const struct pollfd *polled = loop->polled;
    int64_t now_us = clock_monotonic_us();

    for (struct event *event = loop->first; event != NULL; event = event->next) {
        short found = is_polled(event) ? polled++->revents : 0;
        short reads = found & (POLLIN | POLLERR | POLLHUP) ? UB_EV_READ : 0, writes = found & (POLLOUT | POLLERR | POLLHUP) ? UB_EV_WRITE : 0;
        event->happened = (short)((reads | writes) & event->bits);
        if (event->happened == 0 && event->due_us != 0 && event->due_us <= now_us)
            event->happened = UB_EV_TIMEOUT;
    }
}

static struct event *
find_happened(const struct event_loop *loop, short what)
{
    struct event *event = loop->first;

    while (event != NULL && (event->happened & what) == 0)
        event = event->next;
    return event;
}

static void
tell(struct event_loop *loop, short what)
{
    for (struct event *event; (event = find_happened(loop, what)) != NULL;) {
        short happened = event->happened;
        event->happened = 0;
        event->active = (event->bits & UB_EV_PERSIST) != 0;
        event->due_us = event->active && event->timeout_us != 0 ? clock_monotonic_us() + event->timeout_us : 0;
        event->call(event->fd, happened, event->context);
    }
}

void
event_loop_turn(struct event_loop *loop, int64_t until_ms)
{
    size_t count = fill_polled(loop);
    int64_t left_us = first_due_us(loop, until_ms * 1000) - clock_monotonic_us();

    if (poll(loop->polled, count, left_us <= 0 ? 0 : (int)((left_us + 999) / 1000)) < 0)
        return; /* a signal */
    mark(loop);
    tell(loop, UB_EV_READ | UB_EV_WRITE);
    tell(loop, UB_EV_TIMEOUT);
}
