/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "sandbox.h"

#define CURL "/usr/bin/curl"
#define URL_MAX 2048
#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]"
#define PROGRESS_USEC (300 * 1000)
#define TOTAL_USEC (UINT64_C(24) * 3600 * G_USEC_PER_SEC)
#define RETRY_USEC G_USEC_PER_SEC
#define RETRIES 4 /* without anything that came */
#define FULL (1024 * 1024)

/* curl(1), EXIT CODES. */
enum {
    CURL_RESOLVE = 6,
    CURL_PARTIAL = 18,
    CURL_HTTP = 22,
    CURL_WRITE = 23,
    CURL_TIMEOUT = 28,
    CURL_RANGE = 33,
    CURL_RESUME = 36,
    CURL_EMPTY = 52,
    CURL_SEND = 55,
    CURL_RECEIVE = 56,
    CURL_TOO_LARGE = 63,
    CURL_HTTP2 = 92,
};

struct Download {
    sd_event *event;
    Scopes *scopes;
    bool user;
    char *url, *proxy, *unit, *current; /* unit: of the attempt */
    int fd, headers, errors;    /* the latter two are memfds */
    uint64_t max_size, begun, from; /* from: where this attempt began */
    unsigned attempts, futile;
    ScopeJob *job;
    sd_event_source *timer, *retry;
    DownloadDone done;
    DownloadProgress progress;
    void *userdata;
};

bool download_check_url(const char *url, Error **ret_error)
{
    bool web = g_str_has_prefix(url, "https://") || g_str_has_prefix(url, "http://");
    if (!web || strlen(url) > URL_MAX)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "url", "Give one that begins with https:// or http://", "this is no address of a file on a web server");
    for (const char *c = url; *c; c++)
        if (!g_ascii_isgraph(*c))
            return error_set(ret_error, ERROR_INVALID_SETTINGS, "url", "Write what is not ASCII as %XX", "it has characters that no address has");
    const char *host = strstr(url, "://") + 3;
    if (memchr(host, '@', strcspn(host, "/?#")))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "url", "Download it yourself and import it", "a password in it could be seen by others");
    return true;
}

bool download_check_proxy(const char *proxy, Error **ret_error)
{
    static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://"};
    const char *host = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++)
        if (g_str_has_prefix(proxy, schemes[i]))
            host = proxy + strlen(schemes[i]);
    if (!host || !*host || strlen(proxy) > URL_MAX || strspn(host, HOST_CHARACTERS) != strlen(host))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "proxy", "Write it as http://HOST:PORT, or with https, socks5 or socks5h", "this is no address of a proxy");
    return true;
}

void download_free(Download *download)
{
    if (!download)
        return;
    scope_job_forget(download->job);
    sd_event_source_disable_unref(download->timer);
    sd_event_source_disable_unref(download->retry);
    if (download->current)
        service_end(download->scopes, download->current);
    close_fd(&download->fd);
    close_fd(&download->headers);
    close_fd(&download->errors);
    sd_event_unref(download->event);
    g_free(download->url);
    g_free(download->proxy);
    g_free(download->unit);
    g_free(download->current);
    g_free(download);
}

static uint64_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 ? 0 : (uint64_t) st.st_size;
}

static char *read_memfd(int fd)
{
    char *text = g_malloc0(65536);
    (void) !pread(fd, text, 65535, 0);
    return text;
}

/* The answers of all servers that were asked stand in a row. */
static uint64_t total_of(const Download *download)
{
    g_autofree char *text = read_memfd(download->headers);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    uint64_t total = 0;
    for (char **line = lines; *line; line++) {
        const char *slash = strchr(*line, '/');
        if (g_str_has_prefix(*line, "HTTP/"))
            total = 0;
        else if (g_ascii_strncasecmp(*line, "content-length:", 15) == 0 && total == 0)
            total = download->from + g_ascii_strtoull(*line + 15, NULL, 10);
        else if (g_ascii_strncasecmp(*line, "content-range:", 14) == 0 && slash)
            total = g_ascii_strtoull(slash + 1, NULL, 10);
    }
    return total;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Download *download = userdata;
    uint64_t total = total_of(download), size = size_of(download->fd);
    if (download->progress && total > 0 && size <= total)
        download->progress(download, (double) size / (double) total, download->userdata);
    (void) sd_event_source_set_time_relative(source, PROGRESS_USEC);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* The last thing: it may free the download. */
static void end(Download *download, const Error *error)
{
    download->timer = sd_event_source_disable_unref(download->timer);
    g_clear_pointer(&download->current, g_free);
    download->done(download, error, download->userdata);
}

/* "curl: (22) The requested URL returned error: 404" */
static unsigned curl_code(const char *text, const char **ret_words)
{
    unsigned code = 0;
    int n = 0;
    const char *line = strstr(text, "curl: (");
    if (!line || sscanf(line, "curl: (%u) %n", &code, &n) < 1)
        return 0;
    *ret_words = line + n;
    return code;
}

static bool attempt(Download *download, Error **ret_error);

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    Download *download = userdata;
    g_autoptr(Error) error = NULL;
    download->retry = sd_event_source_disable_unref(download->retry);
    if (!attempt(download, &error))
        end(download, error);
    return 0;
}

/* Whether it is worth while to go on. */
static bool may_retry(Download *download, unsigned code)
{
    static const unsigned passing[] = {CURL_PARTIAL, CURL_TIMEOUT, CURL_EMPTY, CURL_SEND, CURL_RECEIVE, CURL_HTTP2};
    bool passes = false;
    /* A server that cannot go on in the middle begins anew, once. */
    if ((code == CURL_RANGE || code == CURL_RESUME) && download->from > 0 && ftruncate(download->fd, 0) == 0)
        return download->futile++ == 0;
    for (size_t i = 0; i < G_N_ELEMENTS(passing); i++)
        passes |= passing[i] == code;
    download->futile = size_of(download->fd) > download->from ? 0 : download->futile + 1;
    return passes && download->futile <= RETRIES && (uint64_t) g_get_monotonic_time() - download->begun < TOTAL_USEC;
}

/* Where there is no end to it there are no numbers. */
static bool disk_is_full(int fd)
{
    struct statvfs st;
    return fstatvfs(fd, &st) == 0 && st.f_blocks > 0 && (uint64_t) st.f_bavail * st.f_frsize < FULL;
}

static Error *why(const Download *download, unsigned code, const char *words)
{
    Error *error = NULL;
    g_autofree char *valid = g_utf8_make_valid(words, -1);
    g_strchomp(g_strdelimit(valid, "\r\n", ' '));
    if (code == CURL_TOO_LARGE || size_of(download->fd) >= download->max_size)
        error_set(&error, ERROR_LIMIT_REACHED, download->url, "Say how large it may be (max-size)", "it is larger than %" G_GUINT64_FORMAT " bytes",
            download->max_size);
    else if (disk_is_full(download->fd))
        error_set(&error, ERROR_NO_SPACE, download->url, NULL, "there is no room for it");
    else if (code > 0)
        error_set(&error, ERROR_FAILED, download->url, NULL, "it cannot be downloaded: %.300s", valid);
    else
        error_set(&error, ERROR_FAILED, download->url, "Look at the journal", "curl did not end well");
    return error;
}

/* systemd's job for a service of this type ends when curl does. */
static void on_service(const Error *failed, void *userdata)
{
    Download *download = userdata;
    const char *words = "";
    download->job = NULL;
    if (!failed)
        return end(download, NULL);
    g_autofree char *text = read_memfd(download->errors);
    unsigned code = curl_code(text, &words);
    if (may_retry(download, code) &&
        sd_event_add_time_relative(download->event, &download->retry, CLOCK_MONOTONIC, RETRY_USEC, 0, on_retry, download) >= 0)
        return;
    g_autoptr(Error) error = why(download, code, words);
    end(download, error);
}

static ScopeJob *start_service(Download *download, const char *const *argv, Error **ret_error)
{
    static const char *const families[] = {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", NULL};
    static const char *const paths[] = {"/usr", "-/lib", "-/lib64", "-/etc/ld.so.cache", "-/etc/resolv.conf", "-/etc/hosts", "-/etc/nsswitch.conf",
        "-/etc/host.conf", "-/etc/gai.conf", "-/etc/ssl", "-/etc/pki", "-/etc/ca-certificates", "-/run/systemd/resolve", NULL};
    const ServiceProperty properties[] = {
        {"Description", 's', .text = "Download of an Image of Virtual Machines"},
        {"Type", 's', .text = "oneshot"},
        {"StandardInputFileDescriptor", 'h', .number = (uint64_t) download->headers},
        {"StandardOutputFileDescriptor", 'h', .number = (uint64_t) download->fd},
        {"StandardErrorFileDescriptor", 'h', .number = (uint64_t) download->errors},
        {"LimitFSIZE", 't', .number = download->max_size},
        {"LimitCORE", 't', .number = 0},
        {"MemoryDenyWriteExecute", 'b', .number = 1},
        {"MemoryMax", 't', .number = UINT64_C(256) << 20},
        {"TasksMax", 't', .number = 16},
        {"RestrictAddressFamilies", 'F', .number = 1, .words = families},
        {"TimeoutStartUSec", 't', .number = TOTAL_USEC},
        {NULL},
    };
    const SandboxSpec spec = {.unit = download->current, .argv = argv, .paths = paths, .properties = properties, .user = download->user};
    return sandbox_start(download->scopes, &spec, on_service, download, ret_error);
}

static bool attempt(Download *download, Error **ret_error)
{
    download->from = size_of(download->fd);
    if (lseek(download->fd, (off_t) download->from, SEEK_SET) < 0 || ftruncate(download->headers, 0) < 0 || ftruncate(download->errors, 0) < 0 ||
        lseek(download->errors, 0, SEEK_SET) < 0)
        return error_set_errno(ret_error, errno, download->url, "what has come cannot be gone on with");
    g_autofree char *from = g_strdup_printf("%" G_GUINT64_FORMAT, download->from), *max = g_strdup_printf("%" G_GUINT64_FORMAT, download->max_size);
    /* What begins safely does not go on otherwise. */
    const char *redirects = g_str_has_prefix(download->url, "https:") ? "=https" : "=http,https";
    const char *const argv[] = {CURL, "-q", "--silent", "--show-error", "--fail", "--globoff", "--location", "--max-redirs", "10", "--proto",
        "=http,https", "--proto-redir", redirects, "--connect-timeout", "30", "--speed-limit", "1", "--speed-time", "60", "--max-filesize", max,
        "--dump-header", "/proc/self/fd/0", "--proxy", download->proxy ?: "", "--url", download->url, download->from > 0 ? "--continue-at" : NULL, from, NULL};
    g_free(download->current);
    download->current = g_strdup_printf("%s-%u.service", download->unit, ++download->attempts);
    download->job = start_service(download, argv, ret_error);
    if (!download->job)
        g_clear_pointer(&download->current, g_free);
    return download->job != NULL;
}

Download *download_start(sd_event *event, Scopes *scopes, bool user, const DownloadSpec *spec, DownloadDone done, DownloadProgress progress,
    void *userdata, Error **ret_error)
{
    if (access(CURL, X_OK) < 0) {
        error_set(ret_error, ERROR_UNSUPPORTED, CURL, "Install the package curl", "what downloads images is not there");
        return NULL;
    }
    Download *download = g_new0(Download, 1);
    download->event = sd_event_ref(event);
    download->scopes = scopes;
    download->user = user;
    download->url = g_strdup(spec->url);
    download->proxy = g_strdup(spec->proxy);
    download->unit = g_str_has_suffix(spec->unit, ".service") ? g_strndup(spec->unit, strlen(spec->unit) - strlen(".service")) : g_strdup(spec->unit);
    download->max_size = spec->max_size;
    download->begun = (uint64_t) g_get_monotonic_time();
    download->done = done;
    download->progress = progress;
    download->userdata = userdata;
    download->fd = fcntl(spec->fd, F_DUPFD_CLOEXEC, 3);
    download->headers = memfd_create("vmd-headers", MFD_CLOEXEC);
    download->errors = memfd_create("vmd-errors", MFD_CLOEXEC);
    bool opened = download->fd >= 0 && download->headers >= 0 && download->errors >= 0;
    if (!opened)
        error_set_errno(ret_error, errno, spec->url, "its download cannot be begun");
    if (!opened || !attempt(download, ret_error)) {
        download_free(download);
        return NULL;
    }
    (void) sd_event_add_time_relative(event, &download->timer, CLOCK_MONOTONIC, PROGRESS_USEC, 0, on_timer, download);
    return download;
}
