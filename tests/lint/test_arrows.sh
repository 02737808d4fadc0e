#!/bin/bash
# The arrows: domain <- bus <- store <- node, and tools beside them. Nothing else stops an
# #include <lmdb.h> in domain/.
source "$(dirname "$0")/lint.sh"

libc='<(assert|ctype|errno|inttypes|limits|search|stdalign|stdarg|stdbool|stddef|stdint|stdio|stdlib|string|time)\.h>'

# All includes as `path:line: "what"`.
includes() {
    files '*.[ch]' '*.def' | xargs grep -HnE '^[[:space:]]*#[[:space:]]*include' |
        sed -E 's/#[[:space:]]*include[[:space:]]*//; s/:[[:space:]]*(["<])/: \1/'
}

# only FILES ALLOWED: files (a pattern) include nothing but what the pattern allows.
only() {
    includes | grep -E "^($1)[^:]*:" | grep -vE "^[^:]*:[0-9]+: ($2)" | sed 's/$/ breaks an arrow/'
}

# never FILES FORBIDDEN
never() {
    includes | grep -E "^($1)[^:]*:" | grep -E "^[^:]*:[0-9]+: ($2)" | sed 's/$/ breaks an arrow/'
}

every_include_names_its_layer() {
    includes | while IFS=: read -r path line what; do
        [[ $what == ' "'* ]] || continue
        what=${what#' "'}
        what=${what%%\"*}
        [[ $what == */* && $what != *..* && -f $what ]] ||
            echo "$path:$line: \"$what\" is no path from the root"
    done
}

check() {
    only 'domain/base/' "\"domain/base/|$libc" || true
    only 'domain/messages/' "\"domain/(base|messages)/|$libc" || true
    only 'domain/' "\"domain/|$libc" || true
    only 'bus/' "\"domain/|\"bus/|$libc" || true
    only 'store/wire/' "\"domain/|\"store/wire/|<msgpack|$libc" || true
    never 'store/' '"(node|tools|tests)/|"bus/(bus|handl|on_|dispatch|queries|queue)|<(zmq|czmq|jansson)' || true
    never 'store/ahead/' '"store/(lmdb|wire|verify|journal)|<lmdb' || true
    never 'store/journal/' '"store/(lmdb|wire|verify|ahead)|<(lmdb|msgpack)' || true
    never 'store/lmdb/' '"store/verify/' || true
    never 'node/' '"(tools|tests)/|<(lmdb|msgpack|jansson)' || true
    never 'node/config/' '"(bus/bus|store|node/(node|zmq|front))|<zmq\.h' || true
    never 'node/front/' '"(bus|node/(node|zmq/(router|event_socket|upstream)))|"store/(lmdb|ahead|verify|journal)' || true
    never 'node/zmq/' '"node/node|"store/(lmdb|ahead|verify|journal)' || true
    never 'node/([^/]*\.|zmq/|config/)' '"node/front/(zmtp|inside|backlog|budget|bytes|prefixes|listener|address|lookup)' || true
    never 'tools/' '"(node|tests|bus)/|"store/(lmdb|ahead|verify|journal)' || true
    # The ceiling that the benchmark measures is LMDB itself.
    never 'tools/' '<lmdb' | grep -v '^tools/zmq_send/bench/commits\.c:' || true
    only '' '"|<' || true # an include by macro would slip through all of these
    every_include_names_its_layer
}

must_catch domain/planted.c '#include "bus/bus.h"'
must_catch domain/planted.h '#  include <lmdb.h>'
must_catch domain/planted.def '#include <unistd.h>'
must_pass domain/planted.c '#include "domain/base/text.h"' '#include <string.h>'
must_catch domain/base/planted.c '#include "domain/product.h"'
must_catch domain/messages/planted.c '#include "domain/product.h"'
must_catch bus/planted.c '#include "store/wire/codec.h"'
must_catch bus/planted.c '#include <zmq.h>'
must_catch bus/planted.c '#include "node/publisher.h"'
must_pass bus/planted.c '#include "bus/ports/unit_of_work.h"' '#include "domain/product.h"'
must_catch store/wire/planted.c '#include "bus/ports/unit_of_work.h"'
must_catch store/wire/planted.c '#include <lmdb.h>'
must_pass store/wire/planted.c '#include "domain/messages/reply.h"' '#include <msgpack.h>'
must_catch store/planted.c '#include "node/main.h"'
must_catch store/planted.c '#include "bus/bus.h"'
must_catch store/planted.c '#include "bus/handling.h"'
must_catch store/planted.c '#include <czmq.h>'
must_pass store/planted.c '#include "bus/ports/unit_of_work.h"' '#include <lmdb.h>' '#include <unistd.h>'
must_catch store/ahead/planted.c '#include "store/lmdb/env.h"'
must_catch store/ahead/planted.c '#include "store/journal/file.h"'
must_catch store/journal/planted.c '#include "store/lmdb/env.h"'
must_catch store/journal/planted.c '#include "store/wire/codec.h"'
must_pass store/journal/planted.c '#include "bus/ports/journal.h"' '#include "store/hash.h"'
must_catch store/lmdb/planted.c '#include "store/verify/verify.h"'
must_catch node/planted.c '#include "tools/zmq_send/main.h"'
must_catch node/planted.c '#include <lmdb.h>'
must_pass node/planted.c '#include "bus/bus.h"' '#include <czmq.h>'
must_catch node/front/planted.c '#include "node/zmq/router.h"'
must_catch node/front/planted.c '#include "bus/bus.h"'
must_catch node/planted.c '#include "node/front/zmtp.h"'
must_pass node/planted.c '#include "node/front/front.h"'
must_catch tools/zmq_send/planted.c '#include "bus/bus.h"'
must_catch tools/zmq_send/planted.c '#include <lmdb.h>'
must_pass tools/zmq_send/planted.c '#include "store/wire/codec.h"' '#include <jansson.h>'
must_catch node/planted.c '#include "bus.h"'
must_catch node/planted.c '#include "node/../bus/bus.h"'
must_catch node/planted.c '#include "node/no_such_file.h"'
must_catch node/planted.c '#include HEADER'
tree_is_clean
