/* The clock port over the system's clocks. */
#ifndef NODE_SYSTEM_CLOCK_H
#define NODE_SYSTEM_CLOCK_H

#include "bus/ports/world.h"

/* Milliseconds since 1970, UTC; it may jump. */
uint64_t system_clock_now_ms(struct clock *clock);

/* Microseconds since some moment; it never goes back. */
uint64_t system_clock_monotonic_us(struct clock *clock);

/* Milliseconds since some moment; it never goes back: for time spans. */
uint64_t monotonic_ms(void);
uint64_t monotonic_us(void);

/* Processor time of all threads of the process, in microseconds. */
uint64_t processor_us(void);

#endif
