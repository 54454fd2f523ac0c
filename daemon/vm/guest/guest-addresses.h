/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the guest agent says of the guest's addresses, made a list that can be believed as far as a guest can be: those of cards
 * that the VM has, known by their MAC, and only such as can be a host's own. Knows no VMs. */

#include <glib.h>
#include <jansson.h>

#include "address.h"

/* Of one card. */
#define GUEST_ADDRESSES_MAX 16U

typedef struct GuestCard {
    char *section; /* "lan" */
    struct ether_addr mac;
    GArray *addresses; /* Address */
} GuestCard;

/* Lists of cards, by their owner. */
GPtrArray *guest_cards_new(void);
void guest_cards_add(GPtrArray *cards, const char *section, const struct ether_addr *mac);

/* Gives the cards the addresses that an answer to guest-network-get-interfaces has for them; whatever else it has is passed over. */
void guest_cards_read(GPtrArray *cards, const json_t *answer);

bool guest_cards_equal(const GPtrArray *a, const GPtrArray *b);
