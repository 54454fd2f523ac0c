/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inventory.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "task.h"

#define MACHINES "/var/lib/machines"
#define ITEMS_MAX 64U
#define TREES_MAX 64U
#define FILES_MAX 8192U
#define SCAN_USEC (10 * G_USEC_PER_SEC)

typedef struct Waiter {
    InventoryReply reply;
    void *userdata;
} Waiter;

struct Inventory {
    Manager *manager;
    Task *task;
    GPtrArray *items; /* InventoryItem; NULL while the thread looks */
    guint next;       /* the one that is asked about */
    QemuTree *tree;   /* its, while it is */
    GArray *waiters;
};

/* What VMs name, and what is found. The thread's. */
typedef struct Scan {
    GPtrArray *wanted; /* InventoryItem without builds */
    GPtrArray *items;  /* the same */
} Scan;

static void item_free(void *userdata)
{
    InventoryItem *item = userdata;
    g_free(item->root);
    g_free(item->path);
    g_free(item->problem);
    qemu_build_unref(item->build);
    g_free(item);
}

static void scan_free(void *userdata)
{
    Scan *scan = userdata;
    g_ptr_array_unref(scan->wanted);
    g_ptr_array_unref(scan->items);
    g_free(scan);
}

void inventory_free(Inventory *inventory)
{
    if (!inventory)
        return;
    qemu_builds_cancel(inventory->manager->builds, inventory);
    trees_forget(inventory->manager->trees, inventory);
    task_abandon(inventory->task);
    qemu_tree_unref(inventory->tree);
    g_clear_pointer(&inventory->items, g_ptr_array_unref);
    g_array_free(inventory->waiters, TRUE);
    g_free(inventory);
}

/* ---- in the thread: which there are ---- */

static void add(GPtrArray *items, const char *root, const char *path)
{
    for (guint i = 0; i < items->len; i++) {
        const InventoryItem *item = items->pdata[i];
        if (g_strcmp0(item->root, root) == 0 && g_strcmp0(item->path, path) == 0)
            return;
    }
    if (items->len >= ITEMS_MAX)
        return;
    InventoryItem *item = g_new0(InventoryItem, 1);
    item->root = g_strdup(root);
    item->path = g_strdup(path);
    g_ptr_array_add(items, item);
}

/* The binaries of a tree, each once, by the first of its names. */
static guint scan_tree(GPtrArray *items, const char *root, int root_fd)
{
    g_autoptr(GArray) seen = g_array_new(FALSE, FALSE, sizeof(FileIdentity));
    for (size_t i = 0; qemu_binary_folders[i]; i++) {
        g_autoptr(GPtrArray) names = tree_list(root_fd, qemu_binary_folders[i], FILES_MAX);
        for (guint j = 0; j < names->len; j++) {
            struct stat st;
            g_autofree char *path = g_build_filename(qemu_binary_folders[i], names->pdata[j], NULL);
            bool known = false;
            if (!qemu_binary_is_named(names->pdata[j]) || !tree_has_program(root_fd, path) || tree_stat(root_fd, path, &st) < 0)
                continue;
            FileIdentity identity = file_identity_of(&st);
            for (guint k = 0; k < seen->len; k++)
                known |= file_identity_equal(&g_array_index(seen, FileIdentity, k), &identity);
            if (known)
                continue;
            g_array_append_val(seen, identity);
            add(items, root, path);
        }
    }
    return seen->len;
}

static void scan_folder(GPtrArray *items, const char *root, bool wanted)
{
    fd_cleanup int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* An image, or nothing, is what the loop asks about. */
    if ((fd < 0 || scan_tree(items, root, fd) == 0) && wanted)
        add(items, root, NULL);
}

static void run_scan(void *userdata)
{
    Scan *scan = userdata;
    g_autoptr(GPtrArray) machines = tree_list(-1, MACHINES, TREES_MAX);
    (void) scan_tree(scan->items, NULL, -1);
    for (guint i = 0; i < scan->wanted->len; i++) {
        const InventoryItem *item = scan->wanted->pdata[i];
        if (item->path)
            add(scan->items, item->root, item->path);
        else
            scan_folder(scan->items, item->root, true);
    }
    for (guint i = 0; i < machines->len; i++) {
        g_autofree char *root = g_build_filename(MACHINES, machines->pdata[i], NULL);
        scan_folder(scan->items, root, false);
    }
}

/* ---- on the loop: what they can do ---- */

static void ask_next(Inventory *inventory);

static void finish(Inventory *inventory, const Error *error)
{
    g_autoptr(GArray) waiters = g_steal_pointer(&inventory->waiters);
    inventory->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    inventory->manager->inventory = NULL;
    for (guint i = 0; i < waiters->len; i++) {
        const Waiter *waiter = &g_array_index(waiters, Waiter, i);
        waiter->reply(error ? NULL : inventory->items, error, waiter->userdata);
    }
    inventory_free(inventory);
}

static void settle(Inventory *inventory, QemuBuild *build, const Error *error)
{
    InventoryItem *item = inventory->items->pdata[inventory->next++];
    if (build) {
        item->build = qemu_build_ref(build);
        g_free(item->path);
        item->path = g_strdup(qemu_build_path(build));
    } else
        item->problem = g_strdup(error->cause);
    g_clear_pointer(&inventory->tree, qemu_tree_unref);
}

static void on_build(QemuBuild *build, const Error *error, void *userdata)
{
    settle(userdata, build, error);
    ask_next(userdata);
}

/* Whether the answer is there. */
static bool ask_build(Inventory *inventory)
{
    const InventoryItem *item = inventory->items->pdata[inventory->next];
    g_autoptr(Error) error = NULL;
    g_autofree char *path = item->path ? g_strdup(item->path) : qemu_find_binary(inventory->tree, &error);
    QemuBuild *build = NULL;
    int r = path ? qemu_builds_get(inventory->manager->builds, inventory->tree, path, on_build, inventory, &build) : -ENOENT;
    if (r == 0)
        return false;
    if (r < 0 && !error)
        error_set_errno(&error, r, path, "it cannot be asked what it can do");
    settle(inventory, build, error);
    qemu_build_unref(build);
    return true;
}

static void on_tree(QemuTree *tree, const Error *error, void *userdata)
{
    Inventory *inventory = userdata;
    if (error)
        settle(inventory, NULL, error);
    else {
        inventory->tree = qemu_tree_ref(tree);
        if (!ask_build(inventory))
            return;
    }
    ask_next(inventory);
}

/* Of an image, what its VMs run on when they say nothing else. */
static QemuBuild *recall(const Inventory *inventory, const InventoryItem *item)
{
    static const char *const names[] = {"qemu-system-x86_64", "qemu-system-aarch64", "qemu-kvm"};
    QemuBuilds *builds = inventory->manager->builds;
    QemuBuild *build = item->path ? qemu_builds_recall(builds, item->root, item->path) : NULL;
    for (size_t i = 0; !item->path && !build && qemu_binary_folders[i]; i++)
        for (size_t j = 0; !build && j < G_N_ELEMENTS(names); j++) {
            g_autofree char *path = g_build_filename(qemu_binary_folders[i], names[j], NULL);
            build = qemu_builds_recall(builds, item->root, path);
        }
    return build;
}

static void ask_next(Inventory *inventory)
{
    while (inventory->next < inventory->items->len) {
        const InventoryItem *item = inventory->items->pdata[inventory->next];
        g_autoptr(QemuBuild) build = recall(inventory, item);
        g_autoptr(Error) error = NULL;
        if (build)
            settle(inventory, build, NULL);
        else if (!item->root) {
            if (!ask_build(inventory))
                return;
        } else if (trees_get(inventory->manager->trees, item->root, on_tree, inventory, &error))
            return;
        else
            settle(inventory, NULL, error);
    }
    finish(inventory, NULL);
}

static void on_scan(void *data, void *userdata)
{
    Inventory *inventory = userdata;
    Scan *scan = data;
    g_autoptr(Error) error = NULL;
    inventory->task = NULL;
    if (!scan) {
        error_set(&error, ERROR_TIMED_OUT, "QEMU", "Look at the file systems that VMs' Root= is on", "the folders of QEMUs do not answer");
        return finish(inventory, error);
    }
    inventory->items = g_ptr_array_ref(scan->items);
    scan_free(scan);
    ask_next(inventory);
}

static void add_wanted(GPtrArray *wanted, Manager *manager)
{
    size_t n;
    g_autofree VM **vms = manager_list_vms(manager, &n);
    for (size_t i = 0; i < n; i++) {
        if (vms[i]->qemu_root)
            add(wanted, vms[i]->qemu_root, NULL);
        if (vms[i]->qemu_binary)
            add(wanted, vms[i]->qemu_root, vms[i]->qemu_binary);
    }
}

bool inventory_take(Manager *manager, InventoryReply reply, void *userdata, Error **ret_error)
{
    const TaskSpec spec = {.run = run_scan, .done = on_scan, .free_data = scan_free, .timeout_usec = SCAN_USEC};
    const Waiter waiter = {.reply = reply, .userdata = userdata};
    Inventory *inventory = manager->inventory;
    if (!inventory) {
        Scan *scan = g_new0(Scan, 1);
        scan->wanted = g_ptr_array_new_with_free_func(item_free);
        scan->items = g_ptr_array_new_with_free_func(item_free);
        add_wanted(scan->wanted, manager);
        inventory = g_new0(Inventory, 1);
        inventory->manager = manager;
        inventory->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
        int r = task_new(manager->event, &spec, scan, inventory, &inventory->task);
        if (r < 0) {
            scan_free(scan);
            inventory_free(inventory);
            return error_set_errno(ret_error, r, "QEMU", "no thread can be made to look for it");
        }
        manager->inventory = inventory;
    }
    g_array_append_val(inventory->waiters, waiter);
    return true;
}
