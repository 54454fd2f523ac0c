/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "head.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "cleanup.h"

#define CURSOR_MAX 512U
#define MEMSLOT_GROUP 0
#define PRIMARY 0
/* A QEMU that never stops telling is told on meanwhile. */
#define TELL_USEC 10000
/* What comes so soon after all of the screen is told with the next. QEMU looks at what the guest has painted each 30 ms, and may do so twice: a guest that
 * paints without end has painted a part again by then, which in itself is no frame, and would end a video. */
#define FRAME_USEC 35000
/* spice-server makes a video of what changes on the same area again and again, if that is no smaller and soft, and takes no more than 25 to 37 frames a second
 * of it: what comes before that would be sent for nothing. It is looked at as often as QEMU's own SPICE does. */
#define VIDEO_USEC 30000
#define VIDEO_PIXELS_MIN (96U * 96U)

/* What is under way in the worker, by which it tells what it has done. */
typedef enum Step { STEP_NONE, STEP_DESTROY, STEP_CREATE, STEP_MONITORS } Step;

struct Head {
    QXLInstance qxl;
    sd_event *event;
    sd_event_source *completed, *tell, *tell_late;
    uint64_t told, told_whole, told_again; /* when; on the loop's clock */
    bool whole;                /* all of the screen is to be told */
    bool again;                /* what is to be told has the area of what was told before */
    PictureRect last;          /* that QEMU has told of */
    int completed_fd;
    unsigned number;
    HeadWanted wanted;
    void *userdata;

    Step step;
    uint32_t width, height; /* of the primary surface; 0: there is none */
    uint32_t *surface;      /* the worker's */
    struct {
        QXLMonitorsConfig config;
        QXLHead head;
    } monitors;

    pthread_mutex_t lock;
    Picture *picture;    /* NULL: nothing is shown */
    bool shown;          /* the primary surface is the picture's: what changes can be told */
    bool telling;        /* until all that has changed is told */
    uint32_t unique;
    QXLCursorCmd *shape, *place; /* what the worker has not taken yet */
    uint32_t cursor_unique;
    int cursor_x, cursor_y;
    bool cursor_visible;
};

/* What the worker has and gives back. */
typedef struct Update {
    QXLDrawable drawable;
    QXLImage image;
    uint32_t pixels[];
} Update;

typedef struct Shape {
    QXLCursorCmd command;
    QXLCursor cursor;
    uint8_t pixels[];
} Shape;

static Head *head_of(QXLInstance *qxl)
{
    return (Head *) ((char *) qxl - offsetof(Head, qxl));
}

static uint32_t now_ms(void)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t) ((uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000);
}

/* ---- in the worker's thread ---- */

static void attached_worker(QXLInstance *qxl)
{
    /* All of the memory that there is, so that what the worker calls an address in it is a pointer. */
    QXLDevMemSlot slot = {.slot_group_id = MEMSLOT_GROUP, .virt_end = UINTPTR_MAX};
    spice_qxl_add_memslot(qxl, &slot);
}

static void get_init_info(QXLInstance *qxl, QXLDevInitInfo *info)
{
    *info = (QXLDevInitInfo) {
        .num_memslots_groups = 1,
        .num_memslots = 1,
        .memslot_gen_bits = 8,
        .memslot_id_bits = 8,
        .internal_groupslot_id = MEMSLOT_GROUP,
        .qxl_ram_size = 16U << 20,
        .n_surfaces = 1,
    };
}

static void describe(Head *head, Update *update, const PictureRect *rect)
{
    QXLRect area = {.left = (int32_t) rect->x, .top = (int32_t) rect->y, .right = (int32_t) (rect->x + rect->width), .bottom = (int32_t) (rect->y + rect->height)};
    update->drawable = (QXLDrawable) {
        .release_info.id = (uintptr_t) update,
        .surface_id = PRIMARY,
        .effect = QXL_EFFECT_OPAQUE,
        .type = QXL_DRAW_COPY,
        .bbox = area,
        .clip.type = SPICE_CLIP_TYPE_NONE,
        .mm_time = now_ms(),
        .surfaces_dest = {-1, -1, -1},
        .u.copy = {
            .src_bitmap = (uintptr_t) &update->image,
            .src_area = {.right = (int32_t) rect->width, .bottom = (int32_t) rect->height},
            .rop_descriptor = SPICE_ROPD_OP_PUT,
        },
    };
    QXL_SET_IMAGE_ID(&update->image, QXL_IMAGE_GROUP_DEVICE, ++head->unique);
    update->image.descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
    update->image.descriptor.width = rect->width;
    update->image.descriptor.height = rect->height;
    update->image.bitmap = (QXLBitmap) {
        .format = SPICE_BITMAP_FMT_32BIT,
        .flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN,
        .x = rect->width,
        .y = rect->height,
        .stride = rect->width * 4,
        .data = (uintptr_t) update->pixels,
    };
}

static int get_command(QXLInstance *qxl, QXLCommandExt *ret)
{
    Head *head = head_of(qxl);
    Update *update = NULL;
    PictureRect rect;
    pthread_mutex_lock(&head->lock);
    /* The worker looks here by itself, too. */
    head->telling = head->telling && head->shown && picture_take(head->picture, &rect);
    if (head->telling) {
        update = g_malloc(sizeof(Update) + (size_t) rect.width * rect.height * sizeof(uint32_t));
        memset(update, 0, sizeof(Update));
        picture_copy(head->picture, &rect, update->pixels);
        describe(head, update, &rect);
    }
    pthread_mutex_unlock(&head->lock);
    if (!update)
        return 0;
    *ret = (QXLCommandExt) {.cmd = {.type = QXL_CMD_DRAW, .data = (uintptr_t) &update->drawable}, .group_id = MEMSLOT_GROUP};
    return 1;
}

static int get_cursor_command(QXLInstance *qxl, QXLCommandExt *ret)
{
    Head *head = head_of(qxl);
    pthread_mutex_lock(&head->lock);
    QXLCursorCmd *command = head->shape ? g_steal_pointer(&head->shape) : g_steal_pointer(&head->place);
    pthread_mutex_unlock(&head->lock);
    if (!command)
        return 0;
    *ret = (QXLCommandExt) {.cmd = {.type = QXL_CMD_CURSOR, .data = (uintptr_t) command}, .group_id = MEMSLOT_GROUP};
    return 1;
}

/* It asks again at each spice_qxl_wakeup(). */
static int req_notification(QXLInstance *qxl)
{
    return 1;
}

/* Each begins with what its id is the address of. */
static void release_resource(QXLInstance *qxl, QXLReleaseInfoExt info)
{
    g_free((void *) (uintptr_t) info.info->id);
}

static int flush_resources(QXLInstance *qxl)
{
    return 0;
}

static void notify_update(QXLInstance *qxl, uint32_t id)
{
}

static void update_area_complete(QXLInstance *qxl, uint32_t surface, QXLRect *rects, uint32_t n)
{
}

static void set_compression_level(QXLInstance *qxl, int level)
{
}

static void set_client_capabilities(QXLInstance *qxl, uint8_t present, uint8_t capabilities[SPICE_CAPABILITIES_SIZE])
{
}

static void async_complete(QXLInstance *qxl, uint64_t cookie)
{
    uint64_t one = 1;
    (void) !write(head_of(qxl)->completed_fd, &one, sizeof one);
}

/* ---- the surface ---- */

static QXLDevSurfaceCreate describe_surface(uint32_t width, uint32_t height, const uint32_t *pixels)
{
    return (QXLDevSurfaceCreate) {
        .width = width,
        .height = height,
        .stride = -(int32_t) (width * 4), /* top down */
        .format = SPICE_SURFACE_FMT_32_xRGB,
        .mouse_mode = true,
        .group_id = MEMSLOT_GROUP,
        .mem = (uintptr_t) pixels,
    };
}

/* At the first surface of all spice-server lets clients point as the guest does, and tells them so from the thread that has made the surface, without a lock:
 * a client that was there had a main channel on which nothing came any more, and the loop span. So this one is made by the loop itself, before there are
 * clients. */
static void make_first_surface(Head *head)
{
    static uint32_t pixels[8 * 8];
    QXLDevSurfaceCreate create = describe_surface(8, 8, pixels);
    spice_qxl_create_primary_surface(&head->qxl, PRIMARY, &create);
    spice_qxl_destroy_primary_surface(&head->qxl, PRIMARY);
}

static void begin_create(Head *head)
{
    uint32_t width = picture_width(head->picture), height = picture_height(head->picture);
    head->width = width;
    head->height = height;
    head->surface = g_new0(uint32_t, (size_t) width * height);
    QXLDevSurfaceCreate create = describe_surface(width, height, head->surface);
    head->step = STEP_CREATE;
    spice_qxl_create_primary_surface_async(&head->qxl, PRIMARY, &create, STEP_CREATE);
}

static void begin_monitors(Head *head)
{
    head->monitors.config = (QXLMonitorsConfig) {.count = 1, .max_allowed = 1};
    head->monitors.head = (QXLHead) {.surface_id = PRIMARY, .width = head->width, .height = head->height};
    head->step = STEP_MONITORS;
    spice_qxl_monitors_config_async(&head->qxl, (uintptr_t) &head->monitors, MEMSLOT_GROUP, STEP_MONITORS);
}

static bool surface_fits(const Head *head)
{
    return head->picture ? head->width == picture_width(head->picture) && head->height == picture_height(head->picture) : head->width == 0;
}

/* One step at a time from the surface that there is to that of the picture, which may have become another one meanwhile. */
static void go_on(Head *head)
{
    if (head->step != STEP_NONE)
        return;
    if (surface_fits(head)) {
        pthread_mutex_lock(&head->lock);
        bool begin = !head->shown && head->picture;
        head->shown = head->picture != NULL;
        if (begin) {
            picture_invalidate(head->picture);
            head->telling = true;
        }
        pthread_mutex_unlock(&head->lock);
        if (begin)
            spice_qxl_wakeup(&head->qxl);
    } else if (head->width > 0) {
        head->step = STEP_DESTROY;
        spice_qxl_destroy_primary_surface_async(&head->qxl, PRIMARY, STEP_DESTROY);
    } else
        begin_create(head);
}

static int on_completed(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Head *head = userdata;
    uint64_t n;
    if (read(fd, &n, sizeof n) != sizeof n)
        return 0;
    Step step = head->step;
    head->step = STEP_NONE;
    if (step == STEP_DESTROY) {
        head->width = head->height = 0;
        g_clear_pointer(&head->surface, g_free);
    } else if (step == STEP_CREATE) {
        begin_monitors(head);
        return 0;
    }
    go_on(head);
    return 0;
}

/* ---- what is shown ---- */

static void tell_now(Head *head)
{
    (void) sd_event_now(head->event, CLOCK_MONOTONIC, &head->told);
    if (head->whole)
        head->told_whole = head->told;
    if (head->again)
        head->told_again = head->told;
    head->whole = head->again = false;
    (void) sd_event_source_set_enabled(head->tell, SD_EVENT_OFF);
    (void) sd_event_source_set_enabled(head->tell_late, SD_EVENT_OFF);
    pthread_mutex_lock(&head->lock);
    head->telling = true;
    pthread_mutex_unlock(&head->lock);
    spice_qxl_wakeup(&head->qxl);
}

static int on_tell(sd_event_source *source, void *userdata)
{
    tell_now(userdata);
    return 0;
}

static int on_tell_late(sd_event_source *source, uint64_t usec, void *userdata)
{
    tell_now(userdata);
    return 0;
}

static bool is_enabled(sd_event_source *source)
{
    int enabled = SD_EVENT_OFF;
    (void) sd_event_source_get_enabled(source, &enabled);
    return enabled != SD_EVENT_OFF;
}

/* When all that has come is done, so that what belongs together is told together. */
static void tell(Head *head, bool video)
{
    uint64_t now = 0, from = video ? head->told_again + VIDEO_USEC : head->whole ? 0 : head->told_whole + FRAME_USEC;
    if (!head->shown)
        return;
    (void) sd_event_now(head->event, CLOCK_MONOTONIC, &now);
    if (now < from) {
        if (!is_enabled(head->tell_late)) {
            (void) sd_event_source_set_time(head->tell_late, from);
            (void) sd_event_source_set_enabled(head->tell_late, SD_EVENT_ONESHOT);
        }
    } else if (!is_enabled(head->tell))
        (void) sd_event_source_set_enabled(head->tell, SD_EVENT_ONESHOT);
    else if (now > head->told + TELL_USEC)
        tell_now(head);
}

static void replace_picture(Head *head, Picture *picture)
{
    pthread_mutex_lock(&head->lock);
    picture_free(head->picture);
    head->picture = picture;
    head->shown = false;
    pthread_mutex_unlock(&head->lock);
    go_on(head);
}

int head_update(Head *head, const PictureRect *rect, const PictureSource *source)
{
    if (!head->picture)
        return -ERANGE;
    bool again = rect->width * rect->height >= VIDEO_PIXELS_MIN && memcmp(rect, &head->last, sizeof *rect) == 0, video;
    pthread_mutex_lock(&head->lock);
    int r = picture_update(head->picture, rect, source);
    video = r > 0 && again && picture_is_soft(head->picture, rect);
    pthread_mutex_unlock(&head->lock);
    head->last = *rect;
    if (r <= 0)
        return r;
    head->whole |= rect->width == picture_width(head->picture) && rect->height == picture_height(head->picture);
    head->again |= again;
    tell(head, video);
    return r;
}

int head_scanout(Head *head, uint32_t width, uint32_t height, const PictureSource *source)
{
    const PictureRect all = {.width = width, .height = height};
    if (!picture_source_fits(source, width, height))
        return -EINVAL;
    if (head->picture && width == picture_width(head->picture) && height == picture_height(head->picture))
        return head_update(head, &all, source);
    Picture *picture = picture_new(width, height);
    if (!picture)
        return -EINVAL;
    (void) picture_update(picture, &all, source);
    replace_picture(head, picture);
    return 1;
}

int head_resize(Head *head, uint32_t width, uint32_t height)
{
    Picture *picture = head->picture ? picture_resized(head->picture, width, height) : NULL;
    if (!picture)
        return -EINVAL;
    replace_picture(head, picture);
    return 1;
}

void head_disable(Head *head)
{
    if (head->picture)
        replace_picture(head, NULL);
}

/* ---- the cursor ---- */

static void tell_of_cursor(Head *head)
{
    if (head->shown)
        spice_qxl_wakeup(&head->qxl);
}

static QXLCursorCmd *new_place(const Head *head)
{
    QXLCursorCmd *command = g_new0(QXLCursorCmd, 1);
    command->release_info.id = (uintptr_t) command;
    command->type = head->cursor_visible ? QXL_CURSOR_MOVE : QXL_CURSOR_HIDE;
    command->u.position = (QXLPoint16) {.x = (int16_t) head->cursor_x, .y = (int16_t) head->cursor_y};
    return command;
}

int head_define_cursor(Head *head, uint32_t width, uint32_t height, uint32_t hot_x, uint32_t hot_y, const void *data, size_t size)
{
    if (width == 0 || height == 0 || width > CURSOR_MAX || height > CURSOR_MAX || hot_x > width || hot_y > height || size != (size_t) width * height * 4)
        return -EINVAL;
    Shape *shape = g_malloc0(sizeof(Shape) + size);
    memcpy(shape->pixels, data, size);
    shape->cursor.header = (QXLCursorHeader) {
        .unique = ++head->cursor_unique,
        .type = SPICE_CURSOR_TYPE_ALPHA,
        .width = (uint16_t) width,
        .height = (uint16_t) height,
        .hot_spot_x = (uint16_t) hot_x,
        .hot_spot_y = (uint16_t) hot_y,
    };
    shape->cursor.data_size = (uint32_t) size;
    shape->cursor.chunk.data_size = (uint32_t) size;
    G_STATIC_ASSERT(offsetof(Shape, pixels) == offsetof(Shape, cursor) + offsetof(QXLCursor, chunk) + offsetof(QXLDataChunk, data));
    QXLCursorCmd *command = &shape->command;
    command->release_info.id = (uintptr_t) shape;
    command->type = QXL_CURSOR_SET;
    command->u.set.visible = head->cursor_visible;
    command->u.set.position = (QXLPoint16) {.x = (int16_t) head->cursor_x, .y = (int16_t) head->cursor_y};
    command->u.set.shape = (uintptr_t) &shape->cursor;

    pthread_mutex_lock(&head->lock);
    g_free(head->shape);
    head->shape = command;
    pthread_mutex_unlock(&head->lock);
    tell_of_cursor(head);
    return 0;
}

void head_place_cursor(Head *head, int x, int y, bool visible)
{
    head->cursor_x = CLAMP(x, INT16_MIN, INT16_MAX);
    head->cursor_y = CLAMP(y, INT16_MIN, INT16_MAX);
    head->cursor_visible = visible;
    pthread_mutex_lock(&head->lock);
    g_free(head->place);
    head->place = new_place(head);
    pthread_mutex_unlock(&head->lock);
    tell_of_cursor(head);
}

/* ---- what clients want ---- */

/* 1: a screen can be of the size that a client wants. Asked without a wish, too. */
static int client_monitors_config(QXLInstance *qxl, VDAgentMonitorsConfig *wish)
{
    Head *head = head_of(qxl);
    if (wish && head->number < wish->num_of_monitors)
        head->wanted(head->number, wish->monitors[head->number].width, wish->monitors[head->number].height, head->userdata);
    else if (wish && wish->num_of_monitors > 0)
        head->wanted(head->number, 0, 0, head->userdata);
    return 1;
}

void head_set_device(Head *head, const char *address, uint32_t output)
{
    spice_qxl_set_device_info(&head->qxl, address, output, 1);
}

Head *head_new(sd_event *event, SpiceServer *server, unsigned number, HeadWanted wanted, void *userdata)
{
    static const QXLInterface interface = {
        .base = {SPICE_INTERFACE_QXL, "QEMU's display", SPICE_INTERFACE_QXL_MAJOR, SPICE_INTERFACE_QXL_MINOR},
        .attached_worker = attached_worker,
        .set_compression_level = set_compression_level,
        .get_init_info = get_init_info,
        .get_command = get_command,
        .req_cmd_notification = req_notification,
        .release_resource = release_resource,
        .get_cursor_command = get_cursor_command,
        .req_cursor_notification = req_notification,
        .notify_update = notify_update,
        .flush_resources = flush_resources,
        .async_complete = async_complete,
        .update_area_complete = update_area_complete,
        .set_client_capabilities = set_client_capabilities,
        .client_monitors_config = client_monitors_config,
    };
    g_autoptr(Head) head = g_new0(Head, 1);
    head->event = event;
    head->number = number;
    head->wanted = wanted;
    head->userdata = userdata;
    (void) pthread_mutex_init(&head->lock, NULL);
    head->completed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (head->completed_fd < 0 || sd_event_add_io(event, &head->completed, head->completed_fd, EPOLLIN, on_completed, head) < 0 ||
        sd_event_add_time(event, &head->tell_late, CLOCK_MONOTONIC, 0, 1, on_tell_late, head) < 0 ||
        sd_event_source_set_enabled(head->tell_late, SD_EVENT_OFF) < 0 || sd_event_add_defer(event, &head->tell, on_tell, head) < 0 ||
        sd_event_source_set_enabled(head->tell, SD_EVENT_OFF) < 0 ||
        sd_event_source_set_priority(head->tell, SD_EVENT_PRIORITY_IDLE) < 0)
        return NULL;
    head->qxl.base.sif = &interface.base;
    head->qxl.id = (int) number;
    if (spice_server_add_interface(server, &head->qxl.base) < 0) {
        head->qxl.base.sif = NULL;
        return NULL;
    }
    make_first_surface(head);
    return g_steal_pointer(&head);
}

void head_free(Head *head)
{
    if (!head)
        return;
    if (head->qxl.base.sif)
        spice_server_remove_interface(&head->qxl.base);
    sd_event_source_disable_unref(head->completed);
    sd_event_source_disable_unref(head->tell);
    sd_event_source_disable_unref(head->tell_late);
    close_fd(&head->completed_fd);
    picture_free(head->picture);
    g_free(head->surface);
    g_free(head->shape);
    g_free(head->place);
    (void) pthread_mutex_destroy(&head->lock);
    g_free(head);
}
