/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What QEMU builds can do, asked of real binaries and of scripts that only claim to be one. */

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "build.h"
#include "cleanup.h"
#include "value.h"

typedef struct Fixture {
    sd_event *event;
    char *folder, *cache;
    QemuBuilds *builds;
    QemuBuild *build; /* the last reply */
    Error *error;
    unsigned n_replies;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    g_assert_cmpint(sd_event_new(&f->event), >=, 0);
    f->folder = g_dir_make_tmp("vmd-build-XXXXXX", NULL);
    g_assert_nonnull(f->folder);
    g_assert_cmpint(chmod(f->folder, 0755), ==, 0);
    f->cache = g_build_filename(f->folder, "cache", NULL);
    f->builds = qemu_builds_new(f->event, f->cache, NULL, false);
}

static void remove_tree(const char *path)
{
    GDir *dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    if (dir)
        g_dir_close(dir);
    g_remove(path);
}

static void forget_reply(Fixture *f)
{
    g_clear_pointer(&f->build, qemu_build_unref);
    g_clear_pointer(&f->error, error_free);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    forget_reply(f);
    qemu_builds_free(f->builds);
    sd_event_unref(f->event);
    remove_tree(f->folder);
    g_free(f->folder);
    g_free(f->cache);
}

static void on_reply(QemuBuild *build, const Error *error, void *userdata)
{
    Fixture *f = userdata;

    g_assert_true(!build != !error);
    forget_reply(f);
    f->build = build ? qemu_build_ref(build) : NULL;
    f->error = error ? error_copy(error) : NULL;
    f->n_replies++;
}

static void wait_for_replies(Fixture *f, unsigned n)
{
    uint64_t start = (uint64_t) g_get_monotonic_time();

    while (f->n_replies < n) {
        g_assert_cmpint(sd_event_run(f->event, USEC_PER_SEC), >=, 0);
        g_assert_cmpuint((uint64_t) g_get_monotonic_time() - start, <, 30 * USEC_PER_SEC);
    }
}

/* Asks for a path; true when it was known at once. */
static bool ask(Fixture *f, const char *path)
{
    unsigned before = f->n_replies;
    QemuBuild *known = NULL;
    int r = qemu_builds_get(f->builds, NULL, path, on_reply, f, &known);

    g_assert_cmpint(r, >=, 0);
    if (r == 1) {
        forget_reply(f);
        f->build = known;
        return true;
    }
    g_assert_null(known);
    wait_for_replies(f, before + 1);
    if (f->error) {
        g_autofree char *message = error_message(f->error);

        g_test_message("%s", message);
    }
    return false;
}

static char *real_binary(void)
{
    g_autoptr(Error) error = NULL;
    char *path = qemu_default_binary(&error);

    if (!path) {
        g_assert_nonnull(error);
        g_assert_nonnull(error->remedy);
        g_test_skip(error->cause);
    }
    return path;
}

/* A QEMU of the test's own: it looks for its modules in ../lib. */
static char *copy_binary(Fixture *f)
{
    static const char *const libraries[] = {"lib", "lib64"};
    g_autofree char *path = real_binary(), *bin = g_build_filename(f->folder, "bin", NULL);
    g_autofree char *copy = g_build_filename(bin, "qemu", NULL), *line = NULL;
    int status;

    if (!path)
        return NULL;
    g_assert_cmpint(g_mkdir(bin, 0755), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(libraries); i++) {
        g_autofree char *from = g_build_filename("/usr", libraries[i], NULL);
        g_autofree char *to = g_build_filename(f->folder, libraries[i], NULL);

        g_assert_cmpint(symlink(from, to), ==, 0);
    }
    line = g_strdup_printf("cp %s %s", path, copy);
    g_assert_true(g_spawn_command_line_sync(line, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    return g_steal_pointer(&copy);
}

static char *write_program(Fixture *f, const char *name, const char *text)
{
    char *path = g_build_filename(f->folder, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(chmod(path, 0755), ==, 0);
    return path;
}

static void assert_error(Fixture *f, const char *path, const char *words)
{
    g_autofree char *message = NULL;

    g_assert_false(ask(f, path));
    g_assert_nonnull(f->error);
    message = error_message(f->error);
    if (!strstr(message, words))
        g_error("\"%s\" does not say \"%s\"", message, words);
    g_assert_nonnull(strstr(message, path));
}

/* The real thing. */

static void assert_real(const QemuBuild *build)
{
    g_assert_true(qemu_build_has_device(build, "virtio-blk-pci"));
    g_assert_true(qemu_build_has_device(build, "virtio-net-pci"));
    g_assert_false(qemu_build_has_device(build, "virtio-blk"));
    g_assert_false(qemu_build_has_device(build, "virtio-blk-pcix"));
    g_assert_false(qemu_build_has_device(build, ""));
    g_assert_true(qemu_build_has_object(build, "memory-backend-memfd"));
    g_assert_false(qemu_build_has_object(build, "virtio-blk-pci"));
    g_assert_true(qemu_build_has_command(build, "device_add"));
    g_assert_false(qemu_build_has_command(build, "device_ad"));
    g_assert_true(qemu_build_has_option(build, "add-fd"));
    g_assert_true(qemu_build_has_option(build, "device"));
    g_assert_false(qemu_build_has_option(build, "no-such-option"));
    g_assert_true(qemu_build_has_machine(build, "none"));
    g_assert_cmpstr(qemu_build_machine_name(build, "none"), ==, "none");
    g_assert_null(qemu_build_machine_name(build, "no-such-machine"));
    if (strcmp(qemu_build_target(build), "x86_64") == 0) {
        const char *name = qemu_build_machine_name(build, "q35");

        g_assert_true(g_str_has_prefix(name, "pc-q35-"));
        g_assert_true(qemu_build_has_machine(build, name));
        g_assert_cmpstr(qemu_build_machine_name(build, name), ==, name);
    }
}

static void test_real(Fixture *f, gconstpointer data)
{
    g_autofree char *path = real_binary(), *line = NULL, *output = NULL;
    QemuBuild **list;

    if (!path)
        return;
    g_assert_false(ask(f, path));
    g_assert_nonnull(f->build);
    g_assert_cmpstr(qemu_build_path(f->build), ==, path);
    assert_real(f->build);

    /* Its own words, got in another way. */
    line = g_strdup_printf("%s --version", path);
    g_assert_true(g_spawn_command_line_sync(line, &output, NULL, NULL, NULL));
    g_assert_nonnull(strstr(output, qemu_build_version(f->build)));
    g_free(g_steal_pointer(&output));
    g_free(line);
    line = g_strdup_printf("%s -accel help", path);
    g_assert_true(g_spawn_command_line_sync(line, &output, NULL, NULL, NULL));
    g_assert_true((strstr(output, "\nkvm") != NULL) == qemu_build_has_kvm(f->build));

    g_assert_true(ask(f, path));
    list = qemu_builds_list(f->builds);
    g_assert_true(list[0] == f->build);
    g_assert_null(list[1]);
    g_free(list);
}

static char *cache_file(Fixture *f)
{
    g_autofree char *folder = g_build_filename(f->cache, "qemu", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name = dir ? g_dir_read_name(dir) : NULL;

    g_assert_nonnull(name);
    g_assert_null(g_dir_read_name(dir));
    return g_build_filename(folder, name, NULL);
}

static void new_daemon(Fixture *f)
{
    qemu_builds_free(f->builds);
    f->builds = qemu_builds_new(f->event, f->cache, NULL, false);
}

static void test_cache(Fixture *f, gconstpointer data)
{
    static const char *const corrupt[] = {"", "{}", "not JSON", "[1]", "{\"format\":1}"};
    g_autofree char *copy = copy_binary(f), *cache = NULL, *good = NULL, *again = NULL;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000, .tv_nsec = 5}};
    struct stat st;

    if (!copy)
        return;
    g_assert_false(ask(f, copy));
    g_assert_nonnull(f->build);
    cache = cache_file(f);
    g_assert_cmpint(stat(cache, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0644);

    /* A daemon that starts anew knows it from the cache, whole. */
    new_daemon(f);
    g_assert_true(ask(f, copy));
    assert_real(f->build);

    /* Another mtime is another build, and the cache follows. */
    g_assert_cmpint(utimensat(AT_FDCWD, copy, times, 0), ==, 0);
    g_assert_false(ask(f, copy));
    g_assert_true(ask(f, copy));
    new_daemon(f);
    g_assert_true(ask(f, copy));
    g_assert_cmpint(utimensat(AT_FDCWD, copy, (struct timespec[2]){times[0], {.tv_sec = 7}}, 0), ==, 0);
    new_daemon(f);
    g_assert_false(ask(f, copy));

    /* What is corrupt is as if it were not there, and is replaced. */
    g_assert_true(g_file_get_contents(cache, &good, NULL, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(corrupt); i++) {
        g_assert_true(g_file_set_contents(cache, corrupt[i], -1, NULL));
        new_daemon(f);
        g_assert_false(ask(f, copy));
        g_assert_nonnull(f->build);
        g_clear_pointer(&again, g_free);
        g_assert_true(g_file_get_contents(cache, &again, NULL, NULL));
        g_assert_cmpstr(again, ==, good);
    }
    g_assert_cmpint(g_remove(cache), ==, 0);
    g_assert_cmpint(symlink("/dev/zero", cache), ==, 0);
    new_daemon(f);
    g_assert_false(ask(f, copy));
    g_assert_nonnull(f->build);

    /* One that has gone is gone. */
    g_assert_cmpint(g_remove(copy), ==, 0);
    assert_error(f, copy, "no such file");
}

/* Every cut and every changed byte of a good cache is either refused or the same facts. */
static void test_cache_damaged(Fixture *f, gconstpointer data)
{
    g_autofree char *path = real_binary(), *cache = NULL, *good = NULL;
    gsize length;

    if (!path)
        return;
    g_assert_false(ask(f, path));
    g_assert_nonnull(f->build);
    cache = cache_file(f);
    g_assert_true(g_file_get_contents(cache, &good, &length, NULL));
    for (gsize i = 0; i < length; i += length / 150 + 1) {
        g_autofree char *bad = g_memdup2(good, length);
        QemuBuild *known = NULL;

        bad[i] ^= 0x11;
        g_assert_true(g_file_set_contents(cache, bad, i % 2 ? (gssize) i : (gssize) length, NULL));
        new_daemon(f);
        if (qemu_builds_get(f->builds, NULL, path, on_reply, f, &known) == 1) {
            g_assert_cmpstr(qemu_build_path(known), ==, path);
            qemu_build_unref(known);
        }
        qemu_builds_cancel(f->builds, f);
    }
}

/* A wrapper is asked through, and is another build when what it starts is. */
static void test_wrapper(Fixture *f, gconstpointer data)
{
    g_autofree char *copy = copy_binary(f), *text = NULL, *script = NULL;

    if (!copy)
        return;
    text = g_strdup_printf("#!/bin/sh\nexec %s \"$@\"\n", copy);
    script = write_program(f, "wrapper", text);
    g_assert_false(ask(f, script));
    g_assert_nonnull(f->build);
    g_assert_cmpstr(qemu_build_path(f->build), ==, script);
    assert_real(f->build);
    g_assert_true(ask(f, script));
    new_daemon(f);
    g_assert_true(ask(f, script));

    g_assert_cmpint(utimensat(AT_FDCWD, copy, (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}, 0), ==, 0);
    g_assert_false(ask(f, script));
}

/* A QEMU without seccomp refuses -sandbox; it is asked without. */
static void test_without_sandbox(Fixture *f, gconstpointer data)
{
    g_autofree char *path = real_binary(), *text = NULL, *script = NULL;

    if (!path)
        return;
    text = g_strdup_printf("#!/bin/sh\ncase \"$*\" in *-sandbox*)\n"
                           "echo \"qemu: -sandbox on: -sandbox support is not enabled\" >&2; exit 1;; esac\n"
                           "exec %s \"$@\"\n",
            path);
    script = write_program(f, "no-seccomp", text);
    g_assert_false(ask(f, script));
    g_assert_nonnull(f->build);
    assert_real(f->build);
}

/* All who ask while it is asked get the one answer. */
static void test_many_ask(Fixture *f, gconstpointer data)
{
    g_autofree char *path = real_binary(), *counter = NULL, *text = NULL, *script = NULL, *counted = NULL;
    QemuBuild *known = NULL;
    int other;

    if (!path)
        return;
    counter = g_build_filename(f->folder, "counter", NULL);
    g_assert_true(g_file_set_contents(counter, "", 0, NULL));
    g_assert_cmpint(chmod(counter, 0666), ==, 0);
    text = g_strdup_printf("#!/bin/sh\necho x >>%s\nexec %s \"$@\"\n", counter, path);
    script = write_program(f, "counted", text);
    for (int i = 0; i < 5; i++)
        g_assert_cmpint(qemu_builds_get(f->builds, NULL, script, on_reply, f, &known), ==, 0);
    g_assert_cmpint(qemu_builds_get(f->builds, NULL, script, on_reply, &other, &known), ==, 0);
    qemu_builds_cancel(f->builds, &other);
    wait_for_replies(f, 5);
    g_assert_nonnull(f->build);
    g_assert_true(g_file_get_contents(counter, &counted, NULL, NULL));
    g_assert_cmpstr(counted, ==, "x\n");
}

/* What is no QEMU. */

static void test_not_a_program(Fixture *f, gconstpointer data)
{
    g_autofree char *missing = g_build_filename(f->folder, "missing", NULL);
    g_autofree char *text = write_program(f, "text", "Hello, I am no program.\n");
    g_autofree char *plain = write_program(f, "plain", "#!/bin/sh\n");
    g_autofree char *lost = write_program(f, "lost", "#!/no/such/interpreter\n");
    g_autofree char *foreign =
            write_program(f, "foreign", "\177ELF but not for this machine, nor for any other");
    g_autofree char *fifo = g_build_filename(f->folder, "fifo", NULL);

    g_assert_cmpint(chmod(plain, 0644), ==, 0);
    g_assert_cmpint(mkfifo(fifo, 0755), ==, 0);
    assert_error(f, missing, "there is no such file");
    assert_error(f, f->folder, "it is a folder");
    assert_error(f, plain, "it is not executable");
    assert_error(f, text, "no program that this machine can run");
    assert_error(f, foreign, "no program that this machine can run");
    assert_error(f, lost, "interpreter or loader does not exist");
    assert_error(f, fifo, "no regular file");
    assert_error(f, "qemu-system-x86_64", "must be absolute");
    assert_error(f, "", "must be absolute");
}

static void test_out_of_reach(Fixture *f, gconstpointer data)
{
    g_autofree char *script = write_program(f, "private", "#!/bin/sh\n");

    if (geteuid() != 0) {
        g_test_skip("needs root");
        return;
    }
    g_assert_cmpint(chmod(script, 0700), ==, 0);
    assert_error(f, script, "an unprivileged user cannot execute it");
}

static void test_exits(Fixture *f, gconstpointer data)
{
    g_autofree char *quiet = write_program(f, "quiet", "#!/bin/sh\nexit 0\n");
    g_autofree char *speaks = write_program(f, "speaks",
            "#!/bin/sh\nprintf 'noise %5000s\\n' x\nprintf 'qemu: \\033[31mcannot load libfoo.so\\nbye\\n' "
            ">&2\nexit 3\n");
    g_autofree char *dies = write_program(f, "dies", "#!/bin/sh\nkill -SEGV $$\n");
    g_autofree char *cat = g_strdup("/bin/cat");

    assert_error(f, quiet, "it exited with status 0");
    assert_error(f, speaks, "it exited with status 3: x; qemu: [31mcannot load libfoo.so; bye");
    assert_error(f, dies, "it was killed by SIGSEGV");
    assert_error(f, cat, "it exited with status 1: ");
}

/* Greets, negotiates and reads the first question. */
static const char speaks_qmp[] =
        "#!/bin/bash\n"
        "answer() { read -r q <&3; echo \"{$1,\\\"id\\\":${q##*:} \" >&3; }\n"
        "echo '{\"QMP\":{\"version\":{\"qemu\":{\"major\":7,\"minor\":2,\"micro\":0}}}}' >&3\n"
        "answer '\"return\":{}'\n";

static void test_garbage(Fixture *f, gconstpointer data)
{
    g_autofree char *words =
            write_program(f, "words", "#!/bin/sh\necho 'SSH-2.0-OpenSSH_9.2' >&3\nexec sleep 100\n");
    g_autofree char *binary =
            write_program(f, "binary", "#!/bin/sh\nhead -c 100000000 /dev/zero >&3\nexec sleep 100\n");
    g_autofree char *nonsense_text = g_strconcat(
            speaks_qmp, "for i in 1 2 3; do answer '\"return\":[]'; done\nexec sleep 100\n", NULL);
    g_autofree char *refuses_text = g_strconcat(speaks_qmp,
            "answer '\"error\":{\"class\":\"X\",\"desc\":\"out of order\"}'\nexec sleep 100\n", NULL);
    g_autofree char *nonsense = write_program(f, "nonsense", nonsense_text);
    g_autofree char *refuses = write_program(f, "refuses", refuses_text);

    assert_error(f, words, "it does not speak QMP: a line is no JSON object: \"SSH-2.0-OpenSSH_9.2\"");
    assert_error(f, binary, "it does not speak QMP: a line is longer than");
    assert_error(f, nonsense, "its answer to query-target makes no sense");
    assert_error(f, refuses, "query-target: out of order");
}

/* What is asked runs with nothing of ours: no privileges, no descriptors, no signals blocked. */
static void test_confined(Fixture *f, gconstpointer data)
{
    static const char text[] = "#!/bin/sh\n"
                               "grep -E '^(Uid|Gid|Groups|NoNewPrivs|Cap(Prm|Eff|Inh|Amb)|Sig(Blk|Ign)):' "
                               "/proc/self/status | tr -s '\\t' ' '\n"
                               "echo Fds: $(ls /proc/$$/fd | grep '^[5-9].').\n"
                               "echo Stdin: $(readlink /proc/$$/fd/0).\n"
                               "echo Env: $(env | cut -d= -f1 | grep -v '^PWD$' | sort).\n"
                               "exit 1\n";
    static const char *const expected[] = {
            "Uid: 65534 65534 65534 65534;",
            "Gid: 65534 65534 65534 65534;",
            "Groups:;",
            "SigBlk: 0000000000000000;",
            "SigIgn: 0000000000000000;",
            "CapInh: 0000000000000000;",
            "CapPrm: 0000000000000000;",
            "CapEff: 0000000000000000;",
            "CapAmb: 0000000000000000;",
            "NoNewPrivs: 1;",
            "Fds: .;",
            "Stdin: /dev/null.;",
            "Env: HOME LANG PATH.",
    };
    g_autofree char *script = write_program(f, "confined", text);
    sigset_t blocked, before;
    fd_cleanup int fd = -1;

    if (geteuid() != 0) {
        g_test_skip("needs root");
        return;
    }
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    signal(SIGUSR1, SIG_IGN);
    fd = fcntl(2, F_DUPFD, 50);
    g_assert_cmpint(fd, >=, 50);
    assert_error(f, script, "it exited with status 1: ");
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
        if (!strstr(f->error->cause, expected[i]))
            g_error("no \"%s\" in \"%s\"", expected[i], f->error->cause);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void assert_gone(const char *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/stat", pid), *line = NULL;

    /* It may wait for init to reap it. */
    for (int i = 0; i < 100 && g_file_get_contents(path, &line, NULL, NULL) && !strstr(line, ") Z "); i++) {
        g_clear_pointer(&line, g_free);
        g_usleep(10000);
    }
    g_assert_true(!line || strstr(line, ") Z "));
}

static void on_error(QemuBuild *build, const Error *error, void *userdata)
{
    Error **ret = userdata;

    g_assert_null(build);
    g_assert_null(*ret);
    *ret = error_copy(error);
}

/* They never answer, one quietly and one with endless noise; neither they nor what they started outlive the
 * time limit. */
static void test_hangs(Fixture *f, gconstpointer data)
{
    g_autofree char *noisy = write_program(f, "noisy", "#!/bin/sh\nexec yes 'never mind'\n");
    g_autofree char *pids = g_build_filename(f->folder, "pids", NULL), *text = NULL, *script = NULL,
                    *list = NULL;
    uint64_t start = (uint64_t) g_get_monotonic_time(), took;
    g_autoptr(Error) noisy_error = NULL, quiet_error = NULL;
    g_auto(GStrv) lines = NULL;
    QemuBuild *known = NULL;

    g_assert_true(g_file_set_contents(pids, "", 0, NULL));
    g_assert_cmpint(chmod(pids, 0666), ==, 0);
    text = g_strdup_printf("#!/bin/sh\ntrap '' TERM\nsleep 100 &\necho $! >>%s\necho $$ >>%s\n"
                           "echo waiting for Godot >&2\nwait\n",
            pids, pids);
    script = write_program(f, "hangs", text);
    g_assert_cmpint(qemu_builds_get(f->builds, NULL, noisy, on_error, &noisy_error, &known), ==, 0);
    g_assert_cmpint(qemu_builds_get(f->builds, NULL, script, on_error, &quiet_error, &known), ==, 0);
    while (!noisy_error || !quiet_error)
        g_assert_cmpint(sd_event_run(f->event, 20 * USEC_PER_SEC), >, 0);
    g_assert_cmpint(noisy_error->code, ==, ERROR_TIMED_OUT);
    g_assert_nonnull(strstr(noisy_error->cause, "it did not answer within 10s: ..."));
    g_assert_nonnull(strstr(noisy_error->cause, "never mind; never mind"));
    g_assert_cmpuint(strlen(noisy_error->cause), <, 1000);
    g_assert_cmpint(quiet_error->code, ==, ERROR_TIMED_OUT);
    g_assert_cmpstr(quiet_error->cause, ==, "it did not answer within 10s: waiting for Godot");
    took = (uint64_t) g_get_monotonic_time() - start;
    g_assert_cmpuint(took, >, 9 * USEC_PER_SEC);
    g_assert_cmpuint(took, <, 13 * USEC_PER_SEC);

    g_assert_true(g_file_get_contents(pids, &list, NULL, NULL));
    lines = g_strsplit(g_strstrip(list), "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 2);
    for (char **line = lines; *line; line++)
        assert_gone(*line);
}

/* Whoever goes away meanwhile is not called, nor is anything left of what was asked. */
static void test_freed_meanwhile(Fixture *f, gconstpointer data)
{
    g_autofree char *pids = g_build_filename(f->folder, "pids", NULL), *text = NULL, *script = NULL,
                    *pid = NULL;
    QemuBuild *known = NULL;
    long n;

    g_assert_true(g_file_set_contents(pids, "", 0, NULL));
    g_assert_cmpint(chmod(pids, 0666), ==, 0);
    text = g_strdup_printf("#!/bin/sh\necho $$ >>%s\nexec sleep 100\n", pids);
    script = write_program(f, "hangs", text);
    g_assert_cmpint(qemu_builds_get(f->builds, NULL, script, on_reply, f, &known), ==, 0);
    do {
        g_clear_pointer(&pid, g_free);
        g_assert_cmpint(sd_event_run(f->event, 10000), >=, 0);
        g_assert_true(g_file_get_contents(pids, &pid, NULL, NULL));
    } while (!strchr(pid, '\n'));
    n = strtol(pid, NULL, 10);
    g_assert_cmpint(kill((pid_t) n, 0), ==, 0);

    g_clear_pointer(&f->builds, qemu_builds_free);
    for (int i = 0; i < 200 && kill((pid_t) n, 0) == 0; i++)
        g_assert_cmpint(sd_event_run(f->event, 10000), >=, 0);
    g_assert_cmpint(kill((pid_t) n, 0), ==, -1);
    g_assert_cmpint(errno, ==, ESRCH);
    g_assert_cmpuint(f->n_replies, ==, 0);
}

static void on_reply_free(QemuBuild *build, const Error *error, void *userdata)
{
    Fixture *f = userdata;

    on_reply(build, error, f);
    g_clear_pointer(&f->builds, qemu_builds_free);
}

static void test_freed_in_reply(Fixture *f, gconstpointer data)
{
    g_autofree char *quiet = write_program(f, "quiet", "#!/bin/sh\nexit 0\n");
    QemuBuild *known = NULL;

    g_assert_cmpint(qemu_builds_get(f->builds, NULL, "/missing", on_reply, f, &known), ==, 0);
    qemu_builds_cancel(f->builds, f);
    g_assert_cmpint(qemu_builds_get(f->builds, NULL, quiet, on_reply_free, f, &known), ==, 0);
    g_assert_cmpint(qemu_builds_get(f->builds, NULL, quiet, on_reply, f, &known), ==, 0);
    wait_for_replies(f, 1);
    g_assert_cmpint(sd_event_run(f->event, 50000), >=, 0);
    g_assert_cmpuint(f->n_replies, ==, 1);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(Fixture *f, gconstpointer data);
    } tests[] = {
            {"real", test_real},
            {"cache", test_cache},
            {"cache-damaged", test_cache_damaged},
            {"wrapper", test_wrapper},
            {"without-sandbox", test_without_sandbox},
            {"many-ask", test_many_ask},
            {"not-a-program", test_not_a_program},
            {"out-of-reach", test_out_of_reach},
            {"exits", test_exits},
            {"garbage", test_garbage},
            {"confined", test_confined},
            {"hangs", test_hangs},
            {"freed-meanwhile", test_freed_meanwhile},
            {"freed-in-reply", test_freed_in_reply},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/build/", tests[i].name, NULL);

        g_test_add(path, Fixture, NULL, set_up, tests[i].test, tear_down);
    }
    return g_test_run();
}
