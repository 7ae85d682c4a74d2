/* A log-linear histogram of durations, in the manner of HdrHistogram: every power of two is cut
 * into 64 equal parts, so that any value is known to 1.6 % with 30 KiB and one increment a sample.
 *
 * Its own and not a library's, because Debian 12 packages none for C, and what is needed of one is
 * a page. */
#ifndef SYNOD_DEPLOY_HISTOGRAM_H
#define SYNOD_DEPLOY_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_PART_BITS 6
#define HISTOGRAM_PARTS (1U << HISTOGRAM_PART_BITS)
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_PART_BITS + 1) * HISTOGRAM_PARTS)

/* Zero-initialise. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t max; /* exact */
    double sum;
};

/* The bucket that a value falls into, and the largest value of a bucket. */
size_t histogram_bucket(uint64_t value);
uint64_t histogram_bucket_end(size_t bucket);

void histogram_add(struct histogram *h, uint64_t value);

/* The value that a fraction (0 to 1) of the samples does not exceed: the upper end of its bucket,
 * and never more than the maximum. 0 without samples. */
uint64_t histogram_quantile(const struct histogram *h, double fraction);

double histogram_mean(const struct histogram *h);

#endif
