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

tidy() {
    local flags=(-std=gnu17 -D_GNU_SOURCE -DH2O_USE_LIBUV=0 '-DSIGNET_VERSION="check"' -Icommon -Ibuild/clang-14/proto -Itests -isystem /usr/include/postgresql)
    printf '%s\n' "${sources[@]}" | xargs -P 2 -n 1 bash -c '
        tidy=$1; shift
        count=$1; shift
        flags=("${@:1:count}"); shift "$count"
        for file in "$@"; do
            service=$(sed -n -E "s#^(services/[^/]+|tests/unit/([^/]+))/.*#\1#p" <<<"$file")
            "$tidy" --quiet --warnings-as-errors="*" "$file" -- "${flags[@]}" -I"$(dirname "$file")" -Iservices/"$(basename "${service:-none}")" 2>/dev/null || exit 1
        done' _ "$(tool clang-tidy)" "${#flags[@]}" "${flags[@]}"
}

run clang-format "$(tool clang-format)" --dry-run --Werror "${sources[@]}" "${headers[@]}"
run shellcheck shellcheck "${scripts[@]}"
run cppcheck cppcheck --quiet --std=c11 --language=c -j2 --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
    --suppressions-list=tests/cppcheck-suppressions -Icommon --library=posix "${sources[@]}"
run clang-tidy tidy
exit $failed
