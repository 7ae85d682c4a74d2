/* The process's clocks. Cores never see these: time comes to them with the event. */
#ifndef SYNOD_RUNTIME_CLOCK_H
#define SYNOD_RUNTIME_CLOCK_H

#include "common/protocol/types.h"

/* Monotonic milliseconds (CLOCK_BOOTTIME, which runs on while a machine is suspended: a lease must
 * not survive it). */
time_ms_t clock_now_ms(void);

/* Monotonic nanoseconds, for measurements. */
uint64_t clock_now_ns(void);

#endif
