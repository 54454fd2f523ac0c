/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* vmd-guard: leader of a VM's scope and parent of its QEMU; the contract between it and vmd.
 *
 * It is what lets a VM live without the daemon: it turns systemd's KillSignal= into an ACPI power button,
 * keeps QEMU's exit status and last words, and serves the serial console to any number of watchers. It is
 * linked statically and allocates nothing after its start, since there is one per VM. It exits when QEMU has
 * ended and the status is written.
 *
 *     vmd-guard OPTIONS -- QEMU ARGUMENT...
 *
 *   --name=NAME          the VM's name, for messages
 *   --status=FD          a regular file, writable: see "status file"
 *   --qmp=FD             connected stream socket to a monitor of QEMU's that is the guard's own
 *   --console=FD         connected stream socket to the console's chardev (optional, with the next two)
 *   --console-listen=FD  listening unix stream socket: whoever connects gets what was printed since boot (as
 *                        far as the log reaches), then what comes, and may type; at most 32 at a time
 *   --console-log=FD     a regular file, read-write, empty: the log itself; see "console log"
 *   --log-size=BYTES     how much of the console log is kept (default 1 MiB, at least 64 KiB)
 *   --go=FD              read end of a pipe: QEMU is started on the first byte; end of file without one
 *                        means that the start was given up, as does any of the signals below before it: exit
 * 0 without a status. Without --go QEMU starts at once
 *   --uid=UID --gid=GID  QEMU's; --groups=GID,... its supplementary groups. Without them no id is changed
 *   --guard-uid=UID --guard-gid=GID   the guard's own, taken after QEMU has been forked; with --uid only
 *   --press-interval=USEC how long after a press of the power button it is pressed again (default 10 s; 0:
 * never)
 *   --bind=PATH, --bind-read-only=PATH   what QEMU sees of the host beside the programs, under the same name
 *   --root=PATH          a folder that the programs come from instead of the host's root: its /usr, its links to it and its loader's cache. With a
 *                        jail only; nothing in it leads out of it
 *   --device=PATH        a character device of the host, in /dev/vfio or /dev/dri, that QEMU gets in its jail as its own, and may open where the scope
 *                        lets it; of one in /dev/dri also what sysfs says of it. Without --uid it is the host's node
 *   --locked-memory=BYTES how much memory QEMU may lock (default: as the guard)
 *   --tls-ca=FD --tls-cert=FD --tls-key=FD   PEM files that QEMU finds copies of in GUARD_TLS, by the names that it has for them. It is then
 *                        given sockets of the host's network, and has no connect(2), by which one could be made to lead elsewhere
 *   --helper=yes         the program is not QEMU but one that works for it: helper.h. Instead of --qmp and what is the console's:
 *                        (--go holds the helper back in the same way)
 *   --life=FD            a pidfd of the VM's guard, whose end is the helper's
 *   --probe=yes          it works for no VM: whoever is asked what it can do, and --life= is vmd's
 *   --own=PATH           a folder below vmd's state that it sees under the same name, and that its uid gets with the files in it
 *   --file-size=BYTES    how large a file it can make (default: no limit)
 *   --tree=PATH --tree-fd=FD   a folder that it serves a guest, and what PATH is by vmd's word: share-tree.h
 *   --tree-read-only=yes it may not write there
 *   --owner-uid=UID --owner-gid=GID --owner-groups=GID,...   as whom it does that; with --uid only
 *   --jail=no            leaves the guard and QEMU in vmd's namespaces (jail.h), for tests
 *   --filter=no          leave out the guard's system call filter, for debuggers that live in the process
 *
 * stdin is /dev/null; stdout and stderr are where the guard logs (a journal stream, sd-daemon(3) level
 * prefixes are understood). QEMU's stdout and stderr are a pipe to the guard, which passes whole lines on
 * (cleaned of control characters, at most 200 a second after the first 1000) and remembers the last 4 KiB.
 * All other descriptors without FD_CLOEXEC are QEMU's; the guard closes its copies.
 *
 * Signals: SIGRTMIN+4 presses the power button (and wakes a suspended or resumes a paused guest first), again
 * each interval, until QEMU is gone. SIGUSR1 says "vmd is about to kill QEMU on purpose": the end that
 * follows is then "terminated", and the guard exits 0. SIGTERM, SIGINT, SIGHUP: the same mark, QEMU gets its
 * own signal from whoever sent it. QEMU has SIGRTMIN+4 ignored, all other signals default, PR_SET_PDEATHSIG
 * SIGKILL, no_new_privs, no capability.
 *
 * The guard's real and saved uid are its own, so that QEMU can neither signal nor trace it; its effective uid
 * is QEMU's, because the kernel sends the parent-death signal with the dying parent's credentials.
 *
 * Status file: a key file, written in one go when QEMU has been forked and the guard is confined, and once
 * more when QEMU has ended:
 *
 *     [Guard]
 *     Pid=4711            QEMU's
 *     Ended=yes           only at the end, with what follows
 *     Executed=no         only when QEMU could not be executed; Output= then says why
 *     Code=0              exit code, or
 *     Signal=11           the signal that ended it
 *     Reason=guest-shutdown   the last SHUTDOWN event's reason, in QEMU's words ([a-z0-9-]), or "terminated"
 *     Panicked=yes        GUEST_PANICKED was seen, and no RESET after it
 *     Output=...          the last 4 KiB of QEMU's output, cleaned, C-escaped as g_strcompress() reads it
 *                         (read it with g_key_file_get_value())
 *
 * Console log: bytes as QEMU sent them, at their offset since boot. The oldest are given back to the file
 * system by hole punching, so the file begins with a hole (lseek(2), SEEK_DATA) and its size only grows; when
 * the file system is full, older text goes first.
 *
 * Exit status of the guard: 0 when QEMU exited with 0 and the guest did not panic, or was terminated on
 * purpose; QEMU's own code; 128+N after signal N; 70 after a panic (whatever QEMU's code); 71 when QEMU could
 * not be executed; 64 for wrong options. */

/* SIGRTMIN+4 as systemd, and glibc, count; other libcs begin elsewhere. */
#define GUARD_SIGNAL_POWER 38

/* QEMU's and the guard's uids of a running VM: "vm" and "vn" in hex and 16 bits, from 1 on, that no other running VM
 * has. Nobody else uses them: above 16 bits, outside systemd's container ranges (systemd's UIDS-GIDS). */
#define GUARD_QEMU_UIDS 0x766d0000U
#define GUARD_OWN_UIDS 0x766e0000U
#define GUARD_UID_COUNT 0xfffeU

/* Those of helpers: a range like these for each kind of them (vm/helper/helpers.h). */
#define GUARD_HELPER_UIDS 0x766f0000U
#define GUARD_HELPER_KINDS 7U

/* Those of QEMUs that are asked what they can do, and of their guards, in two halves. */
#define GUARD_PROBE_UIDS (GUARD_HELPER_UIDS + (GUARD_HELPER_KINDS << 16))
#define GUARD_PROBE_COUNT 0x7fffU
#define GUARD_UIDS_END (GUARD_PROBE_UIDS + 0x10000U)

/* Where QEMU finds what --tls-ca=, --tls-cert= and --tls-key= are, and how they are called there, in this order. */
#define GUARD_TLS "/tls"
#define GUARD_TLS_NAMES "ca-cert.pem", "server-cert.pem", "server-key.pem"
#define GUARD_TLS_MAX 3

/* Where a helper with --tree= sees it. */
#define GUARD_TREE "/share"

#define GUARD_EXIT_USAGE 64
#define GUARD_EXIT_PANICKED 70
#define GUARD_EXIT_EXEC 71
#define GUARD_STATUS_GROUP "Guard"
#define GUARD_OUTPUT_MAX 4096
#define GUARD_WATCHERS_MAX 32
