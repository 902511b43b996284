#!/usr/bin/env bash
# Runs the unit-test programs given, two at a time and five minutes each at most, and closes with one line that counts them.
set -u
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

one() { # PROGRAM: its output is shown when it fails
    local log=$results/${1//\//_}
    if timeout 300 "$1" >"$log" 2>&1; then
        echo passed >"$log.result"
    else
        printf '%s\n' "--- $1: exit $?"
        cat "$log"
        echo failed >"$log.result"
    fi
}
export -f one
export results

[[ $# -eq 0 ]] || printf '%s\n' "$@" | xargs -r -P 2 -I{} bash -c 'one {}'

passed=$(cat "$results"/*.result 2>/dev/null | grep -c passed)
failed=$(cat "$results"/*.result 2>/dev/null | grep -c failed)
echo "unit programs: $passed passed, $failed failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
