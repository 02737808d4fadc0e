#!/bin/bash
# The tour: stock arrives, a line is allocated, the batch shrinks and the line moves to the next
# one. Shows each command, its reply and the events that it caused, and fails where one is not as
# it should be. Wants allocd and zmq-send in PATH; tools/run --demo sees to that.
set -euo pipefail

patience=20 # seconds for any one thing to happen
dir=$(mktemp -d)
node=
watcher=

clean_up() {
    trap - EXIT
    for pid in $watcher $node; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

fail() {
    echo "demo: $*" >&2
    exit 1
}

start_node() {
    mkfifo "$dir/log"
    allocd --data "$dir/data" --commands 'tcp://127.0.0.1:*' --events 'tcp://127.0.0.1:*' \
        2>"$dir/log" &
    node=$!
    exec 3<"$dir/log"
    local line
    while IFS= read -r -t "$patience" -u 3 line; do
        if [[ $line =~ ready\ commands=([^ ]+)\ events=([^ ]+) ]]; then
            export ALLOCD_COMMANDS=${BASH_REMATCH[1]} ALLOCD_EVENTS=${BASH_REMATCH[2]}
            cat <&3 >"$dir/rest-of-log" & # or the node would block on a full pipe
            return
        fi
        echo "$line" >&2
    done
    fail "the node did not get ready"
}

start_watcher() {
    mkfifo "$dir/events"
    echo "\$ zmq-send sub --from 1 --count $1 &"
    zmq-send sub --from 1 --count "$1" >"$dir/events" &
    watcher=$!
    exec 4<"$dir/events"
}

# play PATTERN... -- ARGUMENTS: sends one message; its reply, blanks aside, holds every pattern.
play() {
    local patterns=() reply
    while [[ $1 != -- ]]; do
        patterns+=("$1")
        shift
    done
    shift
    echo
    echo "\$ zmq-send $*"
    reply=$(zmq-send --timeout "$patience" "$@") || fail "zmq-send exited with $?: $reply"
    echo "$reply"
    local pattern
    for pattern in '"ok":true' "${patterns[@]}"; do
        [[ ${reply// /} == *"$pattern"* ]] || fail "no $pattern in the reply"
    done
}

# sees TYPE PATTERN: the next event.
sees() {
    local event
    IFS= read -r -t "$patience" -u 4 event || fail "the event $1 did not arrive"
    echo "    event: $event"
    [[ ${event// /} == *"\"type\":\"$1\""* ]] || fail "this should be $1"
    [[ ${event// /} == *"$2"* ]] || fail "no $2 in the event"
}

# stopped PID WHAT: it ends by itself, in time, with status 0.
stopped() {
    local status=0
    timeout "$patience" tail --pid="$1" -f /dev/null || fail "$2 did not stop"
    wait "$1" || status=$?
    ((status == 0)) || fail "$2 exited with $status"
}

start_node
echo "A node on $ALLOCD_COMMANDS, its events on $ALLOCD_EVENTS."
start_watcher 6

play '"seq":1' -- CreateBatch ref=warehouse-1 sku=RED-CHAIR qty=20
sees BatchCreated '"ref":"warehouse-1"'
play '"seq":2' -- CreateBatch ref=shipment-7 sku=RED-CHAIR qty=100 eta=2031-05-01
sees BatchCreated '"eta":"2031-05-01"'
play '"batchref":"warehouse-1"' -- Allocate orderid=order-1 sku=RED-CHAIR qty=15
sees Allocated '"batchref":"warehouse-1"'
play '"available":105' -- GetStock sku=RED-CHAIR
play '"batchref":"warehouse-1"' -- GetAllocations orderid=order-1

play '"seq":6' -- ChangeBatchQuantity ref=warehouse-1 qty=10
sees BatchQuantityChanged '"qty":10'
sees Deallocated '"batchref":"warehouse-1"'
sees Allocated '"batchref":"shipment-7"'
play '"batchref":"shipment-7"' -- GetAllocations orderid=order-1
stopped "$watcher" "zmq-send sub"
watcher=

echo
echo "\$ kill -TERM $node"
kill -TERM "$node"
stopped "$node" "the node"
node=
echo "The node stopped with status 0."
