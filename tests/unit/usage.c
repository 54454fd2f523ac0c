/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read of a cgroup's files, here in a folder of the test's, and of the threads of a process, here the test's own. */

#include "usage.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>

static void assert_figure(const Figures *figures, const char *group, const char *name, uint64_t expected)
{
    uint64_t value = 0;
    g_assert_true(figures_get(figures, group, NULL, name, &value));
    g_assert_cmpuint(value, ==, expected);
}

static bool has(const Figures *figures, const char *group, const char *of, const char *name)
{
    uint64_t value;
    return figures_get(figures, group, of, name, &value);
}

static void test_cgroup(void)
{
    static const struct {
        const char *name, *text;
    } files[] = {
        {"cpu.stat", "usage_usec 300\nuser_usec 200\nsystem_usec 100\nnr_periods 4\nthrottled_usec 7\ncore_sched.force_idle_usec 9\n"},
        {"memory.current", "4096\n"},
        {"memory.swap.current", "max\n"},
        {"io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=3 dios=4\n8:16 rbytes=30 wbytes=40 rios=5 wios=6 dbytes=0 dios=0\n"},
        {"cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=11\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"},
        {"memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=13\n"},
        {"io.pressure", ""},
    };
    g_autofree char *dir = g_dir_make_tmp("usage-XXXXXX", NULL);
    g_autoptr(Figures) figures = figures_new();
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(dir, files[i].name, NULL);
        g_assert_true(g_file_set_contents(path, files[i].text, -1, NULL));
    }
    fd_cleanup int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    usage_read(fd, figures);
    assert_figure(figures, "cpu", "usage", 300);
    assert_figure(figures, "cpu", "user", 200);
    assert_figure(figures, "cpu", "throttled", 7);
    assert_figure(figures, "memory", "current", 4096);
    g_assert_false(has(figures, "memory", NULL, "swap") || has(figures, "memory", NULL, "peak") || has(figures, "tasks", NULL, "current"));
    assert_figure(figures, "io", "read", 40);
    assert_figure(figures, "io", "written", 60);
    assert_figure(figures, "io", "reads", 6);
    assert_figure(figures, "io", "writes", 8);
    assert_figure(figures, "pressure", "cpu", 11);
    assert_figure(figures, "pressure", "cpu-full", 5);
    assert_figure(figures, "pressure", "memory", 13);
    g_assert_false(has(figures, "pressure", NULL, "memory-full") || has(figures, "pressure", NULL, "io"));
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(dir, files[i].name, NULL);
        (void) g_unlink(path);
    }
    (void) g_rmdir(dir);
}

static pthread_barrier_t named, read_it;

static void *be_vcpu(void *userdata)
{
    struct timespec used;
    (void) pthread_setname_np(pthread_self(), userdata);
    do
        (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    while (used.tv_sec == 0 && used.tv_nsec < 5 * 1000 * 1000);
    pthread_barrier_wait(&named);
    pthread_barrier_wait(&read_it);
    return NULL;
}

static void test_process(void)
{
    static const char *const names[] = {"CPU 3/KVM", "CPU 3/TCG", "CPU 99999/KVM", "CPUs"};
    pthread_t threads[G_N_ELEMENTS(names)];
    g_autoptr(Figures) figures = figures_new(), others = figures_new();
    uint64_t usage = 0, memory = 0;
    pthread_barrier_init(&named, NULL, G_N_ELEMENTS(names) + 1);
    pthread_barrier_init(&read_it, NULL, G_N_ELEMENTS(names) + 1);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, be_vcpu, (char *) names[i]), ==, 0);
    pthread_barrier_wait(&named);
    usage_read_process(getpid(), getppid(), figures);
    usage_read_process(getpid(), getpid(), others);
    pthread_barrier_wait(&read_it);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        (void) pthread_join(threads[i], NULL);
    g_assert_true(figures_get(figures, "process", NULL, "memory", &memory));
    g_assert_cmpuint(memory, >, 100000);
    if (g_file_test("/proc/self/schedstat", G_FILE_TEST_EXISTS)) {
        g_assert_true(figures_get(figures, "vcpus", "3", "usage", &usage));
        g_assert_cmpuint(usage, >, 1000);
        g_assert_cmpuint(usage, <, 60 * G_USEC_PER_SEC);
        g_assert_true(has(figures, "vcpus", "3", "waited"));
    }
    g_assert_false(has(figures, "vcpus", "99999", "usage"));
    g_assert_false(has(others, "process", NULL, "memory"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/usage/cgroup", test_cgroup);
    g_test_add_func("/usage/process", test_process);
    return g_test_run();
}
