/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Download: a file from a web server, got by curl in a transient service that reaches the network and nothing else.
 *
 * The server is hostile. curl has a uid of its own, no files but programs, certificates and what names are resolved with, and one descriptor to
 * write into; the kernel stops it at the largest size that is wanted. What breaks off is gone on with, where the server can. What comes is
 * worth nothing until the caller has checked it. Addresses of this host and its networks are reached as any others: who may have something
 * downloaded is trusted with that, and sees none of it unless its checksum was known.
 *
 * Belongs to whoever made it; knows nothing of VMs and pools. */

#include "error.h"
#include "scope.h"

typedef struct Download Download;

/* Once, unless it is freed before: `error` NULL when all has come. The download is the callee's to free. */
typedef void (*DownloadDone)(Download *download, const Error *error, void *userdata);
/* 0 to 1; not called where the server does not say how much it is. */
typedef void (*DownloadProgress)(Download *download, double progress, void *userdata);

typedef struct DownloadSpec {
    const char *url;
    const char *proxy; /* NULL: none */
    int fd;            /* a regular file, which is borrowed; what is in it counts as the beginning */
    uint64_t max_size;
    const char *unit;  /* "vmd-job-3.service" */
} DownloadSpec;

/* http and https only, and no password in it, which others could see. */
bool download_check_url(const char *url, Error **ret_error);

bool download_check_proxy(const char *proxy, Error **ret_error);

/* NULL and an Error: nothing was begun. */
Download *download_start(sd_event *event, Scopes *scopes, bool user, const DownloadSpec *spec, DownloadDone done, DownloadProgress progress,
    void *userdata, Error **ret_error);

/* Ends it, done or not. NULL is fine. */
void download_free(Download *download);
