/* SIGINT and SIGTERM as a wish to stop. A second one kills, in case that the first is not heard
 * (a write to a full pipe may have begun just then). */
#ifndef TOOLS_ZMQ_SEND_STOP_H
#define TOOLS_ZMQ_SEND_STOP_H

#include <stdbool.h>

/* Returns a descriptor that is readable once stopping is wished; -1: errno says why. */
int stop_install(void);
bool stop_requested(void);

#endif
