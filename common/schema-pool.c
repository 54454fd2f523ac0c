/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a NAME.pool may hold. */

#include "schema.h"

#include "value.h"

static const SettingSection sections[] = {
        {"Pool", false, "A folder whose files are disks of VMs, and the file system that it is on."},
        {NULL},
};

static const SettingKey keys[] = {
        {"Pool", "Description", SETTING_STRING, .max = 512, .live = true, .option = "description", .metavar = "TEXT",
                .summary = "What the pool is for, shown by list and show."},
        {"Pool", "Type", SETTING_ENUM, "dir", "dir|nfs|mount", .option = "type", .metavar = "TYPE",
                .summary = "dir: a folder of this host; nfs: one of an NFS server; mount: any other file system that "
                           "is mounted for it."},
        {"Pool", "Path", SETTING_PATH, .option = "path", .metavar = "PATH",
                .summary = "The folder, or where the file system is mounted; unset, a folder of the pool's name in "
                           "vmd's own."},
        {"Pool", "What", SETTING_STRING, .max = 1024, .option = "what", .metavar = "WHAT",
                .summary = "What is mounted: SERVER:/PATH with Type=nfs, a device or another source with "
                           "Type=mount."},
        {"Pool", "FSType", SETTING_STRING, .max = 64, .option = "fs-type", .metavar = "NAME",
                .summary = "The type of the file system, as mount(8) has it; unset, nfs with Type=nfs, else found out."},
        {"Pool", "Options", SETTING_STRING, .max = 1024, .option = "options", .metavar = "TEXT",
                .summary = "Mount options, with commas between them."},
        {"Pool", "Autostart", SETTING_BOOL, "no", .option = "autostart", .metavar = "BOOL",
                .summary = "Whether it is mounted when vmd starts; else when the first VM wants it."},
        {"Pool", "Timeout", SETTING_DURATION, "30s", .min = USEC_PER_SEC,
                .summary = "How long the file system may take to answer before vmd goes on without it."},
        {NULL},
};

const Schema pool_schema = {"vmd.pool(5)", sections, keys};
