/* What the files of the codec share; for store/wire/ alone. */
#ifndef STORE_WIRE_CODEC_INSIDE_H
#define STORE_WIRE_CODEC_INSIDE_H

#include "store/wire/codec.h"
#include "store/wire/scan.h"

#include <msgpack.h>

struct codec {
    msgpack_zone zone; /* of the objects in the body that was unpacked last */
    char *bytes;       /* what was encoded last */
    size_t len;
    size_t capacity;
    bool has_failed;   /* no memory for something since pack_begin */
    struct text *keys; /* scratch memory for the scan */
};

/* ---- reading ------------------------------------------------------------------------------ */

/* Scans and unpacks a body. DONE: *map is filled and lives until the next call with this codec.
 * TOO_LARGE; MALFORMED: *fault says why; STORAGE_FAILED: no memory. */
enum outcome unpack_body(struct codec *codec, struct text body, enum scan_mode mode,
                         msgpack_object_map *map, const char **fault);

/* The value of a key, NULL where the map has no such key. */
const msgpack_object *find_value(const msgpack_object_map *map, const char *key);

/* The text of a str; absent where the value is NULL or no str. */
struct text text_of_value(const msgpack_object *value);

/* Finds the value of each field; NULL for one that was not sent. Returns the first key that is
 * the name of no field, apart from `type` and `id`; absent where there is none. */
struct text bind_values(const msgpack_object_map *map, const struct field *fields, size_t count,
                        const msgpack_object *values[MESSAGE_FIELDS_MAX]);

/* Checks bound values and reads them into the struct that the fields describe. DONE, or
 * MISSING_FIELD or INVALID_FIELD with the first such field in *fault. Requires: *base is zero. */
enum outcome read_values(const struct field *fields, size_t count,
                         const msgpack_object *const values[MESSAGE_FIELDS_MAX], void *base,
                         const struct field **fault);

/* ---- writing ------------------------------------------------------------------------------ */

/* All in the smallest form. */

/* Begins a body: a map of so many pairs. */
void pack_begin(struct codec *codec, size_t pairs);

/* Ends it. False: there was no memory for all of it, and *out is untouched. */
bool pack_end(struct codec *codec, struct text *out);

/* The head of a map of so many pairs, or of an array of so many elements. */
void pack_map(struct codec *codec, size_t pairs);
void pack_array(struct codec *codec, size_t elements);

void pack_nil(struct codec *codec);
void pack_bool(struct codec *codec, bool flag);
void pack_number(struct codec *codec, uint64_t number);

/* A str; nil where the text is absent. */
void pack_text(struct codec *codec, struct text t);

/* A str `YYYY-MM-DD`; nil where the date is none. */
void pack_date(struct codec *codec, struct date date);

/* One whole msgpack value that was encoded before. */
void pack_encoded(struct codec *codec, struct text bytes);

/* True unless the field is optional and has no value in the struct at `base`. */
bool has_value(const struct field *field, const void *base);

/* The name and the value of a field of the struct at `base`. */
void pack_field(struct codec *codec, const struct field *field, const void *base);

static inline void pack_key(struct codec *codec, const char *key)
{
    pack_text(codec, text_of(key));
}

static inline void pack_text_pair(struct codec *codec, const char *key, struct text t)
{
    pack_key(codec, key);
    pack_text(codec, t);
}

static inline void pack_number_pair(struct codec *codec, const char *key, uint64_t number)
{
    pack_key(codec, key);
    pack_number(codec, number);
}

static inline void pack_bool_pair(struct codec *codec, const char *key, bool flag)
{
    pack_key(codec, key);
    pack_bool(codec, flag);
}

#endif
