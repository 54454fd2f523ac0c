/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"

/* Bytes that wait in the socket are not part of the next sample. */
static sd_bus *quiet_bus(void)
{
    sd_bus *bus = system_bus();
    while (bus && sd_bus_process(bus, NULL) > 0)
        ;
    return bus;
}

static int append_value(sd_bus_message *m, const char *signature, const char *value)
{
    if (strcmp(signature, "u") == 0)
        return sd_bus_message_append(m, "u", (uint32_t) strtoul(value, NULL, 10));
    return sd_bus_message_append(m, signature, value);
}

int verb_call(char **words)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *m = NULL;
    sd_bus *bus = quiet_bus();
    int r = bus ? sd_bus_message_new_method_call(bus, &m, words[0], words[1], words[2], words[3]) : -ENOTCONN;
    if (r >= 0 && words[4] && words[5])
        r = append_value(m, words[4], words[5]);
    if (r < 0)
        return fail("%s: %s", words[3], strerror(-r));

    double begin = now_ms();
    r = sd_bus_call(bus, m, 0, &error, NULL);
    double end = now_ms();
    sd_bus_message_unref(m);
    if (r >= 0)
        return answer((double[]){end - begin}, 1);
    r = fail("%s of %s: %s", words[3], words[1], error.message ? error.message : strerror(-r));
    sd_bus_error_free(&error);
    return r;
}

int verb_get(char **words)
{
    sd_bus *bus = quiet_bus();
    unsigned long count = strtoul(words[4], NULL, 10);
    int r = bus ? 0 : -ENOTCONN;

    double begin = now_ms();
    for (unsigned long i = 0; r >= 0 && i < count; i++) {
        sd_bus_message *reply = NULL;
        r = sd_bus_call_method(bus, words[0], words[1], "org.freedesktop.DBus.Properties", "Get", NULL,
                &reply, "ss", words[2], words[3]);
        sd_bus_message_unref(reply);
    }
    double end = now_ms();
    if (r < 0)
        return fail("%s of %s: %s", words[3], words[1], strerror(-r));
    return answer((double[]){(double) count * 1e3 / (end - begin)}, 1);
}

int verb_list(char **words)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *name, *state, *path;
    uint32_t leader;
    double n = 0, running = 0;
    sd_bus *bus = quiet_bus();
    if (!bus)
        return fail("no bus");

    double begin = now_ms();
    int r = sd_bus_call_method(
            bus, words[0], "/org/vmd1", "org.vmd1.Manager", "ListVMs", &error, &reply, NULL);
    double end = now_ms();
    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'a', "(ssuo)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(ssuo)", &name, &state, &leader, &path)) > 0) {
        n++;
        running += strcmp(state, "running") == 0;
    }
    sd_bus_message_unref(reply);
    if (r >= 0)
        return answer((double[]){end - begin, n, running}, 3);
    r = fail("ListVMs: %s", error.message ? error.message : strerror(-r));
    sd_bus_error_free(&error);
    return r;
}

typedef struct Job {
    const char *path; /* in the reply, NULL before it */
    char *removed;    /* the last job that was removed */
} Job;

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Job *job = userdata;
    const char *path, *unit, *result;
    uint32_t id;
    if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0 || strcmp(result, "done") != 0)
        return 0;
    if (!job->path || strcmp(job->path, path) == 0) {
        free(job->removed);
        job->removed = strdup(path);
    }
    return 0;
}

static int wait_for_job(sd_bus *bus, const Job *job)
{
    while (!job->removed || strcmp(job->removed, job->path) != 0) {
        int r = sd_bus_process(bus, NULL);
        if (r == 0)
            r = sd_bus_wait(bus, REPLY_TIMEOUT_USEC);
        if (r < 0)
            return r;
    }
    return 0;
}

static int subscribe(sd_bus *bus)
{
    static bool done;
    if (done)
        return 0;
    done = true;
    return sd_bus_call_method(
            bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", NULL, NULL, NULL);
}

int verb_transient(char **words)
{
    Job job = {0};
    sd_bus_slot *slot = NULL;
    sd_bus_message *reply = NULL;
    sd_bus_error error = SD_BUS_ERROR_NULL;
    double begin = 0, end = 0;
    sd_bus *bus = quiet_bus();
    int r = bus ? subscribe(bus) : -ENOTCONN;
    if (r >= 0)
        r = sd_bus_match_signal(
                bus, &slot, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved", on_job_removed, &job);
    pid_t pid = r < 0 ? -1 : fork();
    if (pid == 0) {
        (void) pause();
        _exit(0);
    }
    if (pid > 0) {
        begin = now_ms();
        r = sd_bus_call_method(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit", &error,
                &reply, "ssa(sv)a(sa(sv))", words[0], "fail", 3, "PIDs", "au", 1, (uint32_t) pid, "Slice",
                "s", words[1], "CollectMode", "s", "inactive-or-failed", 0);
        if (r >= 0)
            r = sd_bus_message_read(reply, "o", &job.path);
        if (r >= 0)
            r = wait_for_job(bus, &job);
        end = now_ms();
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
    }
    sd_bus_slot_unref(slot);
    sd_bus_message_unref(reply);
    free(job.removed);
    if (r >= 0 && pid > 0)
        return answer((double[]){end - begin}, 1);
    r = fail("StartTransientUnit of %s: %s", words[0], error.message ? error.message : strerror(-r));
    sd_bus_error_free(&error);
    return r;
}
