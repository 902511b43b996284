#!/usr/bin/env bash
# Turns SQL files into a C file on stdout, for signetctl: services/<name>/sql/NNN_name.sql become signet_migrations, ordered by number and then
# by schema, so that a view on another service's tables goes into a file with a higher number; every other .sql file is a part of
# signet_grants_sql, in the order given. The schema is the service's name with _ for -.
set -euo pipefail

quote() {
    LC_ALL=C sed -e 's/\\/\\\\/g' -e 's/["?]/\\&/g' -e 's/^/    "/' -e 's/$/\\n"/' "$1"
}

migrations=()
grants=()
for file in "$@"; do
    if [[ $file =~ (^|/)services/([a-z0-9-]+)/sql/([0-9]+)_([a-z0-9_-]+)\.sql$ ]]; then
        migrations+=("$((10#${BASH_REMATCH[3]})) ${BASH_REMATCH[2]//-/_} ${BASH_REMATCH[4]} $file")
    elif [[ $file == */sql/* ]]; then
        echo "$file: the name of a migration is services/<service>/sql/<number>_<name>.sql" >&2
        exit 1
    else
        grants+=("$file")
    fi
done

twice=$(printf '%s\n' "${migrations[@]}" | cut -d' ' -f1,2 | sort | uniq -d)
if [[ -n $twice && $twice != ' ' ]]; then
    echo "two migrations of one schema have the same number: $twice" >&2
    exit 1
fi

printf '/* Made by deploy/database/embed-sql.sh. */\n#include "link/migrate.h"\n\n'
printf 'const struct migration signet_migrations[] = {\n'
if [[ ${#migrations[@]} -gt 0 ]]; then
    printf '%s\n' "${migrations[@]}" | LC_ALL=C sort -k1,1n -k2,2 | while read -r number schema name file; do
        printf '    {"%s", %s, "%s",\n' "$schema" "$number" "$name"
        quote "$file"
        printf '    },\n'
    done
fi
# One more than is counted: C has no empty arrays.
printf '    {0},\n};\nconst size_t signet_migration_count = %d;\n\n' "${#migrations[@]}"
printf 'const char signet_grants_sql[] = ""\n'
for file in "${grants[@]}"; do
    quote "$file"
done
printf '    ;\n'
