/* histogram.h: counts of times, from 1 us to an hour, each to three digits (as HdrHistogram has them): adding one is a
 * shift and an increment, and histograms of several threads can be added up.
 *
 * And the rule by which latencies are corrected for coordinated omission (wrk2's): where requests are to go out at a
 * fixed rate, each is measured from the time at which it should have, also when the one before it came back too late
 * for that. A server that stops for a second is then seen as the users of that second would have seen it. */
#ifndef LOADGEN_HISTOGRAM_H
#define LOADGEN_HISTOGRAM_H

#include <stdint.h>
#include <stdlib.h>

enum { HISTOGRAM_HALF = 1024, HISTOGRAM_SHIFTS = 22, HISTOGRAM_SIZE = HISTOGRAM_HALF * (HISTOGRAM_SHIFTS + 2) };

struct histogram {
    uint64_t counts[HISTOGRAM_SIZE];
    uint64_t total, least, most; /* of values: us */
    double   sum;
};

/* Values below 2048 have a place each; above, 1024 places share each power of two. */
static inline size_t histogram_place(uint64_t value)
{
    unsigned shift = 0;
    while (value >> shift >= 2 * HISTOGRAM_HALF) shift++;
    size_t place = shift * (size_t)HISTOGRAM_HALF + (size_t)(value >> shift);
    return place < HISTOGRAM_SIZE ? place : HISTOGRAM_SIZE - 1;
}

/* The middle of the values that have a place. */
static inline uint64_t histogram_value(size_t place)
{
    if (place < 2 * HISTOGRAM_HALF) return place;
    unsigned shift = (unsigned)(place / HISTOGRAM_HALF) - 1;
    return ((uint64_t)(place - shift * (size_t)HISTOGRAM_HALF) << shift) + ((uint64_t)1 << shift) / 2;
}

static inline void histogram_add(struct histogram *h, double seconds)
{
    double us = seconds > 0 ? seconds * 1e6 : 0;
    uint64_t value = us < 3.6e9 ? (uint64_t)(us + 0.5) : 3600000000u;
    h->counts[histogram_place(value)]++;
    if (!h->total || value < h->least) h->least = value;
    if (value > h->most) h->most = value;
    h->total++;
    h->sum += us;
}

static inline void histogram_merge(struct histogram *h, const struct histogram *other)
{
    for (size_t i = 0; i < HISTOGRAM_SIZE; i++) h->counts[i] += other->counts[i];
    if (other->total && (!h->total || other->least < h->least)) h->least = other->least;
    if (other->most > h->most) h->most = other->most;
    h->total += other->total;
    h->sum += other->sum;
}

/* The least value, in seconds, that so many of 100 do not exceed. 0 for none. */
static inline double histogram_percentile(const struct histogram *h, double percent)
{
    double wanted = percent / 100 * (double)h->total;
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_SIZE; i++) {
        count += h->counts[i];
        if (!h->counts[i] || (double)count < wanted) continue;
        uint64_t value = histogram_value(i);
        return 1e-6 * (double)(value > h->most ? h->most : value < h->least ? h->least : value);
    }
    return 1e-6 * (double)h->most;
}

/* When the requests of a connection are to go out. */
struct schedule { double first, interval; uint64_t count; };

static inline double schedule_next(struct schedule *s) { return s->first + s->interval * (double)s->count++; }

#endif
