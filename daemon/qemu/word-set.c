/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "word-set.h"

#include <stdint.h>
#include <string.h>

#define WORD_MAX 127U

struct WordSet {
    size_t n;
    char *text;         /* all words, each with its NUL */
    uint32_t offsets[]; /* sorted */
};

/* Compares up to the "=", which sorts before every character of a word but '!' to '<' of ASCII: so by hand.
 */
static int compare_keys(const char *a, const char *b)
{
    size_t n = strcspn(a, "="), m = strcspn(b, "=");
    int r = memcmp(a, b, MIN(n, m));

    return r != 0 ? r : (n > m) - (n < m);
}

/* Behind its equals without a value, so that word_set_new() finds the one with a value first. */
static int compare_words(const void *a, const void *b)
{
    const char *x = *(const char *const *) a, *y = *(const char *const *) b;
    int r = compare_keys(x, y);

    return r != 0 ? r : -strcmp(x, y);
}

WordSet *word_set_new(GPtrArray *words)
{
    WordSet *set = g_malloc0(sizeof *set + words->len * sizeof(uint32_t));
    size_t size = 0, offset = 0;

    g_ptr_array_sort(words, compare_words);
    for (guint i = 0; i < words->len; i++)
        size += strlen(words->pdata[i]) + 1;
    set->text = g_malloc(size);

    for (guint i = 0; i < words->len; i++) {
        size_t length = strlen(words->pdata[i]) + 1;

        if (set->n > 0 && compare_keys(set->text + set->offsets[set->n - 1], words->pdata[i]) == 0)
            continue;
        memcpy(set->text + offset, words->pdata[i], length);
        set->offsets[set->n++] = (uint32_t) offset;
        offset += length;
    }
    return set;
}

void word_set_free(WordSet *set)
{
    if (!set)
        return;
    g_free(set->text);
    g_free(set);
}

const char *word_set_find(const WordSet *set, const char *word)
{
    size_t low = 0, high = set->n;

    if (strchr(word, '='))
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *candidate = set->text + set->offsets[middle];
        int r = compare_keys(word, candidate);

        if (r == 0) {
            const char *value = strchr(candidate, '=');

            return value ? value + 1 : "";
        }
        if (r < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *word_set_get(const WordSet *set, size_t i)
{
    return i < set->n ? set->text + set->offsets[i] : NULL;
}

bool word_is_sound(const char *word)
{
    size_t n;

    for (n = 0; word[n]; n++)
        if (n >= WORD_MAX || !g_ascii_isgraph(word[n]) || strchr("=\"\\", word[n]))
            return false;
    return n > 0;
}
