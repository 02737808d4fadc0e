/* How much memory the process has of its own, files that it maps not counted. */
#ifndef NODE_MEMORY_H
#define NODE_MEMORY_H

#include <stdint.h>

struct memory_gauge {
    int fd; /* /proc/self/statm */
    uint64_t page_bytes;
};

/* Where the system does not tell, memory_gauge_read gives 0. */
void memory_gauge_open(struct memory_gauge *gauge);
void memory_gauge_close(struct memory_gauge *gauge);

uint64_t memory_gauge_read(const struct memory_gauge *gauge);

#endif
