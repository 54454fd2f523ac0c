/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Contact: what vmd says to vmd-spice, and what that says to vmd (spice-protocol.h). One vmd at a time; while there is none nothing is said. */

#include <stdbool.h>

#include <glib.h>
#include <systemd/sd-event.h>

typedef struct Contact Contact;

/* `words`: of the message, NULL-terminated; `fd`: came along, or -1, and is the handler's to take (it makes it -1) or is closed. False: it is not
 * a message that there is, and who sent it is left. */
typedef bool (*ContactMessage)(char **words, int *fd, void *userdata);

/* `listen_fd` is its from now on. NULL: it cannot be listened at. */
Contact *contact_new(sd_event *event, int listen_fd, ContactMessage message, void *userdata);
void contact_free(Contact *contact);

/* Lost where there is no vmd, or it does not read. */
void contact_say(Contact *contact, const char *format, ...) G_GNUC_PRINTF(2, 3);
