/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where the arm64 test guest has its things; shared by its assembly and accel-guest-arm.c. */

#define ARM_CODE 0x1000
#define ARM_TABLE 0x4000
#define ARM_PORT 0x10000000 /* no memory is there */
