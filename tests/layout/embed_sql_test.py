"""deploy/database/embed-sql.sh on small files: order, quoting, refusals. What it makes is compiled and printed again, so that the compiler judges the quoting."""

import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

PRINT_ALL = r"""
#include <stdio.h>
#include "made.c"
int main(void)
{
    for (size_t i = 0; i < signet_migration_count; i++)
        printf("%s %d %s|%s", signet_migrations[i].schema, signet_migrations[i].number, signet_migrations[i].name, signet_migrations[i].sql);
    printf("grants|%s", signet_grants_sql);
    return 0;
}
"""


def embed(directory, files):
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    return subprocess.run([ROOT / "deploy/database/embed-sql.sh", *files], cwd=directory, capture_output=True, text=True)


def compile_and_print(directory, made):
    assert made.returncode == 0, made.stderr
    (directory / "made.c").write_text(made.stdout)
    (directory / "print.c").write_text(PRINT_ALL)
    subprocess.run(["gcc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/common", "print.c", "-o", "print"], cwd=directory, check=True)
    return subprocess.run(["./print"], cwd=directory, capture_output=True, text=True, check=True).stdout


def test_sorts_by_number_and_then_by_schema(tmp_path):
    made = embed(tmp_path, {
        "services/zoo/sql/001_tables.sql": "z1\n",
        "services/zoo/sql/010_views.sql": "z10\n",
        "services/zoo/sql/002_more_tables.sql": "z2\n",
        "services/ant-hill/sql/001_tables.sql": "a1\n",
        "deploy/database/grants.sql": "g1\n",
        "deploy/database/more.sql": "g2\n",
    })
    assert compile_and_print(tmp_path, made) == (
        "ant_hill 1 tables|a1\nzoo 1 tables|z1\nzoo 2 more_tables|z2\nzoo 10 views|z10\ngrants|g1\ng2\n")


def test_keeps_every_character(tmp_path):
    sql = "SELECT 'back\\slash', \"quoted\", '%s', '??/', E'\\\\n', 'Grüße'; /* $$ `x` */\n\n\ttab\n"
    made = embed(tmp_path, {"services/zoo/sql/001_odd.sql": sql})
    assert compile_and_print(tmp_path, made) == f"zoo 1 odd|{sql}grants|"


def test_nothing_makes_an_empty_table(tmp_path):
    assert compile_and_print(tmp_path, embed(tmp_path, {})) == "grants|"


@pytest.mark.parametrize("files, complaint", [
    ({"services/zoo/sql/tables.sql": "z\n"}, "services/zoo/sql/tables.sql"),
    ({"services/zoo/sql/001_tables.sql": "z\n", "services/zoo/sql/01_others.sql": "z\n"}, "same number: 1 zoo"),
])
def test_refuses_what_has_no_place_in_the_order(tmp_path, files, complaint):
    made = embed(tmp_path, files)
    assert made.returncode != 0
    assert complaint in made.stderr
