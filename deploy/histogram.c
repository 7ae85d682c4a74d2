#include "deploy/histogram.h"

/* Values below HISTOGRAM_PARTS have a bucket each; above, the highest bits of a value are its part
 * and the number of bits below is its power. */
size_t histogram_bucket(uint64_t value)
{
    if (value < HISTOGRAM_PARTS) {
        return (size_t)value;
    }
    unsigned top = 63U - (unsigned)__builtin_clzll(value);
    unsigned shift = top - HISTOGRAM_PART_BITS;
    size_t part = (size_t)(value >> shift) - HISTOGRAM_PARTS;
    return (size_t)(shift + 1) * HISTOGRAM_PARTS + part;
}

uint64_t histogram_bucket_end(size_t bucket)
{
    if (bucket < HISTOGRAM_PARTS) {
        return bucket;
    }
    unsigned shift = (unsigned)(bucket / HISTOGRAM_PARTS) - 1;
    uint64_t part = bucket % HISTOGRAM_PARTS + HISTOGRAM_PARTS;
    return (part << shift) + ((UINT64_C(1) << shift) - 1);
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->counts[histogram_bucket(value)]++;
    h->count++;
    h->sum += (double)value;
    h->max = value > h->max ? value : h->max;
}

uint64_t histogram_quantile(const struct histogram *h, double fraction)
{
    double wanted = fraction * (double)h->count;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (h->counts[i] > 0 && (double)seen >= wanted) {
            uint64_t end = histogram_bucket_end(i);
            return end < h->max ? end : h->max;
        }
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->count > 0 ? h->sum / (double)h->count : 0;
}
