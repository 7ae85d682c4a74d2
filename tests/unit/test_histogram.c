/* The histogram of synod bench: bounded error, exact maximum, nothing lost at the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "deploy/histogram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct histogram h;

static int clear(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    return 0;
}

/* Proves: without samples every question has the answer 0. */
static void test_empty(void **state)
{
    (void)state;
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_int_equal(histogram_quantile(&h, 1.0), 0);
    assert_true(histogram_mean(&h) <= 0);
}

/* Proves: small values are exact. */
static void test_small_values_exact(void **state)
{
    (void)state;
    for (uint64_t v = 1; v <= 60; v++) {
        histogram_add(&h, v);
    }
    assert_int_equal(histogram_quantile(&h, 0.5), 30);
    assert_int_equal(histogram_quantile(&h, 1.0), 60);
    assert_true(histogram_mean(&h) > 30.4 && histogram_mean(&h) < 30.6);
}

/* Proves: every value, to the largest, falls into a bucket whose upper end is at least the value
 * and at most 1/64 above it; buckets join without gaps or overlap. */
static void test_bucket_error(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 4711);
    print_message("seed 4711\n");
    for (int i = 0; i < 200000; i++) {
        uint64_t v = rng_next(&rng) >> (rng_next(&rng) % 64);
        uint64_t end = histogram_bucket_end(histogram_bucket(v));
        assert_true(end >= v);
        assert_true(end - v <= v / HISTOGRAM_PARTS);
    }
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    assert_true(histogram_bucket_end(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
    for (size_t b = 0; b + 1 < HISTOGRAM_BUCKETS; b++) {
        assert_int_equal(histogram_bucket(histogram_bucket_end(b)), b);
        assert_int_equal(histogram_bucket(histogram_bucket_end(b) + 1), b + 1);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Proves: quantiles of random samples are those of the sorted samples, to 1/64. */
static void test_quantiles_against_sorting(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    static uint64_t samples[COUNT];
    static const double fractions[] = {0.001, 0.5, 0.9, 0.99, 0.999, 1.0};
    struct rng rng;
    rng_init(&rng, 42);
    print_message("seed 42\n");
    for (int i = 0; i < COUNT; i++) {
        samples[i] = rng_next(&rng) >> (24 + rng_next(&rng) % 30);
        histogram_add(&h, samples[i]);
    }
    qsort(samples, COUNT, sizeof samples[0], compare);
    for (size_t i = 0; i < sizeof fractions / sizeof fractions[0]; i++) {
        uint64_t exact = samples[(size_t)(fractions[i] * COUNT + 0.5) - 1];
        uint64_t got = histogram_quantile(&h, fractions[i]);
        assert_true(got >= exact);
        assert_true(got - exact <= exact / HISTOGRAM_PARTS);
    }
    assert_int_equal(histogram_quantile(&h, 1.0), samples[COUNT - 1]);
    assert_int_equal(h.max, samples[COUNT - 1]);
}

/* Proves: one slow sample in a thousand shows in the maximum and not in the median. */
static void test_outlier(void **state)
{
    (void)state;
    for (int i = 0; i < 999; i++) {
        histogram_add(&h, 100);
    }
    histogram_add(&h, 123456789);
    assert_true(histogram_quantile(&h, 0.99) <= 101);
    assert_int_equal(histogram_quantile(&h, 1.0), 123456789);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_empty, clear),
        cmocka_unit_test_setup(test_small_values_exact, clear),
        cmocka_unit_test_setup(test_bucket_error, clear),
        cmocka_unit_test_setup(test_quantiles_against_sorting, clear),
        cmocka_unit_test_setup(test_outlier, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
