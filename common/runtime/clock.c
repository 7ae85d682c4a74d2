#include "common/runtime/clock.h"

#include <time.h>

uint64_t clock_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

time_ms_t clock_now_ms(void)
{
    return (time_ms_t)(clock_now_ns() / 1000000U);
}
