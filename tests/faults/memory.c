/* Memory and threads that run out: --wrap has the linker give the node's own objects these for the
 * calls of that name. Libraries are spared, as some of them assert that there is memory. */
#include "tests/faults/injector.h"

#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_tsearch(const void *key, void **root, __compar_fn_t compare);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_tsearch(const void *key, void **root, __compar_fn_t compare);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);

static bool is_over;

static void end(void)
{
    is_over = true;
}

/* What runs after the program's own end is not the node: the counters of a coverage build, say,
 * which take memory for granted. */
__attribute__((constructor)) static void begin(void)
{
    atexit(end);
}

static bool runs_out(void)
{
    return !is_over && injector_fails("malloc");
}

void *__wrap_malloc(size_t size)
{
    return runs_out() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return runs_out() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return runs_out() ? NULL : __real_realloc(memory, size);
}

/* It needs memory for what is not in the tree yet. */
void *__wrap_tsearch(const void *key, void **root, __compar_fn_t compare)
{
    bool is_new = tfind(key, root, compare) == NULL;
    return is_new && runs_out() ? NULL : __real_tsearch(key, root, compare);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument)
{
    return injector_fails("pthread_create")
               ? errno
               : __real_pthread_create(thread, attributes, run, argument);
}
