/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* vmd-spice: a SPICE server for a QEMU that was built without one; the contract between it and vmd.
 *
 *     vmd-spice OPTIONS
 *
 *   --listen=FD       a unix socket (SOCK_SEQPACKET) that listens: vmd connects there, and each later vmd. Who came last is listened to
 *   --ports=NAME,...  the sockets of QEMU's that stand for the guest's devices, SPICE_SOCKET_*
 *   --name=NAME       what clients show in their title
 *   --source=dbus|vnc  which way QEMU's display is seen
 *   --heads=N         how many consoles of QEMU's there are; by VNC one
 *   --clipboard=yes|no, --files=yes|no   whether clients may share the clipboard, and send files
 *   --sound=yes|no    whether QEMU's sound is to be had by its display
 *   --tls=yes         its certificate, and key, are in GUARD_TLS; clients that are given without their being known have to speak TLS
 *
 * It lives in the VM's scope, in a jail of its own (vm/helper/helpers.h), comes when somebody wants to look and may go at any moment: the guest does
 * not notice. It has no monitor of QEMU's. What only that can do, vmd does for it: to add it as QEMU's display, to tell when a port is opened in
 * the guest. Nor does it connect to anything itself: it sees no socket, and may not where it is given connections of the host's network (guard/qemu-filter.h).
 *
 * Messages are of words, one message each, of SPICE_MESSAGE_MAX bytes at most. vmd says, and `h` is a descriptor that comes along:
 *
 *   display h         behind it is QEMU's end of -display dbus,p2p=yes, or QEMU's VNC server
 *   client h          a connection of one who is let in
 *   stranger h        one of a network, who has to speak TLS and to say the password
 *   password SECONDS PASSWORD   and until when it holds, after which there is none
 *   port NAME 0|1     whether the guest has it open; of SPICE_SOCKET_AGENT
 *   socket NAME h     a connection to that socket of QEMU's, which was wanted
 *   no-socket NAME    there is none to be had
 *   ping N
 *
 * It says:
 *
 *   pong N            from the loop that does all the work: where this stays away it hangs
 *   display-lost      QEMU has left: another `display` is wanted
 *   wants NAME        a connection to that socket of QEMU's
 *   initialized ADDRESS HOST PORT ID   a connection is a client's. ADDRESS is what the socket is bound to, HOST and PORT are its peer's, each "-"
 *                     where there is none; ID is the same for all connections of a client
 *   disconnected ADDRESS HOST PORT ID
 *
 * What else comes is a fault: the other side is left. */

#define SPICE_MESSAGE_MAX 512

#define SPICE_SOCKET_AGENT "vdagent"
#define SPICE_SOCKET_FILES "webdav"
#define SPICE_SOCKET_USB "redir" /* "redir0" ... */
#define SPICE_USB_MAX 8
#define SPICE_HEADS_MAX 16
