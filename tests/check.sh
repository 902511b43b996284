#!/usr/bin/env bash
# Format, clang-tidy, cppcheck, shellcheck: what a machine can say about the source. Every finding is an error.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
failed=0
mapfile -t sources < <(git ls-files '*.c')
mapfile -t headers < <(git ls-files '*.h')
mapfile -t scripts < <(git ls-files | xargs grep -lE '^#!/usr/bin/env bash' 2>/dev/null)
tool() { command -v "$1-14" || command -v "$1"; }

run() { # NAME COMMAND…
    local name=$1
    shift
    if "$@"; then
        echo "check $name: ok"
    else
        echo "check $name: FAILED"
        failed=1
    fi
}

run clang-format "$(tool clang-format)" --dry-run --Werror "${sources[@]}" "${headers[@]}"
run shellcheck shellcheck "${scripts[@]}"
run cppcheck cppcheck --quiet --std=c11 --language=c -j2 --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
    --suppressions-list=tests/cppcheck-suppressions -Icommon --library=posix "${sources[@]}"
run clang-tidy xargs -P 2 -n 1 tests/tidy-one.sh < <(printf '%s\n' "${sources[@]}")
exit $failed
