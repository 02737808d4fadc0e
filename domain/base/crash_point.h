/* Places at which a test can kill the program: CRASH_POINT(after_commit);
 *
 * In the program that is shipped they are nothing. tests/faults builds the node once more with
 * ALLOCD_CRASH_POINTS, and ALLOCD_CRASH=NAME:N kills that one with SIGKILL where it passes the
 * point of that name for the Nth time. */
#ifndef DOMAIN_BASE_CRASH_POINT_H
#define DOMAIN_BASE_CRASH_POINT_H

#ifdef ALLOCD_CRASH_POINTS
void crash_point(const char *name);
#define CRASH_POINT(name) crash_point(#name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
