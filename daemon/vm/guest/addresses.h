/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Addresses: what is known of the addresses that a running guest has, and who says so. Called by vm-dbus.c. */

#include <systemd/sd-bus.h>

#include "vm.h"

/* Appends a(ssss): section, MAC, address, source. Returns a negative errno. */
int vm_append_addresses(VM *vm, sd_bus_message *reply);
