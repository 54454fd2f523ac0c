/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt by its own library, which is what its other faces (virsh, D-Bus) stand on. It is loaded only where
 * it is asked for, so that the bench needs nothing of it to be built; what is called is part of its stable
 * API. */

#include "client.h"

#include "crowd.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBVIRT_URI "qemu:///system"
#define LIBVIRT_ACTIVE 1U /* VIR_CONNECT_LIST_DOMAINS_ACTIVE */

typedef struct _virConnect virConnect;
typedef struct _virDomain virDomain;

static struct {
    virConnect *(*open)(const char *uri);
    int (*close)(virConnect *connection);
    virDomain *(*lookup)(virConnect *connection, const char *name);
    int (*list)(virConnect *connection, virDomain ***domains, unsigned flags);
    int (*create)(virDomain *domain);
    int (*destroy)(virDomain *domain);
    int (*free)(virDomain *domain);
    const char *(*message)(void);
} library;

static bool load(void)
{
    static const struct {
        const char *name;
        void *function;
    } functions[] = {
            {"virConnectOpen", &library.open},
            {"virConnectClose", &library.close},
            {"virDomainLookupByName", &library.lookup},
            {"virConnectListAllDomains", &library.list},
            {"virDomainCreate", &library.create},
            {"virDomainDestroy", &library.destroy},
            {"virDomainFree", &library.free},
            {"virGetLastErrorMessage", &library.message},
    };
    static void *handle;
    if (handle)
        return true;
    handle = dlopen("libvirt.so.0", RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; handle && i < sizeof functions / sizeof *functions; i++) {
        void *function = dlsym(handle, functions[i].name);
        if (!function)
            return false;
        memcpy(functions[i].function, &function, sizeof function);
    }
    return handle != NULL;
}

/* The client's own connection, made at the first use; again where libvirt was restarted. */
static virConnect *connection;

static virConnect *connected(void)
{
    if (!connection && load())
        connection = library.open(LIBVIRT_URI);
    return connection;
}

static int fail_libvirt(const char *what)
{
    return fail("libvirt: %s: %s", what, library.message ? library.message() : "it cannot be loaded");
}

static int act(const char *name, bool start)
{
    virDomain *domain = connected() ? library.lookup(connection, name) : NULL;
    if (!domain)
        return fail_libvirt(name);
    double begin = now_ms();
    int r = start ? library.create(domain) : library.destroy(domain);
    double end = now_ms();
    (void) library.free(domain);
    return r < 0 ? fail_libvirt(name) : answer((double[]){end - begin}, 1);
}

int verb_libvirt_start(char **words)
{
    return act(words[0], true);
}

int verb_libvirt_destroy(char **words)
{
    return act(words[0], false);
}

int verb_libvirt_list(char **words)
{
    virDomain **domains = NULL;
    if (!load())
        return fail_libvirt("load");
    if (connection)
        (void) library.close(connection);
    double begin = now_ms();
    connection = library.open(LIBVIRT_URI);
    int n = connection ? library.list(connection, &domains, LIBVIRT_ACTIVE) : -1;
    double end = now_ms();
    for (int i = 0; i < n; i++)
        (void) library.free(domains[i]);
    free(domains);
    return n < 0 ? fail_libvirt("list") : answer((double[]){end - begin, n}, 2);
}

static void *start_prepare(void *userdata)
{
    return load() ? library.open(LIBVIRT_URI) : NULL;
}

static bool start_act(void *state, size_t i, void *userdata)
{
    char **names = userdata;
    virDomain *domain = library.lookup(state, names[i]);
    int r = domain ? library.create(domain) : -1;
    if (r < 0)
        (void) fprintf(stderr, "libvirt: %s: %s\n", names[i], library.message());
    if (domain)
        (void) library.free(domain);
    return r >= 0;
}

int verb_libvirt_crowd_start(char **words)
{
    size_t count = 0;
    while (words[1 + count])
        count++;
    CrowdTask task = {.prepare = start_prepare, .act = start_act, .userdata = words + 1};
    double ms;
    int r = crowd_run(&task, strtoul(words[0], NULL, 10), count, &ms);
    return r < 0 ? fail("the crowd: %s", strerror(-r)) : answer(&ms, 1);
}
