/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The addresses of a VM, as its property Addresses has them. */

#include "json.h"

/* As objects with the members interface, mac, address and source. The caller frees. */
json_t *addresses_to_json(const json_t *property);
