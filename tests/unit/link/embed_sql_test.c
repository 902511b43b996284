/* deploy/database/embed-sql.sh, run for real on small files: order, quoting, refusals. The C file it makes is compiled, so that quoting is
 * judged by the compiler. */
#include "unit/kit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"

struct tree {
    struct arena *arena;
    char dir[40];
    const char *script;
};

static int
make_tree(void **state)
{
    struct tree *tree = calloc(1, sizeof(*tree));
    tree->arena = arena_new();
    strcpy(tree->dir, "/tmp/signet-embed-sql-XXXXXX");
    assert_non_null(mkdtemp(tree->dir));
    char *here = getcwd(NULL, 0);
    assert_non_null(here);
    tree->script = arena_format(tree->arena, "%s/deploy/database/embed-sql.sh", here);
    free(here);
    *state = tree;
    return 0;
}

static int
remove_tree(void **state)
{
    struct tree *tree = *state;
    assert_int_equal(system(arena_format(tree->arena, "rm -rf '%s'", tree->dir)), 0);
    arena_free(tree->arena);
    free(tree);
    return 0;
}

static void
write_file(struct tree *tree, const char *path, const char *text)
{
    const char *whole = arena_format(tree->arena, "%s/%s", tree->dir, path);
    assert_int_equal(system(arena_format(tree->arena, "mkdir -p \"$(dirname '%s')\"", whole)), 0);
    FILE *to = fopen(whole, "w");
    assert_non_null(to);
    fputs(text, to);
    assert_int_equal(fclose(to), 0);
}

/* The exit status; `out.c` and `errors` are left in the directory. */
static int
embed(struct tree *tree, const char *files)
{
    return system(arena_format(tree->arena, "cd '%s' && '%s' %s >out.c 2>errors", tree->dir, tree->script, files));
}

static const char *
run_and_read(struct tree *tree, const char *command)
{
    FILE *from = popen(arena_format(tree->arena, "cd '%s' && %s", tree->dir, command), "r");
    assert_non_null(from);
    char *text = arena_alloc(tree->arena, 4096);
    size_t len = fread(text, 1, 4095, from);
    text[len] = '\0';
    assert_int_equal(pclose(from), 0);
    return text;
}

#define PRINT_ALL                                                                         \
    "#include <stdio.h>\n#include \"out.c\"\n"                                            \
    "int main(void) { for (size_t i = 0; i < signet_migration_count; i++)\n"              \
    "printf(\"%s %d %s|%s\", signet_migrations[i].schema, signet_migrations[i].number,\n" \
    "signet_migrations[i].name, signet_migrations[i].sql);\n"                             \
    "printf(\"grants|%s\", signet_grants_sql); return 0; }\n"

/* What the compiler makes of it, printed again. */
static const char *
compile_and_print(struct tree *tree)
{
    char *here = getcwd(NULL, 0);
    write_file(tree, "print.c", PRINT_ALL);
    const char *command = arena_format(tree->arena, "gcc -I'%s/common' -Wall -Wextra -Werror print.c -o print && ./print", here);
    free(here);
    return run_and_read(tree, command);
}

static void
sorts_by_number_and_then_by_schema(void **state)
{
    struct tree *tree = *state;
    write_file(tree, "services/zoo/sql/001_tables.sql", "z1\n");
    write_file(tree, "services/zoo/sql/010_views.sql", "z10\n");
    write_file(tree, "services/zoo/sql/002_more_tables.sql", "z2\n");
    write_file(tree, "services/ant-hill/sql/001_tables.sql", "a1\n");
    write_file(tree, "database/grants.sql", "g1\n");
    write_file(tree, "database/more.sql", "g2\n");
    assert_int_equal(embed(tree, "services/zoo/sql/*.sql services/ant-hill/sql/*.sql database/*.sql"), 0);
    assert_string_equal(compile_and_print(tree), "ant_hill 1 tables|a1\nzoo 1 tables|z1\nzoo 2 more_tables|z2\nzoo 10 views|z10\ngrants|g1\ng2\n");
}

static void
keeps_every_character(void **state)
{
    struct tree *tree = *state;
    write_file(tree, "services/zoo/sql/001_odd.sql",
               "SELECT 'back\\slash', \"quoted\", '%s', '?\?/', E'\\\\n', 'Gr\xc3\xbc\xc3\x9f"
               "e';\n\n\tlast line");
    assert_int_equal(embed(tree, "services/zoo/sql/001_odd.sql"), 0);
    assert_string_equal(compile_and_print(tree), "zoo 1 odd|SELECT 'back\\slash', \"quoted\", '%s', '?\?/', E'\\\\n', 'Gr\xc3\xbc\xc3\x9f"
                                                 "e';\n\n\tlast line\ngrants|");
}

static void
nothing_makes_an_empty_table(void **state)
{
    struct tree *tree = *state;
    assert_int_equal(embed(tree, ""), 0);
    assert_string_equal(compile_and_print(tree), "grants|");
}

static void
refuses_a_name_without_number(void **state)
{
    struct tree *tree = *state;
    write_file(tree, "services/zoo/sql/tables.sql", "z\n");
    assert_int_not_equal(embed(tree, "services/zoo/sql/tables.sql"), 0);
    assert_true(strstr(run_and_read(tree, "cat errors"), "services/zoo/sql/tables.sql") != NULL);
}

static void
refuses_one_number_twice_in_a_schema(void **state)
{
    struct tree *tree = *state;
    write_file(tree, "services/zoo/sql/001_tables.sql", "z\n");
    write_file(tree, "services/zoo/sql/01_others.sql", "z\n");
    assert_int_not_equal(embed(tree, "services/zoo/sql/*.sql"), 0);
    assert_true(strstr(run_and_read(tree, "cat errors"), "same number: 1 zoo") != NULL);
}

#define IN_TREE(name) cmocka_unit_test_setup_teardown(name, make_tree, remove_tree)

int
main(void)
{
    const struct CMUnitTest cases[] = {
        IN_TREE(sorts_by_number_and_then_by_schema),   IN_TREE(keeps_every_character),
        IN_TREE(nothing_makes_an_empty_table),         IN_TREE(refuses_a_name_without_number),
        IN_TREE(refuses_one_number_twice_in_a_schema),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
