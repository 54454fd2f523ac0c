/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lock: that nobody writes an image while somebody reads it, said in the bytes in which QEMUs say it to each other (its block/file-posix.c), so that
 * each QEMU on this host, and on a file system with locks on others, heeds it. A lock lives as long as its open file, whoever has that
 * in the end. For threads: a file system may hang. Knows nothing of VMs. */

/* 0, also where the file system has no locks; -EBUSY: somebody writes it. */
int lock_for_reading(int fd);

/* 0, or -EBUSY: somebody who has it open wants that nobody writes it. Of other files than this one. */
int lock_check_writing(int fd);

/* A file that one program alone is to have open, and which no QEMU has. 0, also where there are no locks; -EBUSY. */
int lock_alone(int fd);
