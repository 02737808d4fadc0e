#include "tools/zmq_send/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void complain(const char *format, ...)
{
    va_list arguments;
    fputs("zmq-send: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

enum status flush_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return STATUS_DONE;
    complain("cannot write to standard output: %s", strerror(errno));
    return STATUS_BAD_INPUT;
}

void *must_have(void *memory)
{
    if (memory == NULL) {
        complain("out of memory");
        exit(STATUS_BAD_INPUT);
    }
    return memory;
}
