/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What vmd and vmd-spawn say to each other, over a SOCK_SEQPACKET socket: one request at a time, of messages that each carry
 * some descriptors of the guard-to-be, and a last one that has the rest; then one reply. Or of one message, for a socket. */

#include <stdint.h>

#define SPAWN_SOCKET "/run/vmd/spawn"
#define SPAWN_FDS_PER_MESSAGE 128 /* SCM_MAX_FD is 253 */
#define SPAWN_FDS_MAX 2048
#define SPAWN_TEXT_MAX (2U << 20)
#define SPAWN_ARGUMENTS_MAX 16384

typedef enum SpawnKind {
    SPAWN_FDS, /* descriptors of the guard's, and the numbers that they have there */
    SPAWN_GO,  /* descriptors: a memfd of the arguments, each with its NUL; the output; a cgroup, if any */
    SPAWN_LISTEN, /* for a socket that listens (listen.h) */
} SpawnKind;

typedef enum ListenFamily { LISTEN_ANY, LISTEN_IPV4, LISTEN_IPV6, _LISTEN_FAMILY_MAX } ListenFamily;

typedef struct SpawnListen {
    uint32_t family; /* LISTEN_ANY: all addresses of both */
    uint8_t address[16];
    uint16_t first, last; /* the first of these ports that is free */
} SpawnListen;

typedef struct SpawnRequest {
    uint32_t id;
    uint32_t kind;
    uint32_t n_fds;
    union {
        int32_t numbers[SPAWN_FDS_PER_MESSAGE];
        SpawnListen listen;
    };
} SpawnRequest;

/* With the guard's pidfd, or the socket, where error is 0. */
typedef struct SpawnReply {
    uint32_t id;
    int32_t error; /* an errno */
    int32_t pid; /* 0: of a socket */
} SpawnReply;
