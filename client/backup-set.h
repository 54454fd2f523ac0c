/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Backup sets: folders that backups are in, as vmctl writes them. Used by verb-backup.c.
 *
 *     DIR/VM/BACKUP/backup        key file: what it is
 *                   VM.vm, VM.vm.d/  the settings
 *                   tpm           what its TPM remembers, all of it in each backup; where it has one
 *                   root.qcow2    a disk; of an increment what has changed, over ../SINCE/root.qcow2
 *                   @nvram.qcow2  what UEFI has stored
 *
 * So any program that reads qcow2 reads them, too. A backup is made in a hidden folder, and has its name when it is whole. What stands
 * in such a folder may have come from anywhere: names are checked, and disks are opened below it only. */

#include "client.h"

typedef struct BackupFile {
    char *disk;   /* NAME of [Disk NAME] */
    char *source; /* as the settings had it */
    uint64_t size;
    bool incremental, checkpoint;
} BackupFile;

typedef struct Backup {
    char *vm, *name;
    char *since;      /* the backup that it is over; NULL: none */
    char *checkpoint; /* what vmd calls its moment; NULL: it has none */
    uint64_t created; /* µs, CLOCK_REALTIME */
    bool quiesced;
    GPtrArray *files; /* BackupFile */
    bool nvram;       /* what UEFI has stored is there, too: NVRAM_DISK, whole */
} Backup;

Backup *backup_new(const char *vm, const char *name);
void backup_free(void *backup);
BackupFile *backup_add_file(Backup *backup, const char *disk);
const BackupFile *backup_find_file(const Backup *backup, const char *disk);
/* "root.qcow2"; a new string. */
char *backup_file_name(const char *disk);

/* All whole ones of that VM, oldest first (Backup). Returns an exit code; none at all is no failure. */
int backup_set_read(const char *dir, const char *vm, GPtrArray **ret);
/* The VMs that have some (strings), sorted. */
int backup_set_vms(const char *dir, GPtrArray **ret);
const Backup *backup_set_find(const GPtrArray *set, const char *name);

/* The folder in which it is made: DIR/VM/.BACKUP.part. A new one; what a vmctl that was killed has left there goes. Returns a descriptor, or
 * a negative exit code. */
int backup_set_begin(const char *dir, const Backup *backup);
/* Writes what a memfd has of its TPM into the folder; nothing where it is empty. Returns an exit code. */
int backup_set_keep_tpm(int fd, int memfd);
/* The same back, a memfd in *ret; -1: the backup has none. Returns an exit code. */
int backup_set_open_tpm(const char *dir, const Backup *backup, int *ret);

/* Writes down what it is, and gives the folder its name, all of it on disk. Returns an exit code. */
int backup_set_commit(const char *dir, const Backup *backup, int fd);
void backup_set_abandon(const char *dir, const Backup *backup);

/* Opens a disk, or NVRAM_DISK, for reading, and those that it is over (int, top first). Returns an exit code. */
int backup_set_open(const char *dir, const GPtrArray *set, const Backup *backup, const char *disk, GArray **ret);
