/* Figures in Prometheus' text format. The registry lives as long as the process, so each case has names of its own. */
#include "unit/kit.h"

#include <pthread.h>
#include <string.h>

#include "link/metrics.h"

static struct arena *arena;

static int
make_arena(void **state)
{
    arena = arena_new();
    return 0;
}

static int
drop_arena(void **state)
{
    arena_free(TAKE(arena));
    return 0;
}

/* The part of the page that speaks of one name, HELP and TYPE included. */
static const char *
rendered(const char *name)
{
    struct buffer page = buffer_in(arena);

    metrics_render(&page);
    const char *from = strstr(buffer_text(&page), arena_format(arena, "# HELP %s ", name));
    if (from == NULL)
        return "";
    const char *next = strstr(from + 1, "# HELP ");
    return next == NULL ? from : arena_text_n(arena, from, (size_t)(next - from));
}

static void
counters_add_up_per_label(void **state)
{
    struct metric *tls = metric_counter("t_issued_total", "certificates issued", "template", "TLS");
    struct metric *user = metric_counter("t_issued_total", "certificates issued", "template", "User");

    metric_add(tls, 2);
    metric_add(user, 1);
    metric_add(tls, 3);
    assert_string_equal(rendered("t_issued_total"), "# HELP t_issued_total certificates issued\n"
                                                    "# TYPE t_issued_total counter\n"
                                                    "t_issued_total{template=\"TLS\"} 5\n"
                                                    "t_issued_total{template=\"User\"} 1\n");
}

static void
the_same_name_and_label_is_the_same_metric(void **state)
{
    char value[] = "busy";
    struct metric *first = metric_counter("t_results_total", "results", "result", value);

    memcpy(value, "idle", sizeof value); /* values are copied */
    assert_ptr_equal(metric_counter("t_results_total", "results", "result", "busy"), first);
    assert_ptr_not_equal(metric_counter("t_results_total", "results", "result", value), first);
    assert_ptr_not_equal(metric_counter("t_results_total", "results", NULL, NULL), first);
    assert_ptr_not_equal(metric_counter("t_other_total", "results", "result", "busy"), first);
}

static void
gauges_go_up_and_down(void **state)
{
    struct metric *gauge = metric_gauge("t_queued", "calls waiting", NULL, NULL);

    metric_set(gauge, 10);
    metric_add(gauge, -14);
    assert_string_equal(rendered("t_queued"), "# HELP t_queued calls waiting\n# TYPE t_queued gauge\nt_queued -4\n");
}

static void
a_histogram_cumulates_its_buckets(void **state)
{
    struct metric *histogram = metric_histogram("t_seconds", "time taken", NULL, NULL);

    metric_observe_us(histogram, 0);
    metric_observe_us(histogram, 100); /* a bucket's bound belongs to it */
    metric_observe_us(histogram, 101);
    metric_observe_us(histogram, 30000000);
    metric_observe_us(histogram, 30000001);
    metric_observe_us(histogram, -5); /* a clock that went back */
    assert_string_equal(rendered("t_seconds"), "# HELP t_seconds time taken\n"
                                               "# TYPE t_seconds histogram\n"
                                               "t_seconds_bucket{le=\"0.0001\"} 3\n"
                                               "t_seconds_bucket{le=\"0.00025\"} 4\n"
                                               "t_seconds_bucket{le=\"0.0005\"} 4\n"
                                               "t_seconds_bucket{le=\"0.001\"} 4\n"
                                               "t_seconds_bucket{le=\"0.0025\"} 4\n"
                                               "t_seconds_bucket{le=\"0.005\"} 4\n"
                                               "t_seconds_bucket{le=\"0.01\"} 4\n"
                                               "t_seconds_bucket{le=\"0.025\"} 4\n"
                                               "t_seconds_bucket{le=\"0.05\"} 4\n"
                                               "t_seconds_bucket{le=\"0.1\"} 4\n"
                                               "t_seconds_bucket{le=\"0.25\"} 4\n"
                                               "t_seconds_bucket{le=\"0.5\"} 4\n"
                                               "t_seconds_bucket{le=\"1\"} 4\n"
                                               "t_seconds_bucket{le=\"2.5\"} 4\n"
                                               "t_seconds_bucket{le=\"5\"} 4\n"
                                               "t_seconds_bucket{le=\"10\"} 4\n"
                                               "t_seconds_bucket{le=\"30\"} 5\n"
                                               "t_seconds_bucket{le=\"+Inf\"} 6\n"
                                               "t_seconds_sum 60.000202\n"
                                               "t_seconds_count 6\n");
}

static void
a_labelled_histogram_keeps_both_labels(void **state)
{
    metric_observe_us(metric_histogram("t_step_seconds", "time taken", "step", "ra.Enroll"), 20000);
    const char *text = rendered("t_step_seconds");

    assert_non_null(strstr(text, "\nt_step_seconds_bucket{step=\"ra.Enroll\",le=\"0.01\"} 0\n"));
    assert_non_null(strstr(text, "\nt_step_seconds_bucket{step=\"ra.Enroll\",le=\"0.025\"} 1\n"));
    assert_non_null(strstr(text, "\nt_step_seconds_sum{step=\"ra.Enroll\"} 0.020000\n"));
    assert_non_null(strstr(text, "\nt_step_seconds_count{step=\"ra.Enroll\"} 1\n"));
}

static void
labels_and_help_are_escaped(void **state)
{
    metric_add(metric_counter("t_odd_total", "a \"quote\",\na \\", "name", "a \"b\"\\\nc"), 1);
    assert_string_equal(rendered("t_odd_total"), "# HELP t_odd_total a \"quote\",\\na \\\\\n"
                                                 "# TYPE t_odd_total counter\n"
                                                 "t_odd_total{name=\"a \\\"b\\\"\\\\\\nc\"} 1\n");
}

static void
make_gauge_of_a_counter(void *name)
{
    metric_gauge(name, "help", NULL, NULL);
}

static void
count_down(void *counter)
{
    metric_add(counter, -1);
}

static void
set_counter(void *counter)
{
    metric_set(counter, 1);
}

static void
wrong_use_aborts(void **state)
{
    static char name[] = "t_wrong_total";
    struct metric *counter = metric_counter(name, "help", NULL, NULL);

    assert_true(aborts(make_gauge_of_a_counter, name));
    assert_true(aborts(count_down, counter));
    assert_true(aborts(set_counter, counter));
}

#define ROUNDS 20000

static void *
count_much(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        metric_add(metric_counter("t_shared_total", "help", "who", "all"), 1);
        metric_observe_us(argument, 1);
    }
    return NULL;
}

static void
nothing_is_lost_between_threads(void **state)
{
    struct metric *histogram = metric_histogram("t_shared_seconds", "help", NULL, NULL);
    pthread_t threads[4];

    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_much, histogram), 0);
    for (int i = 0; i < 20; i++)
        rendered("t_shared_total");
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    assert_non_null(strstr(rendered("t_shared_total"), "\nt_shared_total{who=\"all\"} 80000\n"));
    assert_non_null(strstr(rendered("t_shared_seconds"), "\nt_shared_seconds_sum 0.080000\nt_shared_seconds_count 80000\n"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, make_arena, drop_arena)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counters_add_up_per_label),
        TEST(the_same_name_and_label_is_the_same_metric),
        TEST(gauges_go_up_and_down),
        TEST(a_histogram_cumulates_its_buckets),
        TEST(a_labelled_histogram_keeps_both_labels),
        TEST(labels_and_help_are_escaped),
        TEST(wrong_use_aborts),
        TEST(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
