/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What display.c and display-remote.c share: the viewers of a VM and their connections. Nobody else includes this. */

#include "display.h"
#include "release.h"

/* What a caller's connections, and those of a remote client's session, come together in. */
typedef struct Viewer {
    Displays *displays;
    uint32_t id;
    size_t protocol;
    char *sender;      /* empty: was there before this vmd, and the bus may be another one, too; or it is remote */
    uid_t uid;
    pid_t pid;         /* 0: not known, or not yet */
    sd_bus_slot *ask;  /* the bus, for it */
    char *address;     /* NULL: no remote one */
    uint32_t session;  /* of a remote one, as QEMU counts them */
    uint64_t since;
    unsigned n;        /* connections */
    sd_event_source *leaving; /* until it is put out */
    uint64_t leaves_by;       /* at the latest; both on the loop's clock */
} Viewer;

typedef struct Connection {
    Displays *displays;
    Viewer *viewer;     /* NULL while it is opened, or has not said the password */
    uint64_t made;      /* when, on the loop's clock; 0: by a vmd before this one */
    uint64_t let_in;    /* by QEMU or vmd-spice, when; 0: not yet, or as above */
    char name[16];      /* what QEMU's end is bound to, in a folder that does not matter */
    int qemu, peer;     /* peer: until the caller has had it for a moment; remote: none, and `qemu` is the client's socket */
    char *kept;         /* as what systemd has `qemu`, too */
    sd_event_source *end;
    size_t protocol;
    char *sender;
    uid_t uid;
    char *host, *port;  /* of a remote one, as QEMU calls them; NULL: it is not */
    sd_event_source *limit, *held;
    DisplayOpened done; /* NULL: has been called */
    void *userdata;
} Connection;

struct Displays {
    Instance *instance;
    GPtrArray *viewers;     /* Viewer, the oldest first */
    GPtrArray *connections; /* Connection */
    unsigned n_made;
    uint32_t n_viewers_made;
    sd_event_source *tell;
    Release *release; /* NULL until a viewer has gone */
};

#define DISPLAY_CONNECTIONS_MAX 128U
#define DISPLAY_ANSWER_USEC (10 * G_USEC_PER_SEC)

/* Takes both; `peer` may be -1. */
Connection *connection_add(Instance *instance, int qemu, int peer, unsigned n, size_t protocol, const DisplayCaller *caller);
/* Gives it to QEMU; `added` comes with the answer, with the Connection. A negative errno. */
int connection_give(Connection *connection, QmpReply added);
void connection_close(Connection *connection);
/* QEMU has let it in. */
void connection_is_in(Connection *connection);
/* Frees one that was never a viewer's. QEMU may have yet to answer about it. */
void connection_drop(Connection *connection);
/* systemd keeps it for the next vmd. */
void connection_keep(Connection *connection);
int connection_on_end(sd_event_source *source, int fd, uint32_t events, void *userdata);

Viewer *viewer_add(Displays *displays, size_t protocol);
void displays_changed(Displays *displays);
/* All viewers of a type; NULL is fine. */
void displays_put_out(Displays *displays, const char *type);
const char *display_protocol(size_t protocol); /* "spice" */

/* ---- display-remote.c ---- */

/* Whether the socket is a remote client's, and then who that is. */
bool remote_name(Connection *connection);
char *remote_address(const Connection *connection); /* for people; a new string */
/* The remote client that an event of QEMU's is about, by its data. */
Connection *remote_find(Displays *displays, const json_t *data);
/* It has said the password, by the event's data. */
void remote_is_in(Connection *connection, const json_t *data);
/* A remote client's, whether a viewer has it or not. */
void remote_end(Connection *connection);
