/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which USB device a word of the command line means: 1-2.3 is a port, 0951:1666 a device, 0951:1666:60A44C41 that with this serial number; all else
 * is a serial number. */

typedef struct UsbWanted {
    const char *port, *serial; /* parts of the word; NULL: any */
    char device[10];           /* "": any */
} UsbWanted;

UsbWanted usb_wanted_read(const char *text);
