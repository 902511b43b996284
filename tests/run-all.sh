#!/usr/bin/env bash
# Every test, in the order that tells most for the least time; closes with one line that counts what ran. Arguments are passed to make.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
results=$(mktemp)
trap 'rm -f "$results"' EXIT
begin=$SECONDS

part() { # NAME COMMAND…
    local name=$1 status
    shift
    echo "== $name"
    "$@" 2>&1 | tee -a "$results"
    status=${PIPESTATUS[0]}
    echo "== $name: $([[ $status -eq 0 ]] && echo ok || echo FAILED) ($((SECONDS - begin)) s since the start)"
    if [[ $status -ne 0 ]]; then
        failed_parts+=("$name")
    fi
}

only=""
for argument in "$@"; do
    [[ $argument == T=* ]] && only=${argument#T=}
done

failed_parts=()
if [[ -n $only ]]; then
    # A part of a path: unit tests are named by folder/file, the others by file.
    if find tests/unit -name '*_test.c' | grep -q "$only"; then
        part unit make --no-print-directory -s -j"$(nproc)" unit "$@"
    else
        for kind in flow fault layout; do
            if find "tests/$kind" -name '*_test.py' | grep -q "$(basename "$only")"; then
                part "$kind" make --no-print-directory -s "$kind" "$@"
            fi
        done
    fi
else
    part unit make --no-print-directory -s -j"$(nproc)" unit "$@"
    part layout make --no-print-directory -s layout "$@"
    part flow make --no-print-directory -s flow "$@"
    part fault make --no-print-directory -s fault "$@"
    part fuzz make --no-print-directory -s fuzz TIME="${FUZZ_SECONDS:-20}"
fi

passed=$(sed -n -E 's/^unit programs: ([0-9]+) passed.*/\1/p; s/^.*[^0-9]([0-9]+) passed.*in [0-9.]+s.*$/\1/p; s/^([0-9]+) passed.* in [0-9.]+s.*$/\1/p' "$results" | awk '{n += $1} END {print n + 0}')
fuzzed=$(grep -c 'nothing found$' "$results")
echo "parts that failed: ${failed_parts[*]:-none}; $((SECONDS - begin)) s"
echo "$((passed + fuzzed)) passed, ${#failed_parts[@]} failed"
[[ ${#failed_parts[@]} -eq 0 && $passed -gt 0 ]]
