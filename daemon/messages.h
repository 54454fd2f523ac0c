/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* MESSAGE_ID= of the journal entries that a program may look for; documented in vmd(8). They never change. */

#define MESSAGE_STARTED "7334d8c2a0ff4fdd8edebda3b76c20d7"
#define MESSAGE_STOPPED "0f0655528cbc403d8a9f0276c39bcee0"
#define MESSAGE_CRASHED "cf300719f3394541bc4acc58f0e21dd1"
#define MESSAGE_SAVED "979d4a013fba46e9af909e2285147f77"
#define MESSAGE_PAUSED "e6b5043e5f61488696b5f6462683976a"
