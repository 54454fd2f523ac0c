/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "signed-sums.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "signature.h"

#define LIST_SIZE_MAX (1024 * 1024)

struct SignedSums {
    sd_event *event;
    Scopes *scopes;
    bool user;
    char *name, *list, *signature, *proxy, *unit; /* name: of the file, as the list has it */
    int keyring, list_fd, signature_fd;           /* memfds */
    Download *download;
    Signature *check;
    SignedSumsDone done;
    void *userdata;
};

void signed_sums_free(SignedSums *sums)
{
    if (!sums)
        return;
    download_free(sums->download);
    signature_free(sums->check);
    close_fd(&sums->keyring);
    close_fd(&sums->list_fd);
    close_fd(&sums->signature_fd);
    sd_event_unref(sums->event);
    g_free(sums->name);
    g_free(sums->list);
    g_free(sums->signature);
    g_free(sums->proxy);
    g_free(sums->unit);
    g_free(sums);
}

/* "SUM  NAME", "SUM *NAME" or "SHA256 (NAME) = SUM": its sum, a new string, where it is about `name`. */
static char *sum_of_line(const char *line, const char *name)
{
    g_autofree char *tag = g_strdup_printf(" (%s) = ", name);
    const char *tagged = strstr(line, tag), *sum = tagged ? tagged + strlen(tag) : line;
    size_t length = strspn(sum, "0123456789abcdefABCDEF");
    const char *rest = sum + length;
    if (length != 64 && length != 128)
        return NULL;
    if (tagged)
        return *rest ? NULL : g_strdup(sum);
    if (rest[0] != ' ' || (rest[1] != ' ' && rest[1] != '*'))
        return NULL;
    rest += g_str_has_prefix(rest + 2, "./") ? 4 : 2;
    return g_str_equal(rest, name) ? g_strndup(sum, length) : NULL;
}

/* A new string, or NULL: there is none, or several that differ. */
static char *find_sum(const char *list, const char *name)
{
    g_auto(GStrv) lines = g_strsplit(list, "\n", -1);
    g_autofree char *found = NULL;
    for (char **line = lines; *line; line++) {
        g_autofree char *sum = sum_of_line(g_strchomp(*line), name);
        if (sum && found && g_ascii_strcasecmp(sum, found) != 0)
            return NULL;
        if (sum && !found)
            found = g_steal_pointer(&sum);
    }
    return g_steal_pointer(&found);
}

static void fail(SignedSums *sums, const Error *error)
{
    sums->done(sums, NULL, error, sums->userdata);
}

static void on_checked(Signature *check, const Error *error, void *userdata)
{
    SignedSums *sums = userdata;
    g_autofree char *list = g_malloc0(LIST_SIZE_MAX + 1);
    g_autoptr(Error) none = NULL;
    g_clear_pointer(&sums->check, signature_free);
    if (error)
        return fail(sums, error);
    ssize_t n = pread(sums->list_fd, list, LIST_SIZE_MAX, 0);
    g_autofree char *sum = n > 0 ? find_sum(list, sums->name) : NULL;
    if (!sum) {
        error_set(&none, ERROR_FAILED, sums->list, "Look at what stands in it", "there is no one checksum of \"%.200s\" in it", sums->name);
        return fail(sums, none);
    }
    sums->done(sums, sum, NULL, sums->userdata);
}

static bool next(SignedSums *sums, Error **ret_error);

static void on_downloaded(Download *download, const Error *error, void *userdata)
{
    SignedSums *sums = userdata;
    g_autoptr(Error) failed = NULL;
    g_clear_pointer(&sums->download, download_free);
    if (error)
        fail(sums, error);
    else if (!next(sums, &failed))
        fail(sums, failed);
}

static bool begin_download(SignedSums *sums, const char *url, const char *what, int *ret_fd, Error **ret_error)
{
    g_autofree char *unit = g_strdup_printf("%s-%s.service", sums->unit, what);
    *ret_fd = memfd_create("vmd-sums", MFD_CLOEXEC);
    if (*ret_fd < 0)
        return error_set_errno(ret_error, errno, url, "its download cannot be begun");
    const DownloadSpec spec = {.url = url, .proxy = sums->proxy, .fd = *ret_fd, .max_size = LIST_SIZE_MAX, .unit = unit};
    sums->download = download_start(sums->event, sums->scopes, sums->user, &spec, on_downloaded, NULL, sums, ret_error);
    return sums->download != NULL;
}

/* First the list, then its signature, then whether they fit. */
static bool next(SignedSums *sums, Error **ret_error)
{
    if (sums->list_fd < 0)
        return begin_download(sums, sums->list, "list", &sums->list_fd, ret_error);
    if (sums->signature_fd < 0)
        return begin_download(sums, sums->signature, "signature", &sums->signature_fd, ret_error);
    g_autofree char *unit = g_strdup_printf("%s-check.service", sums->unit);
    const SignatureSpec spec = {.name = sums->list, .text = sums->list_fd, .signature = sums->signature_fd, .keyring = sums->keyring, .unit = unit};
    sums->check = signature_start(sums->scopes, sums->user, &spec, on_checked, sums, ret_error);
    return sums->check != NULL;
}

SignedSums *signed_sums_start(sd_event *event, Scopes *scopes, bool user, const SignedSumsSpec *spec, SignedSumsDone done, void *userdata,
    Error **ret_error)
{
    SignedSums *sums = g_new0(SignedSums, 1);
    g_autofree char *path = g_strndup(spec->url, strcspn(spec->url, "?#"));
    sums->event = sd_event_ref(event);
    sums->scopes = scopes;
    sums->user = user;
    sums->name = g_strdup(strrchr(path, '/') + 1);
    sums->list = g_strdup(spec->list);
    sums->signature = g_strdup(spec->signature);
    sums->proxy = g_strdup(spec->proxy);
    sums->unit = g_str_has_suffix(spec->unit, ".service") ? g_strndup(spec->unit, strlen(spec->unit) - strlen(".service")) : g_strdup(spec->unit);
    sums->list_fd = sums->signature_fd = -1;
    sums->keyring = fcntl(spec->keyring, F_DUPFD_CLOEXEC, 3);
    sums->done = done;
    sums->userdata = userdata;
    if (sums->keyring < 0)
        error_set_errno(ret_error, errno, spec->list, "the keyring cannot be used");
    if (sums->keyring < 0 || !next(sums, ret_error)) {
        signed_sums_free(sums);
        return NULL;
    }
    return sums;
}
