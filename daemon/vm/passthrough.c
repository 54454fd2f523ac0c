/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "passthrough.h"

#include "manager.h"
#include "task.h"

#define SECTIONS "PCI"
/* A driver that has not let go of its device by then never will. */
#define STEP_USEC (60 * G_USEC_PER_SEC)

/* One thing to be done in a thread. */
typedef struct Step {
    char *state, *owner;
    GPtrArray *wishes;  /* PciWish; NULL: all is given back */
    GPtrArray *devices; /* PciDevice: the answer */
    Error *error;
} Step;

struct Passthrough {
    Manager *manager;
    Step *step;         /* until its turn comes, and after it */
    bool waits;
    PassthroughDone done;
    void *userdata;
};

typedef struct Entry {
    Step *step;
    Passthrough *passthrough; /* who waits; NULL: nobody */
} Entry;

struct PassthroughQueue {
    Manager *manager;
    GQueue entries;  /* Entry; the first is under way */
    Task *task;
};

static void step_free(void *userdata)
{
    Step *step = userdata;
    if (!step)
        return;
    g_free(step->state);
    g_free(step->owner);
    if (step->wishes)
        g_ptr_array_unref(step->wishes);
    if (step->devices)
        g_ptr_array_unref(step->devices);
    error_free(step->error);
    g_free(step);
}

static void entry_free(void *userdata)
{
    Entry *entry = userdata;
    step_free(entry->step);
    g_free(entry);
}

/* In the thread. */
static void run(void *userdata)
{
    Step *step = userdata;
    if (step->wishes)
        step->devices = pci_take("", step->state, step->owner, step->wishes, &step->error);
    else
        pci_give_back("", step->state, step->owner);
}

static void begin(PassthroughQueue *queue);

static void on_done(void *data, void *userdata)
{
    PassthroughQueue *queue = userdata;
    Entry *entry = g_queue_pop_head(&queue->entries);
    Passthrough *waiting = entry->passthrough;
    queue->task = NULL;
    entry->passthrough = NULL;
    if (waiting) {
        waiting->step = data;
        waiting->waits = false;
    } else
        step_free(data);
    g_free(entry);
    begin(queue);
    manager_check_idle(queue->manager);
    if (!waiting)
        return;
    g_autoptr(Error) late = NULL;
    const Error *error = waiting->step ? waiting->step->error : NULL;
    if (!waiting->step)
        error_set(&late, ERROR_TIMED_OUT, "PCI devices", "dmesg may say why", "a driver of the host's does not let go of its device");
    waiting->done(error ? error : late, waiting->userdata);
}

static void begin(PassthroughQueue *queue)
{
    const TaskSpec spec = {.run = run, .done = on_done, .free_data = step_free, .timeout_usec = STEP_USEC};
    Entry *entry = g_queue_peek_head(&queue->entries);
    if (!entry || queue->task)
        return;
    Step *step = g_steal_pointer(&entry->step);
    int r = task_new(queue->manager->event, &spec, step, queue, &queue->task);
    if (r >= 0)
        return;
    error_set_errno(&step->error, r, "PCI devices", "no thread can be made for them");
    on_done(step, queue);
}

static PassthroughQueue *get_queue(Manager *manager)
{
    if (!manager->passthrough) {
        manager->passthrough = g_new0(PassthroughQueue, 1);
        manager->passthrough->manager = manager;
        g_queue_init(&manager->passthrough->entries);
    }
    return manager->passthrough;
}

void passthrough_queue_free(PassthroughQueue *queue)
{
    if (!queue)
        return;
    task_abandon(queue->task);
    g_queue_clear_full(&queue->entries, entry_free);
    g_free(queue);
}

static Step *step_new(const Manager *manager, const char *owner, GPtrArray *wishes)
{
    Step *step = g_new0(Step, 1);
    step->state = g_build_filename(manager->dirs->runtime, "pci", NULL);
    step->owner = g_strdup(owner);
    step->wishes = wishes;
    return step;
}

static void enqueue(Manager *manager, Step *step, Passthrough *passthrough)
{
    PassthroughQueue *queue = get_queue(manager);
    Entry *entry = g_new0(Entry, 1);
    entry->step = step;
    entry->passthrough = passthrough;
    g_queue_push_tail(&queue->entries, entry);
    begin(queue);
}

/* ---- what the settings say ---- */

static GPtrArray *read_wishes(const Settings *settings, Error **ret_error)
{
    g_autoptr(GPtrArray) wishes = g_ptr_array_new_with_free_func((GDestroyNotify) pci_wish_free);
    g_autofree const char **sections = settings_sections(settings, SECTIONS);
    for (size_t i = 0; sections && sections[i]; i++) {
        PciWish *wish = pci_wish_new(sections[i], settings_get_string(settings, sections[i], "Address"), settings_get_string(settings, sections[i], "Device"),
            settings_get_string(settings, sections[i], "MediatedDevice"), ret_error);
        if (!wish)
            return NULL;
        g_ptr_array_add(wishes, wish);
    }
    return g_steal_pointer(&wishes);
}

bool passthrough_check(const Settings *settings, Error **ret_error)
{
    g_autoptr(GPtrArray) wishes = read_wishes(settings, ret_error);
    return wishes != NULL;
}

bool passthrough_is_wanted(const Settings *settings)
{
    g_autofree const char **sections = settings_sections(settings, SECTIONS);
    return sections && sections[0];
}

void passthrough_preview(const Settings *settings, MachineParts *parts)
{
    g_autoptr(GPtrArray) wishes = read_wishes(settings, NULL);
    parts->pci = g_ptr_array_new_with_free_func((GDestroyNotify) pci_device_free);
    for (guint i = 0; wishes && i < wishes->len; i++) {
        const PciWish *wish = wishes->pdata[i];
        PciDevice *device = g_new0(PciDevice, 1);
        device->section = g_strdup(wish->section);
        device->name = g_strdup(wish->uuid ?: wish->address ?: "ADDRESS");
        device->path = g_strdup_printf("/sys/bus/%s/devices/%s", wish->uuid ? "mdev" : "pci", device->name);
        device->group = g_strdup("GROUP");
        g_ptr_array_add(parts->pci, device);
    }
}

/* ---- a start ---- */

bool passthrough_open(VM *vm, const Settings *settings, PassthroughDone done, void *userdata, Passthrough **ret, Error **ret_error)
{
    *ret = NULL;
    if (!passthrough_is_wanted(settings))
        return true;
    GPtrArray *wishes = read_wishes(settings, ret_error);
    if (!wishes)
        return false;
    if (vm->manager->user) {
        g_ptr_array_unref(wishes);
        return error_set(ret_error, ERROR_UNSUPPORTED, "[PCI]", "Make it a VM of the system's", "a user's vmd cannot take devices from the host's drivers");
    }
    Passthrough *passthrough = g_new0(Passthrough, 1);
    passthrough->manager = vm->manager;
    passthrough->waits = true;
    passthrough->done = done;
    passthrough->userdata = userdata;
    *ret = passthrough;
    enqueue(vm->manager, step_new(vm->manager, vm->name, wishes), passthrough);
    return true;
}

void passthrough_take(Passthrough *passthrough, MachineParts *parts)
{
    parts->pci = g_steal_pointer(&passthrough->step->devices);
}

char **passthrough_nodes(const MachineParts *parts)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new_with_free_func(g_free);
    if (!parts->pci || parts->pci->len == 0)
        return NULL;
    g_ptr_array_add(nodes, g_strdup("/dev/vfio/vfio"));
    for (guint i = 0; i < parts->pci->len; i++) {
        char *node = g_strdup_printf("/dev/vfio/%s", ((const PciDevice *) parts->pci->pdata[i])->group);
        if (g_ptr_array_find_with_equal_func(nodes, node, g_str_equal, NULL))
            g_free(node);
        else
            g_ptr_array_add(nodes, node);
    }
    g_ptr_array_add(nodes, NULL);
    return (char **) g_ptr_array_steal(nodes, NULL);
}

void passthrough_free(Passthrough *passthrough)
{
    if (!passthrough)
        return;
    PassthroughQueue *queue = passthrough->manager->passthrough;
    for (GList *l = passthrough->waits && queue ? queue->entries.head : NULL; l; l = l->next)
        if (((Entry *) l->data)->passthrough == passthrough)
            ((Entry *) l->data)->passthrough = NULL;
    step_free(passthrough->step);
    g_free(passthrough);
}

/* ---- the end ---- */

void passthrough_give_back(Manager *manager, const char *vm)
{
    g_autofree char *state = g_build_filename(manager->dirs->runtime, "pci", NULL);
    if (!manager->user && g_file_test(state, G_FILE_TEST_IS_DIR))
        enqueue(manager, step_new(manager, vm, NULL), NULL);
}

void passthrough_recover(Manager *manager)
{
    g_autofree char *state = g_build_filename(manager->dirs->runtime, "pci", NULL);
    g_auto(GStrv) owners = manager->user ? NULL : pci_owners(state);
    for (size_t i = 0; owners && owners[i]; i++) {
        const VM *vm = manager_find_vm(manager, owners[i]);
        if (!vm || !vm->instance)
            passthrough_give_back(manager, owners[i]);
    }
}
