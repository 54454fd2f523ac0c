/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backup, backups, restore. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "backup-set.h"
#include "child.h"
#include "connect.h"
#include "job.h"
#include "json.h"
#include "kind.h"
#include "name.h"
#include "pager.h"
#include "polkit-agent.h"
#include "report.h"
#include "restore.h"
#include "sections.h"
#include "settings.h"
#include "table.h"
#include "timestamp.h"
#include "value.h"
#include "verb.h"

static const JobKind backup_kind = {"Backup", "backing up", "backup", "nothing of it is left"};

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JobCall, job_call_clear)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Backup, backup_free)

/* ---- what the VM has ---- */

static int get_disks(Client *client, const char *vm, Backup *backup)
{
    g_autoptr(json_t) settings = NULL;
    const char *section;
    json_t *keys;
    int r = sections_get_settings(client, vm, &settings);
    if (r != EXIT_DONE)
        return r;
    /* Where nothing is set vmd knows. */
    backup->nvram = strcmp(json_get_string(json_object_get(settings, "VM"), "Firmware"), "bios") != 0;
    json_object_foreach(settings, section, keys)
        if (sections_is_written_disk(section, keys))
            backup_add_file(backup, section + strlen("Disk "))->source = g_strdup(json_get_string(keys, "Source"));
    return backup->files->len > 0 ? EXIT_DONE : report("VM \"%s\": it has no disk that it writes to, so there is nothing to be backed up", vm);
}

/* As GetFiles has them: the file, and drop-ins beside it. */
static int keep_settings(Client *client, const Backup *backup, int fd)
{
    g_autoptr(sd_bus_message) reply = NULL;
    g_autofree char *main_name = g_strdup_printf("%s.vm", backup->vm), *self = g_strdup_printf("/proc/self/fd/%d", fd);
    const char *path, *text;
    unsigned n = 0;
    int r = client_call(client, backup->vm, VM_INTERFACE, "GetFiles", &reply, NULL);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_enter_container(reply, 'a', "(ss)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(ss)", &path, &text)) > 0) {
        g_autofree char *base = g_path_get_basename(path), *dir = g_strdup_printf("%s/%s.d", self, main_name);
        g_autofree char *copy = n++ == 0 ? g_build_filename(self, main_name, NULL) : g_build_filename(dir, base, NULL);
        if (n == 2 && mkdir(dir, 0700) < 0)
            return report_errno(errno, "%s: it cannot be made", dir);
        r = settings_write(copy, text, 0600, true);
        if (r < 0)
            return report_errno(r, "Backup \"%s\": the settings cannot be written", backup->name);
    }
    return r < 0 ? report_errno(r, "vmd: cannot read its answer") : EXIT_DONE;
}

/* ---- the call ---- */

/* `tpm`: -1, or a memfd for what its TPM remembers. */
static int append_options(const Client *client, sd_bus_message *m, const char *since, const char *checkpoint, int tpm)
{
    uint64_t bandwidth = 0;
    if (client->bandwidth && (parse_size(client->bandwidth, &bandwidth) < 0 || bandwidth == 0))
        return report_usage("\"%s\": it is no rate. Write it as 20M, in bytes a second", client->bandwidth);
    int r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0 && since)
        r = sd_bus_message_append(m, "{sv}", "since", "s", since);
    if (r >= 0 && checkpoint)
        r = sd_bus_message_append(m, "{sv}", "checkpoint", "s", checkpoint);
    if (r >= 0 && client->quiesce)
        r = sd_bus_message_append(m, "{sv}", "quiesce", "s", client->quiesce);
    if (r >= 0 && client->compress)
        r = sd_bus_message_append(m, "{sv}", "compress", "b", true);
    if (r >= 0 && bandwidth > 0)
        r = sd_bus_message_append(m, "{sv}", "bandwidth", "t", bandwidth);
    if (r >= 0 && tpm >= 0)
        r = sd_bus_message_append(m, "{sv}", "tpm", "h", tpm);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    return r < 0 ? report_errno(r, "CreateBackup: cannot make the call") : EXIT_DONE;
}

/* Each disk's file is made here, with the rights of whoever calls. */
static int append_target(sd_bus_message *m, int fd, const char *disk, const Backup *since)
{
    g_autofree char *name = backup_file_name(disk);
    const BackupFile *before = since ? backup_find_file(since, disk) : NULL;
    bool over = before && before->checkpoint;
    g_autofree char *backing = over ? g_strdup_printf("../%s/%s", since->name, name) : g_strdup("");
    fd_cleanup int target = openat(fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (target < 0)
        return report_errno(errno, "%s: it cannot be made", name);
    int r = sd_bus_message_append(m, "(shs)", disk, target, backing);
    return r < 0 ? report_errno(r, "CreateBackup: cannot make the call") : EXIT_DONE;
}

static int make_call(Client *client, const Backup *backup, const Backup *since, int fd, int tpm, JobCall *ret)
{
    ret->pool = g_strdup(backup->vm);
    ret->volume = g_strdup(backup->name);
    int r = client_new_call(client, backup->vm, VM_INTERFACE, "CreateBackup", &ret->message);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_open_container(ret->message, 'a', "(shs)");
    if (r < 0)
        return report_errno(r, "CreateBackup: cannot make the call");
    for (guint i = 0; i < backup->files->len; i++) {
        r = append_target(ret->message, fd, ((const BackupFile *) backup->files->pdata[i])->disk, since);
        if (r != EXIT_DONE)
            return r;
    }
    if (backup->nvram)
        r = append_target(ret->message, fd, NVRAM_DISK, since);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_close_container(ret->message);
    return r < 0 ? report_errno(r, "CreateBackup: cannot make the call")
                 : append_options(client, ret->message, since ? since->checkpoint : NULL, backup->checkpoint, tpm);
}

/* What was fixed of each disk, behind the job. */
static void on_answer(sd_bus_message *m, void *userdata)
{
    Backup *backup = userdata;
    const char *disk;
    int quiesced, incremental, checkpoint;
    uint64_t size;
    if (sd_bus_message_read(m, "b", &quiesced) < 0 || sd_bus_message_enter_container(m, 'a', "(stbb)") < 0)
        return;
    backup->quiesced = quiesced;
    backup->created = (uint64_t) g_get_real_time();
    backup->nvram = false;
    while (sd_bus_message_read(m, "(stbb)", &disk, &size, &incremental, &checkpoint) > 0) {
        BackupFile *file = (BackupFile *) backup_find_file(backup, disk);
        backup->nvram |= strcmp(disk, NVRAM_DISK) == 0;
        if (!file)
            continue;
        file->size = size;
        file->incremental = incremental;
        file->checkpoint = checkpoint;
    }
}

/* ---- backup ---- */

/* "20261121T192600Z", and where there is one, "20261121T192600Z-2". */
static char *make_name(const GPtrArray *set)
{
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    (void) strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    g_autofree char *name = g_strdup(stamp);
    for (unsigned i = 2; backup_set_find(set, name); i++) {
        g_free(name);
        name = g_strdup_printf("%s-%u", stamp, i);
    }
    return g_steal_pointer(&name);
}

/* No other backup's, wherever it is: an increment must be over what it is made since. */
static char *make_checkpoint(const char *name)
{
    uint32_t number = g_random_int();
    (void) !getrandom(&number, sizeof number, 0);
    return g_strdup_printf("%.*s-%08x", NAME_MAX_LENGTH - 9, name, number);
}

static int find_since(const Client *client, const GPtrArray *set, const char *dir, const char *vm, const Backup **ret)
{
    bool last = client->since && strcmp(client->since, "last") == 0;
    *ret = NULL;
    if (!client->since)
        return EXIT_DONE;
    *ret = last && set->len > 0 ? set->pdata[set->len - 1] : backup_set_find(set, client->since);
    if (!*ret && last)
        return report("%s: there is no backup of \"%s\" in it that this one could be over. Leave --since= out", dir, vm);
    if (!*ret)
        return report("Backup \"%s\": it is not in %s/%s. See: vmctl backups %s", client->since, dir, vm, dir);
    return (*ret)->checkpoint ? EXIT_DONE
                              : report("Backup \"%s\": it is of raw images, which do not know what has changed since. Leave --since= out", (*ret)->name);
}

static void say_result(const Client *client, const char *dir, const Backup *backup, const Backup *since)
{
    g_autofree char *path = g_build_filename(dir, backup->vm, backup->name, NULL);
    uint64_t size = 0;
    for (guint i = 0; i < backup->files->len; i++) {
        g_autofree char *name = backup_file_name(((const BackupFile *) backup->files->pdata[i])->disk), *file = g_build_filename(path, name, NULL);
        struct stat st;
        size += stat(file, &st) == 0 ? (uint64_t) st.st_blocks * 512 : 0;
    }
    g_autofree char *human = format_size_human(size);
    if (!client->quiet)
        printf("Backed up \"%s\" to %s (%s%s%s).\n", backup->vm, path, since ? "what has changed since " : "", since ? since->name : "", since ? "" : "all of it");
    if (!client->quiet)
        printf("%zu disk%s, %s on disk%s.\n", (size_t) backup->files->len, backup->files->len > 1 ? "s" : "", human,
                backup->quiesced ? "; the guest's file systems were at rest" : "");
}

static int run_backup(Client *client, const char *dir, Backup *backup, const Backup *since, int fd)
{
    g_auto(JobCall) call = {.answered = on_answer, .userdata = backup};
    fd_cleanup int tpm = memfd_create("vmd-tpm", MFD_CLOEXEC);
    int r = keep_settings(client, backup, fd);
    if (r == EXIT_DONE)
        r = tpm < 0 ? report_errno(errno, "memfd_create()") : make_call(client, backup, since, fd, tpm, &call);
    if (r == EXIT_DONE)
        r = job_perform(client, &backup_kind, &call, 1);
    if (r == EXIT_DONE)
        r = backup_set_keep_tpm(fd, tpm);
    if (r != EXIT_DONE)
        return r;
    g_autofree char *nvram = backup_file_name(NVRAM_DISK);
    if (!backup->nvram)
        (void) unlinkat(fd, nvram, 0);
    bool any = false;
    for (guint i = 0; i < backup->files->len; i++)
        any = any || ((const BackupFile *) backup->files->pdata[i])->checkpoint;
    if (!any)
        g_clear_pointer(&backup->checkpoint, g_free);
    if (!any || !since)
        g_clear_pointer(&backup->since, g_free);
    return backup_set_commit(dir, backup, fd);
}

static int push(Client *client, const char *vm, const char *dir)
{
    g_autoptr(GPtrArray) set = NULL;
    g_autoptr(Error) error = NULL;
    const Backup *since;
    if (client->no_block)
        return report_usage("--no-block: a backup ends with the vmctl that writes it");
    if (!name_check(vm, &error) || (client->name && !name_check(client->name, &error)))
        return report_error(error);
    int r = backup_set_read(dir, vm, &set);
    if (r == EXIT_DONE)
        r = find_since(client, set, dir, vm, &since);
    if (r != EXIT_DONE)
        return r;
    g_autofree char *name = client->name ? g_strdup(client->name) : make_name(set);
    if (backup_set_find(set, name))
        return report("Backup \"%s\": there is one of this name in %s/%s. Choose another one", name, dir, vm);
    g_autoptr(Backup) backup = backup_new(vm, name);
    backup->since = since ? g_strdup(since->name) : NULL;
    backup->checkpoint = make_checkpoint(name);
    r = get_disks(client, vm, backup);
    if (r != EXIT_DONE)
        return r;
    fd_cleanup int fd = backup_set_begin(dir, backup);
    if (fd < 0)
        return -fd;
    r = run_backup(client, dir, backup, since, fd);
    if (r != EXIT_DONE)
        backup_set_abandon(dir, backup);
    else
        say_result(client, dir, backup, since);
    return r;
}

/* ---- backup --pull ---- */

static int make_socket(char **ret_dir, struct sockaddr_un *ret)
{
    g_autofree char *dir = g_build_filename(g_get_tmp_dir(), "vmctl-backup-XXXXXX", NULL);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!g_mkdtemp_full(dir, 0700))
        return -errno;
    *ret_dir = g_strdup(dir);
    if (g_snprintf(ret->sun_path, sizeof ret->sun_path, "%s/nbd", dir) >= (int) sizeof ret->sun_path)
        return -ENAMETOOLONG;
    fd_cleanup int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *) ret, sizeof *ret) < 0 || listen(fd, SOMAXCONN) < 0)
        return -errno;
    return steal_fd(&fd);
}

static void remove_socket(const char *dir, const struct sockaddr_un *address)
{
    if (!dir)
        return;
    (void) unlink(address->sun_path);
    (void) rmdir(dir);
}

/* Its exit code; what it is told is in the environment too. */
static int run_command(Client *client, const char *socket, const char *disks)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    for (char **word = client->arguments + 1; *word; word++) {
        g_autoptr(GString) text = g_string_new(*word);
        g_string_replace(text, "@SOCKET@", socket, 0);
        g_ptr_array_add(words, g_string_free(g_steal_pointer(&text), false));
    }
    g_ptr_array_add(words, NULL);
    if (setenv("VMD_NBD_SOCKET", socket, true) < 0 || setenv("VMD_NBD_DISKS", disks, true) < 0)
        return report_errno(errno, "the environment: it cannot be set");
    polkit_agent_stop();
    int r = child_run((const char *const *) words->pdata);
    return r < 0 ? report_errno(r, "%s: it cannot be run", (const char *) words->pdata[0]) : r;
}

static int read_disks(sd_bus_message *reply, GString *disks)
{
    const char *disk;
    int r = sd_bus_message_skip(reply, "ob");
    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'a', "(stbb)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(stbb)", &disk, NULL, NULL, NULL)) > 0)
        g_string_append_printf(disks, "%s%s", disks->len > 0 ? " " : "", disk);
    return r < 0 ? report_errno(r, "vmd: cannot read its answer") : EXIT_DONE;
}

static int offer(Client *client, const char *vm, int listening, const char *socket)
{
    g_autoptr(sd_bus_message) message = NULL, reply = NULL;
    g_autoptr(GString) disks = g_string_new(NULL);
    int r = client_new_call(client, vm, VM_INTERFACE, "OpenBackup", &message);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_append(message, "h", listening);
    if (r < 0)
        return report_errno(r, "OpenBackup: cannot make the call");
    r = append_options(client, message, client->since, client->checkpoint, -1);
    if (r == EXIT_DONE)
        r = client_send(client, vm, message, &reply);
    if (r == EXIT_DONE)
        r = read_disks(reply, disks);
    if (r != EXIT_DONE)
        return r;
    int code = run_command(client, socket, disks->str);
    r = client_call(client, vm, VM_INTERFACE, "CloseBackup", NULL, "b", (int) (code == 0));
    return code != 0 ? code : r;
}

static int pull(Client *client, const char *vm)
{
    struct sockaddr_un address;
    g_autofree char *dir = NULL;
    if (client->compress || client->bandwidth || client->name)
        return report_usage("--pull: what is read is written by the command, so --compress, --bandwidth and --name mean nothing");
    fd_cleanup int fd = make_socket(&dir, &address);
    int r = fd < 0 ? report_errno(fd, "%s: no socket can be made there", dir ?: g_get_tmp_dir()) : offer(client, vm, fd, address.sun_path);
    remove_socket(dir, &address);
    return r;
}

int verb_backup(Client *client)
{
    if (!client_is_local(client))
        return report_usage("backup: files cannot be handed to another machine; run vmctl there, or mount what is there");
    if (client->pull)
        return pull(client, client->arguments[0]);
    if (client->n_arguments != 2)
        return report_usage("backup: say which VM and where to: vmctl backup NAME DIR");
    if (client->checkpoint)
        return report_usage("--checkpoint: without --pull a backup's own name is it");
    return push(client, client->arguments[0], client->arguments[1]);
}

/* ---- backups ---- */

static json_t *describe(const char *dir, const Backup *backup)
{
    uint64_t size = 0, stored = 0;
    for (guint i = 0; i < backup->files->len; i++) {
        const BackupFile *file = backup->files->pdata[i];
        g_autofree char *name = backup_file_name(file->disk), *path = g_build_filename(dir, backup->vm, backup->name, name, NULL);
        struct stat st;
        size += file->size;
        stored += stat(path, &st) == 0 ? (uint64_t) st.st_blocks * 512 : 0;
    }
    return json_pack("{ss ss sI ss sb sI sI sI}", "vm", backup->vm, "name", backup->name, "created", (json_int_t) backup->created, "since",
            backup->since ?: "", "quiesced", (int) backup->quiesced, "disks", (json_int_t) backup->files->len, "size", (json_int_t) size, "stored",
            (json_int_t) stored);
}

static void print_backups(const Client *client, const json_t *all)
{
    static const char *const header[] = {"VM", "NAME", "MADE", "SINCE", ">SIZE", ">ON DISK", NULL};
    g_autoptr(Table) table = table_new(header);
    size_t i;
    json_t *one;
    json_array_foreach((json_t *) all, i, one)
    {
        g_autofree char *made = timestamp_format(json_get_number(one, "created")), *size = format_size_human(json_get_number(one, "size"));
        g_autofree char *stored = format_size_human(json_get_number(one, "stored"));
        table_add(table, STYLE_NONE, json_get_string(one, "vm"));
        table_add(table, STYLE_NONE, json_get_string(one, "name"));
        table_add(table, STYLE_NONE, made);
        table_add(table, STYLE_NONE, json_get_string(one, "since"));
        table_add(table, STYLE_NONE, size);
        table_add(table, STYLE_NONE, stored);
    }
    pager_open(client->no_pager, false);
    table_print(table, client, client->full, "backup", "backups");
}

int verb_backups(Client *client)
{
    const char *dir = client->arguments[0];
    g_autoptr(GPtrArray) vms = NULL;
    g_autoptr(json_t) all = json_array();
    int r = backup_set_vms(dir, &vms);
    for (guint i = 0; r == EXIT_DONE && i < vms->len; i++) {
        g_autoptr(GPtrArray) set = NULL;
        r = backup_set_read(dir, vms->pdata[i], &set);
        for (guint j = 0; r == EXIT_DONE && j < set->len; j++)
            json_array_append_new(all, describe(dir, set->pdata[j]));
    }
    if (r != EXIT_DONE)
        return r;
    if (client_json(client))
        json_print(client, all);
    else
        print_backups(client, all);
    return EXIT_DONE;
}

int verb_restore(Client *client)
{
    const char *vm = client->arguments[0], *dir = client->arguments[1];
    g_autoptr(GPtrArray) set = NULL;
    g_autoptr(Error) error = NULL;
    if (!client_is_local(client))
        return report_usage("restore: files cannot be handed to another machine; run vmctl there");
    if (client->no_block)
        return report_usage("--no-block: the VM is made when its disks are there");
    if (!name_check(vm, &error) || (client->as && !name_check(client->as, &error)))
        return report_error(error);
    int r = backup_set_read(dir, vm, &set);
    if (r != EXIT_DONE)
        return r;
    if (set->len == 0)
        return report("%s: there is no backup of \"%s\" in it. See: vmctl backups %s", dir, vm, dir);
    const Backup *backup = client->name ? backup_set_find(set, client->name) : set->pdata[set->len - 1];
    if (!backup)
        return report("Backup \"%s\": it is not in %s/%s. See: vmctl backups %s", client->name, dir, vm, dir);
    return restore(client, dir, set, backup, client->as ?: vm);
}
