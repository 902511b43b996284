#!/usr/bin/env bash
# run.sh SECONDS TARGET…: each target for so long, two at a time; what it finds goes to build/fuzz/found and ends the run.
set -u
seconds=$1
shift
here=$(dirname "${BASH_SOURCE[0]}")
found=build/fuzz/found
mkdir -p "$found"

one() {
    local name corpus
    name=$(basename "$1")
    corpus=build/fuzz/corpus/$name
    mkdir -p "$corpus"
    if UBSAN_OPTIONS=print_stacktrace=1 "$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$found/$name-" \
        "$corpus" "$here/corpus/$name" >"$found/$name.log" 2>&1; then
        printf 'fuzz %-24s %s executions, nothing found\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/$name.log")"
    else
        printf 'fuzz %-24s FAILED\n' "$name"
        tail -n 40 "$found/$name.log"
        return 1
    fi
}
export -f one
export seconds here found
printf '%s\n' "$@" | xargs -P 2 -I{} bash -c 'one {}' || exit 1
