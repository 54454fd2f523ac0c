/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Core: spice-server's timers and watches on sd-event. */

#include <spice.h>
#include <systemd/sd-event.h>

/* `event` is borrowed, and the interface is the only one; it lives as long as the process. */
SpiceCoreInterface *core_interface(sd_event *event, void (*channel_event)(int event, SpiceChannelEventInfo *info));
