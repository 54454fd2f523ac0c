/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trees.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "gpt.h"
#include "service.h"
#include "task.h"
#include "unit-name.h"

#define LOOK_USEC (20 * G_USEC_PER_SEC)
#define MOUNT_USEC (20 * G_USEC_PER_SEC)

struct Trees {
    sd_event *event;
    Scopes *scopes;
    char *mounts; /* the folder that they are in */
    bool user, leaving;
    GPtrArray *asked;  /* Asked: nobody has an answer yet */
    GPtrArray *images; /* Image: mounted, or being so */
};

/* The file system in an image. Gone from the list when nobody refers to it; then it is unmounted. */
typedef struct Image {
    Trees *trees;
    char *root, *folder, *unit;
    FileIdentity identity;
    QemuTree *tree; /* not a reference; NULL: it is being mounted */
    ScopeJob *job;
} Image;

/* One who asks. */
typedef struct Asked {
    Trees *trees;
    char *root;
    Task *task;
    Image *image; /* that is being mounted for it; NULL: it is still looked at */
    TreesReply reply;
    void *userdata;
} Asked;

/* What is at a path. The thread's. */
typedef struct Look {
    char *root;
    int fd; /* O_PATH of a folder */
    bool is_folder, is_file;
    FileIdentity identity;
    GptPart part; /* of a file: where its root file system is */
    int error;
} Look;

static void look_free(void *userdata)
{
    Look *look = userdata;
    if (!look)
        return;
    close_fd(&look->fd);
    g_free(look->root);
    g_free(look);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Look, look_free)

static void image_free(void *userdata)
{
    Image *image = userdata;
    scope_job_forget(image->job);
    g_free(image->root);
    g_free(image->folder);
    g_free(image->unit);
    g_free(image);
}

static void asked_free(void *userdata)
{
    Asked *asked = userdata;
    task_abandon(asked->task);
    g_free(asked->root);
    g_free(asked);
}

Trees *trees_new(sd_event *event, Scopes *scopes, const char *runtime, bool user)
{
    Trees *trees = g_new0(Trees, 1);
    trees->event = sd_event_ref(event);
    trees->scopes = scopes;
    trees->mounts = g_build_filename(runtime, "root", NULL);
    trees->user = user;
    trees->asked = g_ptr_array_new_with_free_func(asked_free);
    trees->images = g_ptr_array_new_with_free_func(image_free);
    return trees;
}

void trees_leave(Trees *trees)
{
    if (trees)
        trees->leaving = true;
}

void trees_free(Trees *trees)
{
    if (!trees)
        return;
    g_ptr_array_unref(trees->asked);
    g_ptr_array_unref(trees->images);
    g_free(trees->mounts);
    sd_event_unref(trees->event);
    g_free(trees);
}

/* The reply is the last thing: it may do anything. */
static void answer(Asked *asked, QemuTree *tree, const Error *error)
{
    TreesReply reply = asked->reply;
    void *userdata = asked->userdata;
    g_ptr_array_remove(asked->trees->asked, asked);
    reply(tree, error, userdata);
}

/* ---- mounts ---- */

static void on_unmounted(const Error *error, void *userdata)
{
    g_autofree char *folder = userdata;
    if (error)
        g_warning("%s cannot be unmounted: %s", folder, error->cause);
    (void) rmdir(folder);
}

static void unmount(Trees *trees, const char *folder)
{
    g_autofree char *unit = unit_name_from_path(folder, ".mount");
    g_autoptr(Error) error = NULL;
    char *copy = g_strdup(folder);
    if (!service_stop(trees->scopes, unit, on_unmounted, copy, &error))
        on_unmounted(error, copy);
}

/* Nobody refers to its tree any more. */
static void on_released(void *userdata)
{
    Image *image = userdata;
    Trees *trees = image->trees;
    if (!trees->leaving)
        unmount(trees, image->folder);
    g_ptr_array_remove(trees->images, image);
}

static QemuTree *open_image(Image *image, Error **ret_error)
{
    int fd = open(image->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        error_set_errno(ret_error, errno, image->folder, "it cannot be opened");
        return NULL;
    }
    return image->tree = qemu_tree_new(image->root, image->folder, fd, &image->identity, on_released, image);
}

static Asked *find_waiting(const Trees *trees, const Image *image)
{
    for (guint i = 0; i < trees->asked->len; i++) {
        Asked *asked = trees->asked->pdata[i];
        if (asked->image == image)
            return asked;
    }
    return NULL;
}

static void on_mounted(const Error *failed, void *userdata)
{
    Image *image = userdata;
    Trees *trees = image->trees;
    Asked *asked;
    g_autoptr(Error) error = NULL;
    image->job = NULL;
    if (failed) {
        g_autofree char *remedy = g_strdup_printf("Look at 'journalctl -u %s'", image->unit);
        error_set(&error, failed->code, image->root, remedy, "this image for Root= cannot be mounted: %s", failed->cause);
    }
    /* Held while they are told: each may be the only one that refers to it, and for no longer than that. */
    g_autoptr(QemuTree) tree = error ? NULL : open_image(image, &error);
    while ((asked = find_waiting(trees, image)))
        answer(asked, tree, error);
    if (tree)
        return;
    (void) rmdir(image->folder);
    g_ptr_array_remove(trees->images, image);
}

/* Code in it is executed: by QEMUs without privileges, and by nobody else. */
static bool mount_image(Image *image, const GptPart *part, Error **ret_error)
{
    g_autofree char *description = g_strdup_printf("Tree %s with a QEMU", image->root);
    g_autofree char *offset = part->size > 0 ? g_strdup_printf(",offset=%" G_GUINT64_FORMAT ",sizelimit=%" G_GUINT64_FORMAT, part->offset, part->size) : NULL;
    g_autofree char *options = g_strconcat("loop,ro,nosuid,nodev", offset, NULL);
    const ServiceProperty properties[] = {
        {"Description", 's', .text = description},
        {"What", 's', .text = image->root},
        {"Where", 's', .text = image->folder},
        {"Type", 's', .text = "auto"},
        {"Options", 's', .text = options},
        {"TimeoutUSec", 't', .number = MOUNT_USEC},
        /* QEMUs that still have it keep it. */
        {"LazyUnmount", 'b', .number = true},
        {"CollectMode", 's', .text = "inactive-or-failed"},
        {NULL},
    };
    const ServiceSpec spec = {.unit = image->unit, .properties = properties};
    image->job = service_start(image->trees->scopes, &spec, on_mounted, image, ret_error);
    return image->job;
}

/* A name that no other mount has, nor had while one of it may still be going. */
static Image *image_new(Trees *trees, const char *root, const FileIdentity *identity)
{
    Image *image = g_new0(Image, 1);
    image->trees = trees;
    image->root = g_strdup(root);
    image->folder = g_strdup_printf("%s/%08x", trees->mounts, g_random_int());
    image->unit = unit_name_from_path(image->folder, ".mount");
    image->identity = *identity;
    g_ptr_array_add(trees->images, image);
    return image;
}

static Image *find_image(const Trees *trees, const char *root, const FileIdentity *identity)
{
    for (guint i = 0; i < trees->images->len; i++) {
        Image *image = trees->images->pdata[i];
        if (g_str_equal(image->root, root) && file_identity_equal(&image->identity, identity))
            return image;
    }
    return NULL;
}

static void get_image(Asked *asked, const Look *look)
{
    Trees *trees = asked->trees;
    g_autoptr(Error) error = NULL;
    Image *image = find_image(trees, asked->root, &look->identity);
    if (image && image->tree)
        return answer(asked, image->tree, NULL);
    if (image) {
        asked->image = image;
        return;
    }
    image = image_new(trees, asked->root, &look->identity);
    if (mount_image(image, &look->part, &error)) {
        asked->image = image;
        return;
    }
    g_ptr_array_remove(trees->images, image);
    answer(asked, NULL, error);
}

/* ---- who asks ---- */

static void run_look(void *userdata)
{
    Look *look = userdata;
    struct stat st;
    fd_cleanup int fd = open(look->root, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        look->error = errno;
        return;
    }
    look->is_folder = S_ISDIR(st.st_mode);
    look->is_file = S_ISREG(st.st_mode);
    look->identity = file_identity_of(&st);
    if (look->is_file) {
        fd_cleanup int file = open(look->root, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        int r = file < 0 ? -errno : gpt_find_root(file, &look->part);
        look->error = r < 0 ? -r : 0;
    }
    look->fd = steal_fd(&fd);
}

static bool check_look(const Trees *trees, const Look *look, const char *root, Error **ret_error)
{
    static const char remedy[] = "Let Root= name a folder with a distribution's root, or an image of one";
    if (!look)
        return error_set(ret_error, ERROR_TIMED_OUT, root, "Look at the disk that it is on", "its file system does not answer");
    if (look->error == ENOENT || look->error == ENOTDIR)
        return error_set(ret_error, ERROR_QEMU_FAILED, root, remedy, "there is no such folder or image");
    if (look->error == ENODATA)
        return error_set(ret_error, ERROR_QEMU_FAILED, root, remedy, "this image has partitions, and none of them is a root for this machine");
    if (look->error)
        return error_set_errno(ret_error, look->error, root, "it cannot be opened");
    if (!look->is_folder && !look->is_file)
        return error_set(ret_error, ERROR_QEMU_FAILED, root, remedy, "it is neither a folder nor an image");
    if (look->is_file && trees->user)
        return error_set(ret_error, ERROR_UNSUPPORTED, root, "Unpack it into a folder (as unsquashfs does), and let Root= name that",
            "a user's vmd cannot mount images");
    return true;
}

static void on_look(void *data, void *userdata)
{
    Asked *asked = userdata;
    g_autoptr(Look) look = data;
    g_autoptr(Error) error = NULL;
    asked->task = NULL;
    if (!check_look(asked->trees, look, asked->root, &error))
        return answer(asked, NULL, error);
    if (look->is_file)
        return get_image(asked, look);
    g_autoptr(QemuTree) tree = qemu_tree_new(asked->root, asked->root, steal_fd(&look->fd), NULL, NULL, NULL);
    answer(asked, tree, NULL);
}

bool trees_get(Trees *trees, const char *root, TreesReply reply, void *userdata, Error **ret_error)
{
    const TaskSpec spec = {.run = run_look, .done = on_look, .free_data = look_free, .timeout_usec = LOOK_USEC};
    Asked *asked = g_new0(Asked, 1);
    Look *look = g_new0(Look, 1);
    asked->trees = trees;
    asked->root = g_strdup(root);
    asked->reply = reply;
    asked->userdata = userdata;
    look->root = g_strdup(root);
    look->fd = -1;
    int r = task_new(trees->event, &spec, look, asked, &asked->task);
    if (r < 0) {
        look_free(look);
        asked_free(asked);
        return error_set_errno(ret_error, r, root, "no thread can be made to look at it");
    }
    g_ptr_array_add(trees->asked, asked);
    return true;
}

void trees_forget(Trees *trees, const void *userdata)
{
    for (guint i = 0; i < trees->asked->len; i++)
        if (((const Asked *) trees->asked->pdata[i])->userdata == userdata)
            g_ptr_array_remove_index(trees->asked, i--);
}

/* ---- those of before ---- */

static bool is_mount_of(const Trees *trees, const char *folder)
{
    size_t n = strlen(trees->mounts);
    return strncmp(folder, trees->mounts, n) == 0 && folder[n] == '/';
}

static bool has_folder(const Trees *trees, const char *folder)
{
    for (guint i = 0; i < trees->images->len; i++)
        if (g_str_equal(((const Image *) trees->images->pdata[i])->folder, folder))
            return true;
    return false;
}

QemuTree *trees_adopt(Trees *trees, const char *root, const char *folder)
{
    for (guint i = 0; i < trees->images->len; i++) {
        Image *image = trees->images->pdata[i];
        if (image->tree && g_str_equal(image->folder, folder))
            return qemu_tree_ref(image->tree);
    }
    if (is_mount_of(trees, folder)) {
        struct stat st;
        FileIdentity identity = {0};
        /* Where the image is another one by now, nobody else gets this one. */
        if (stat(root, &st) == 0)
            identity = file_identity_of(&st);
        Image *image = image_new(trees, root, &identity);
        g_free(image->folder);
        image->folder = g_strdup(folder);
        QemuTree *tree = open_image(image, NULL);
        if (!tree)
            g_ptr_array_remove(trees->images, image);
        return tree;
    }
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? NULL : qemu_tree_new(root, folder, fd, NULL, NULL, NULL);
}

void trees_recover(Trees *trees)
{
    g_autoptr(GDir) dir = trees->user ? NULL : g_dir_open(trees->mounts, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *folder = g_build_filename(trees->mounts, name, NULL);
        if (!has_folder(trees, folder))
            unmount(trees, folder);
    }
}
