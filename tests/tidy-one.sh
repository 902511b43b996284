#!/usr/bin/env bash
# clang-tidy on one source file, as tests/check.sh asks for each: tests/tidy-one.sh common/link/bus.c. PROTO is where the generated headers are.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
tidy=$(command -v clang-tidy-14 || command -v clang-tidy)
flags=(-std=gnu17 -D_GNU_SOURCE -DH2O_USE_LIBUV=0 '-DSIGNET_VERSION="check"' -Icommon -I"${PROTO:-build/clang-14/proto}" -Itests
    -I"$(dirname "$1")" -isystem /usr/include/postgresql)
# Tests and fuzz targets include the header of the service that they are about.
for folder in services/*/; do
    flags+=(-I"$folder")
done
exec "$tidy" --quiet --warnings-as-errors='*' "$1" -- "${flags[@]}" 2>/dev/null
