#!/usr/bin/env bash
# Runs the unit-test programs given, five minutes each at most, and closes with one line that counts them. T=path/part runs only those whose path contains it.
set -u
passed=0
failed=0
for program in "$@"; do
    [[ -z "${T:-}" || "$program" == *"$T"* ]] || continue
    if output=$(timeout 300 "$program" 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf '%s\n%s\n' "--- $program" "$output"
    fi
done
echo "unit programs: $passed passed, $failed failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
