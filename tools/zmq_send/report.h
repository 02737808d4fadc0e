/* What zmq-send says to people. */
#ifndef TOOLS_ZMQ_SEND_REPORT_H
#define TOOLS_ZMQ_SEND_REPORT_H

#include "tools/zmq_send/status.h"

/* Writes "zmq-send: ..." and a newline to stderr. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

/* Flushes stdout. DONE, or BAD_INPUT after a complaint where something could not be written. */
enum status flush_output(void);

/* `memory`, or, where that is NULL, the end of the program with a complaint. */
void *must_have(void *memory);

#endif
