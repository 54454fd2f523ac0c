/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* volume download, volume upload. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "job.h"
#include "json.h"
#include "report.h"
#include "transfer.h"
#include "value.h"
#include "verb.h"
#include "volume.h"

static int fail_room(int r, const char *what)
{
    return r == -ENOSPC || r == -EDQUOT ? report("%s: there is no room for all of it", what) : report_errno(r, "%s: it cannot be copied", what);
}

/* The descriptor that METHOD gives of a volume; the caller closes it. */
static int call_for_file(Client *client, const char *pool, const char *volume, const char *method, int *ret_fd)
{
    g_autoptr(sd_bus_message) reply = NULL;
    int fd;
    int r = client_call(client, pool, POOL_INTERFACE, method, &reply, "s", volume);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_read(reply, "h", &fd);
    if (r < 0)
        return report_errno(r, "vmd: cannot read its answer");
    *ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return *ret_fd < 0 ? report_errno(errno, "Volume \"%s/%s\": its file cannot be had", pool, volume) : EXIT_DONE;
}

/* Since it was `before`. */
static bool has_changed(int fd, const struct stat *before)
{
    struct stat now;
    return fstat(fd, &now) < 0 || now.st_size != before->st_size || now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != before->st_mtim.tv_nsec;
}

/* ---- download ---- */

typedef struct Download {
    char *pool, *volume, *label, *path, *part;
    int from, to;
    struct stat source;
} Download;

static void download_clear(Download *download)
{
    close_fd(&download->from);
    close_fd(&download->to);
    g_free(download->pool);
    g_free(download->volume);
    g_free(download->label);
    g_free(download->path);
    g_free(download->part);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Download, download_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JobCall, job_call_clear)

static int open_volume(Client *client, Download *download)
{
    int r = call_for_file(client, download->pool, download->volume, "OpenVolume", &download->from);
    if (r == EXIT_DONE && fstat(download->from, &download->source) < 0)
        return report_errno(errno, "Volume \"%s/%s\": its file cannot be read", download->pool, download->volume);
    return r;
}

/* Before vmd is asked for anything. */
static int choose_path(const Client *client, Download *download)
{
    struct stat st;
    const char *word = client->n_arguments > 1 ? client->arguments[1] : download->volume;
    if (strcmp(word, "-") == 0)
        return isatty(STDOUT_FILENO) ? report_usage("volume download: a terminal cannot take an image. Name a file, or pipe it into a program") : EXIT_DONE;
    download->path = stat(word, &st) >= 0 && S_ISDIR(st.st_mode) ? g_build_filename(word, download->volume, NULL) : g_strdup(word);
    download->part = g_strconcat(download->path, ".part", NULL);
    if (lstat(download->path, &st) < 0)
        return errno == ENOENT ? EXIT_DONE : report_errno(errno, "%s: it cannot be written", download->path);
    if (!client->force)
        return report("%s: there is such a file. Name another, or have it replaced with --force", download->path);
    return S_ISREG(st.st_mode) ? EXIT_DONE : report("%s: it is no file, and so it is not replaced", download->path);
}

static int open_part(Download *download)
{
    struct flock lock = {.l_type = F_WRLCK};
    struct stat st;
    download->to = open(download->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, download->source.st_mode & 0666);
    if (download->to < 0 || fstat(download->to, &st) < 0)
        return report_errno(errno, "%s: it cannot be written", download->part);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink > 1)
        return report("%s: it is not yours. Choose another FILE, or remove it", download->part);
    if (fcntl(download->to, F_OFD_SETLK, &lock) < 0 && (errno == EAGAIN || errno == EACCES))
        return report("%s: another program writes it", download->part);
    return EXIT_DONE;
}

static int put_in_place(const Client *client, Download *download)
{
    if (has_changed(download->from, &download->source)) {
        (void) unlink(download->part);
        return report("Volume \"%s/%s\": it was changed meanwhile. Try it again", download->pool, download->volume);
    }
    if (fsync(download->to) < 0)
        return fail_room(-errno, download->part);
    int r = client->force ? rename(download->part, download->path)
                          : renameat2(AT_FDCWD, download->part, AT_FDCWD, download->path, RENAME_NOREPLACE);
    if (r < 0 && errno == EINVAL && !client->force)
        r = link(download->part, download->path) < 0 ? -1 : unlink(download->part);
    return r < 0 ? report_errno(errno, "%s: it is whole, but cannot be renamed to %s", download->part, download->path) : EXIT_DONE;
}

/* What is there stays, and the same command goes on with it. */
static int broken_off(Client *client, Download *download, uint64_t done, int r)
{
    int exit = r == -ECANCELED ? EXIT_INTERRUPTED : EXIT_FAILED;
    g_autofree char *has = format_size_human(done), *size = format_size_human((uint64_t) download->source.st_size);
    if (r == -ECANCELED)
        (void) report("Volume \"%s/%s\": its download was interrupted", download->pool, download->volume);
    else
        (void) fail_room(r, download->part);
    if (done == 0 || transfer_keep(download->to, &download->source, done) < 0)
        (void) unlink(download->part);
    else
        note(client, "%s has %s of %s, and the same command goes on with it.", download->part, has, size);
    return exit;
}

static int download_to_file(Client *client, Download *download)
{
    uint64_t size = (uint64_t) download->source.st_size;
    Transfer transfer = {.client = client, .label = download->label, .from = download->from, .size = size};
    int r = open_part(download);
    if (r != EXIT_DONE)
        return r;
    transfer.to = download->to;
    r = transfer_resume(download->to, &download->source, &transfer.done);
    if (r < 0)
        return report_errno(r, "%s: it cannot be written", download->part);
    if (transfer.done > 0) {
        g_autofree char *has = format_size_human(transfer.done);
        note(client, "Going on with %s, which has %s.", download->part, has);
    }
    r = transfer_run(&transfer);
    if (r < 0)
        return broken_off(client, download, transfer.done, r);
    r = put_in_place(client, download);
    if (r == EXIT_DONE && !client->quiet)
        printf("Downloaded %s/%s to %s.\n", download->pool, download->volume, download->path);
    return r;
}

static int download_to_pipe(Client *client, const Download *download)
{
    Transfer transfer = {.client = client, .label = download->label, .from = download->from, .to = STDOUT_FILENO, .stream = true,
            .size = (uint64_t) download->source.st_size};
    int r = transfer_run(&transfer);
    if (r == -ECANCELED)
        return EXIT_INTERRUPTED;
    return r < 0 ? fail_room(r, "stdout") : EXIT_DONE;
}

/* In an overlay is only what differs. */
static void tell_backing(Client *client, const Download *download)
{
    g_autoptr(json_t) volume = NULL;
    if (volume_get(client, download->pool, download->volume, &volume) == EXIT_DONE && *json_get_string(volume, "backing"))
        note(client, "What is behind it, %s, is not in it; 'vmctl volume clone' makes a volume that has all.", json_get_string(volume, "backing"));
}

int verb_volume_download(Client *client)
{
    g_auto(Download) download = {.from = -1, .to = -1};
    if (!client_is_local(client))
        return report_usage("volume download: a file of another machine cannot be handed over; run vmctl there: ssh HOST vmctl volume download VOLUME - > FILE");
    int r = volume_split(client->arguments[0], VOLUME_DEFAULT_POOL, &download.pool, &download.volume);
    if (r == EXIT_DONE)
        r = choose_path(client, &download);
    if (r == EXIT_DONE)
        r = open_volume(client, &download);
    if (r != EXIT_DONE)
        return r;
    download.label = g_strdup_printf("%s/%s: downloading", download.pool, download.volume);
    r = download.path ? download_to_file(client, &download) : download_to_pipe(client, &download);
    if (r == EXIT_DONE)
        tell_backing(client, &download);
    return r;
}

/* ---- upload ---- */

typedef struct Upload {
    char *pool, *volume, *label;
    const char *file; /* for people */
    int from, to;
    struct stat source;
    bool stream;
    uint64_t size; /* that is to come; 0: not known */
} Upload;

static void upload_clear(Upload *upload)
{
    if (upload->from != STDIN_FILENO)
        close_fd(&upload->from);
    close_fd(&upload->to);
    g_free(upload->pool);
    g_free(upload->volume);
    g_free(upload->label);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Upload, upload_clear)

/* What a guest may have written into a raw disk makes no qcow2 image of it. */
static int check_format(const Upload *upload)
{
    char head[4];
    bool qcow2 = pread(upload->from, head, sizeof head, 0) == sizeof head && memcmp(head, "QFI\xfb", sizeof head) == 0;
    if (qcow2 == g_str_has_suffix(upload->volume, ".qcow2"))
        return EXIT_DONE;
    return qcow2 ? report_usage("%s: it is a qcow2 image. Give the volume a name that ends in \".qcow2\", or make one of another format with: vmctl import",
                           upload->file)
                 : report_usage("%s: it is no qcow2 image, which the volume's name says. Give it another, or convert it with: vmctl import", upload->file);
}

static int open_source(Client *client, Upload *upload)
{
    bool pipe = strcmp(client->arguments[0], "-") == 0;
    upload->file = pipe ? "stdin" : client->arguments[0];
    upload->from = pipe ? STDIN_FILENO : open(client->arguments[0], O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (upload->from < 0 || fstat(upload->from, &upload->source) < 0)
        return report_errno(errno, "%s: it cannot be opened", upload->file);
    if (S_ISDIR(upload->source.st_mode))
        return report("%s: it is a folder", upload->file);
    if (pipe && isatty(STDIN_FILENO))
        return report_usage("volume upload: an image cannot be typed in. Name a file, or pipe it from a program");
    upload->stream = pipe || !S_ISREG(upload->source.st_mode);
    if (client->size && (parse_size(client->size, &upload->size) < 0 || upload->size == 0))
        return report_usage("\"%s\": it is no size. Write it as 20G, 512M or in bytes", client->size);
    if (upload->size == 0 && !pipe && (S_ISREG(upload->source.st_mode) || S_ISBLK(upload->source.st_mode)))
        upload->size = (uint64_t) MAX(lseek(upload->from, 0, SEEK_END), 0);
    (void) lseek(upload->from, 0, pipe ? SEEK_CUR : SEEK_SET);
    return EXIT_DONE;
}

static int name_volume(const Client *client, Upload *upload)
{
    const char *word = client->arguments[1];
    g_autofree char *base = g_path_get_basename(client->arguments[0]);
    if (!word && strcmp(client->arguments[0], "-") == 0)
        return report_usage("volume upload: how is it to be called? vmctl volume upload - NAME");
    return volume_split(word ? word : base, VOLUME_DEFAULT_POOL, &upload->pool, &upload->volume);
}

static void discard(Client *client, Upload *upload)
{
    g_autofree char *path = kind_object(&kind_pool, upload->pool);
    close_fd(&upload->to);
    (void) sd_bus_call_method(client->bus, BUS_NAME, path, POOL_INTERFACE, "DiscardUpload", NULL, NULL, "s", upload->volume);
}

/* What came of a file stays for a week, and the same command goes on with it; what came of a pipe is no use to anybody. */
static int upload_broken_off(Client *client, Upload *upload, uint64_t done, int r)
{
    int exit = r == -ECANCELED ? EXIT_INTERRUPTED : EXIT_FAILED;
    g_autofree char *thing = g_strdup_printf("Volume \"%s/%s\"", upload->pool, upload->volume), *has = format_size_human(done);
    if (r == -ECANCELED)
        (void) report("%s: its upload was interrupted", thing);
    else
        (void) fail_room(r, thing);
    if (upload->stream || done == 0 || transfer_keep(upload->to, &upload->source, done) < 0)
        discard(client, upload);
    else
        note(client, "%s of it are kept for a week, and the same command goes on with them.", has);
    return exit;
}

static int fill(Client *client, Upload *upload)
{
    Transfer transfer = {.client = client, .label = upload->label, .from = upload->from, .to = upload->to, .stream = upload->stream, .size = upload->size};
    int r = upload->stream ? (ftruncate(upload->to, 0) < 0 ? -errno : 0) : transfer_resume(upload->to, &upload->source, &transfer.done);
    if (r < 0)
        return report_errno(r, "Volume \"%s/%s\": its file cannot be written", upload->pool, upload->volume);
    if (transfer.done > 0) {
        g_autofree char *has = format_size_human(transfer.done);
        note(client, "Going on with what was uploaded before, %s.", has);
    }
    r = transfer_run(&transfer);
    if (r >= 0 && fsync(upload->to) < 0)
        r = -errno;
    if (r < 0)
        return upload_broken_off(client, upload, transfer.done, r);
    bool changed = !upload->stream && has_changed(upload->from, &upload->source);
    if (!changed && (upload->size == 0 || upload->size == transfer.done))
        return EXIT_DONE;
    discard(client, upload);
    return changed ? report("%s: it was changed meanwhile. Try it again", upload->file)
                   : report("%s: %" G_GUINT64_FORMAT " bytes came of it, and not %" G_GUINT64_FORMAT, upload->file, transfer.done, upload->size);
}

static int finish(Client *client, const Upload *upload)
{
    static const JobKind kind = {"Volume", "uploading", "upload", "nothing of it is left"};
    g_auto(JobCall) call = {.pool = g_strdup(upload->pool), .volume = g_strdup(upload->volume)};
    int r = client_new_call(client, upload->pool, POOL_INTERFACE, "FinishUpload", &call.message);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_append(call.message, "s", upload->volume);
    if (r < 0)
        return report_errno(r, "FinishUpload: cannot make the call");
    r = job_perform(client, &kind, &call, 1);
    if (r == EXIT_DONE && !client->quiet)
        printf("Created %s/%s.\n", upload->pool, upload->volume);
    return r;
}

int verb_volume_upload(Client *client)
{
    g_auto(Upload) upload = {.from = -1, .to = -1};
    if (!client_is_local(client))
        return report_usage("volume upload: a file of another machine cannot be handed over; run vmctl there: ssh HOST vmctl volume upload - VOLUME < FILE");
    int r = name_volume(client, &upload);
    if (r == EXIT_DONE)
        r = open_source(client, &upload);
    if (r == EXIT_DONE && S_ISREG(upload.source.st_mode))
        r = check_format(&upload);
    if (r == EXIT_DONE)
        r = call_for_file(client, upload.pool, upload.volume, "UploadVolume", &upload.to);
    if (r != EXIT_DONE)
        return r;
    upload.label = g_strdup_printf("%s/%s: uploading", upload.pool, upload.volume);
    r = fill(client, &upload);
    close_fd(&upload.to);
    return r == EXIT_DONE ? finish(client, &upload) : r;
}
