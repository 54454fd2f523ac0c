/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An architecture for which nobody has written a test guest yet: nothing can be proved. */
#include <errno.h>

#include "accel-guest.h"

int guest_create_vm(int kvm)
{
    return -EOPNOTSUPP;
}

int guest_prepare(Guest *guest)
{
    return -EOPNOTSUPP;
}

unsigned guest_milestone(const Guest *guest)
{
    return 0;
}

void guest_loop_on_host(uint64_t iterations)
{
}
