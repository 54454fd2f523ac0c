/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* WordSet: some hundred words that are looked up often and never change, in two allocations.
 *
 * A word may carry a value ("q35=pc-q35-7.2"). The set is sorted by word, searched by halving, and belongs
 * to whoever made it. Words come from QEMU or from a cache file: word_is_sound() says which are taken. */

#include <glib.h>
#include <stdbool.h>

#define WORDS_IN_SET_MAX 8192U

typedef struct WordSet WordSet;

/* From "word" and "word=value" strings in any order, doubles allowed (the first with a value wins). The array
 * is sorted in place. */
WordSet *word_set_new(GPtrArray *words);
void word_set_free(WordSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WordSet, word_set_free)

/* The word's value, "" when it has none, NULL when it is not in the set. Borrowed. */
const char *word_set_find(const WordSet *set, const char *word);

/* The i-th "word" or "word=value", NULL behind the last. Borrowed. */
const char *word_set_get(const WordSet *set, size_t i);

/* One to 127 printable ASCII characters without blank, quote, backslash and "=". */
bool word_is_sound(const char *word);
