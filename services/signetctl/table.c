/* Tables for people: as wide as their longest cell, two blanks between columns. */
#include <assert.h>
#include <string.h>

#include "signetctl.h"

struct line {
    struct line *next;
    const char *cells[TABLE_COLUMNS_MAX];
};

struct table {
    struct arena *arena;
    size_t columns;
    int width[TABLE_COLUMNS_MAX];
    struct line *first, **last;
};

/* Escape sequences and line ends: C0, DEL, and C1 in UTF-8. */
static const char *
shown(struct arena *arena, const char *text)
{
    char *clean = arena_text(arena, text);
    unsigned char *at;

    for (at = (unsigned char *)clean; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f)
            *at = '?';
        else if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            at[0] = at[1] = '?';
    }
    return clean;
}

struct table *
table_new(struct arena *arena, const char *const *heads, size_t columns)
{
    struct table *table = arena_alloc(arena, sizeof(*table));

    table->arena = arena;
    assert(columns <= TABLE_COLUMNS_MAX);
    table->columns = columns;
    table->last = &table->first;
    table_row(table, heads);
    return table;
}

/* Characters, not octets: UTF-8 continuation octets take no place. */
static int
text_width(const char *text)
{
    int width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

void
table_row(struct table *table, const char *const *cells)
{
    struct line *line = arena_alloc(table->arena, sizeof(*line));
    size_t i;

    for (i = 0; i < table->columns; i++) {
        line->cells[i] = cells[i] != NULL && cells[i][0] != '\0' ? shown(table->arena, cells[i]) : "-";
        if (text_width(line->cells[i]) > table->width[i])
            table->width[i] = text_width(line->cells[i]);
    }
    *table->last = line;
    table->last = &line->next;
}

void
table_print(const struct table *table, FILE *to)
{
    const struct line *line;
    size_t i;

    for (line = table->first; line != NULL; line = line->next) {
        for (i = 0; i < table->columns; i++) {
            int pad = i + 1 < table->columns ? table->width[i] - text_width(line->cells[i]) + 2 : 0;
            fprintf(to, "%s%*s", line->cells[i], pad, "");
        }
        fputc('\n', to);
    }
}

void
table_facts(FILE *to, const char *const (*facts)[2], size_t count)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    int width = 0;
    size_t i;

    for (i = 0; i < count; i++)
        if (facts[i][1] != NULL && (int)strlen(facts[i][0]) > width)
            width = (int)strlen(facts[i][0]);
    for (i = 0; i < count; i++)
        if (facts[i][1] != NULL)
            fprintf(to, "%-*s  %s\n", width, facts[i][0], shown(arena, facts[i][1]));
}
