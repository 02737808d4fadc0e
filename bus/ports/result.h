/* What a store says to whoever asks it. */
#ifndef BUS_PORTS_RESULT_H
#define BUS_PORTS_RESULT_H

enum store_result {
    STORE_OK,
    STORE_NOT_FOUND,
    STORE_OTHER,   /* recall: the id was used with another request */
    STORE_DAMAGED, /* a record that was read is damaged; the unit may go on without it */
    STORE_FULL,    /* no space; nothing of the group is stored, later it may succeed */
    STORE_FAILED,  /* anything else; nothing of the group is stored */
    STORE_BROKEN   /* nobody can tell what is stored: the process must end, and answer nothing */
};

#endif
