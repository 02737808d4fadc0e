#!/bin/bash
# tools/fuzz.sh PROGRAM CORPUS: runs one fuzz target for FUZZ_SECONDS (default 5), from its seeds.
# What it finds new stays in PROGRAM.corpus for the next run, a crash in PROGRAM.crash-*.
set -euo pipefail

program=$1
seeds=$2
seconds=${FUZZ_SECONDS:-5}

if [[ -z $(ls -A "$seeds" 2>/dev/null) ]]; then
    echo "tools/fuzz.sh: $seeds holds no seeds" >&2
    exit 1
fi
mkdir -p "$program.corpus"
exec "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$program.crash-" "$program.corpus" "$seeds"
