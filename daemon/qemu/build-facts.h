/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is known of one QEMU build, and by what it is known again: shared by the files that ask it
 * (build-probe.c), remember it (build-cache.c) and answer for it (build.c). Nobody else includes this. */

#include <stdint.h>
#include <sys/stat.h>

#include "build.h"
#include "tree.h"
#include "word-set.h"

typedef struct BuildIdentity {
    char *root; /* of the tree that it is in (tree.h); NULL: the host */
    bool image; /* the root is an image: `file` is that, and what follows is empty */
    char *path; /* as it was given, in the tree */
    FileIdentity file;
    /* When `path` is a script, the program that came of it; else NULL. */
    char *program;
    FileIdentity program_file;
    /* A sum over QEMU's module folders: a package with one more device changes these, not the binary. */
    uint64_t modules;
} BuildIdentity;

typedef enum BuildWords {
    BUILD_MACHINES, /* names, and aliases with the name as value */
    BUILD_DEVICES,
    BUILD_OBJECTS,
    BUILD_CHARDEVS,
    BUILD_COMMANDS,
    BUILD_OPTIONS,
    BUILD_AUDIODEVS, /* none where nobody asks (see build-probe.c) */
    _BUILD_WORDS_MAX,
} BuildWords;

/* "machines" and so on, as the cache calls them. */
extern const char *const build_words_names[_BUILD_WORDS_MAX];

struct QemuBuild {
    unsigned n_ref;
    BuildIdentity identity;
    char *version, *target;
    bool kvm;
    WordSet *words[_BUILD_WORDS_MAX];
};

/* `tree` NULL: the host. An Error says what is wrong with the file; `program` is left NULL. */
bool build_identity_read(const QemuTree *tree, const char *path, BuildIdentity *ret, Error **ret_error);
/* Adds the program that /proc/PID/exe shows, when it is not `path` itself. */
void build_identity_add_program(BuildIdentity *identity, pid_t pid);
/* Whether the files on disk are still those. */
bool build_identity_holds(const BuildIdentity *identity);
bool build_identity_equal(const BuildIdentity *a, const BuildIdentity *b);
/* Whether it is the same path in the same tree, whatever is there. */
bool build_identity_is_at(const BuildIdentity *identity, const char *root, const char *path);
/* "QEMU binary "/usr/bin/qemu"", and of which tree; the caller frees. */
char *build_identity_thing(const char *root, const char *path);
void build_identity_copy(BuildIdentity *to, const BuildIdentity *from);
void build_identity_clear(BuildIdentity *identity);

/* "7.2.17", "x86_64": short and of plain characters. */
bool build_name_is_sound(const char *s);

/* Forgets all but the identity and the references. */
void build_clear_facts(QemuBuild *build);
