/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-addresses.h"

#include <string.h>

static void card_free(void *userdata)
{
    GuestCard *card = userdata;
    g_free(card->section);
    g_array_unref(card->addresses);
    g_free(card);
}

GPtrArray *guest_cards_new(void)
{
    return g_ptr_array_new_with_free_func(card_free);
}

void guest_cards_add(GPtrArray *cards, const char *section, const struct ether_addr *mac)
{
    GuestCard *card = g_new(GuestCard, 1);
    *card = (GuestCard){.section = g_strdup(section), .mac = *mac, .addresses = g_array_new(FALSE, FALSE, sizeof(Address))};
    g_ptr_array_add(cards, card);
}

/* A bridge or VLAN in the guest may have its card's MAC too, and what it has counts. */
static GuestCard *find_card(GPtrArray *cards, const char *text)
{
    struct ether_addr mac;
    if (!text || mac_parse(text, &mac) < 0)
        return NULL;
    for (guint i = 0; i < cards->len; i++) {
        GuestCard *card = cards->pdata[i];
        if (memcmp(&card->mac, &mac, sizeof mac) == 0)
            return card;
    }
    return NULL;
}

static bool has_address(const GuestCard *card, const Address *address)
{
    for (guint i = 0; i < card->addresses->len; i++)
        if (address_equal(&g_array_index(card->addresses, Address, i), address))
            return true;
    return false;
}

static void read_address(GuestCard *card, const json_t *row)
{
    const char *text = json_string_value(json_object_get(row, "ip-address"));
    Address address;
    if (!text || strchr(text, '/') || address_parse(text, &address) < 0)
        return;
    /* With its prefix, since a network's own address is no host's. */
    json_int_t prefix = json_integer_value(json_object_get(row, "prefix"));
    Address placed = address;
    if (prefix > 0 && prefix <= (json_int_t) address.prefix)
        placed.prefix = (unsigned) prefix;
    if (address_is_host(&placed) && !has_address(card, &address))
        g_array_append_val(card->addresses, address);
}

void guest_cards_read(GPtrArray *cards, const json_t *answer)
{
    size_t i, j;
    const json_t *interface, *row;
    json_array_foreach(answer, i, interface)
    {
        GuestCard *card = find_card(cards, json_string_value(json_object_get(interface, "hardware-address")));
        json_array_foreach(json_object_get(interface, "ip-addresses"), j, row)
        {
            if (!card || card->addresses->len >= GUEST_ADDRESSES_MAX)
                break;
            read_address(card, row);
        }
    }
}

static bool card_equal(const GuestCard *a, const GuestCard *b)
{
    if (!g_str_equal(a->section, b->section) || memcmp(&a->mac, &b->mac, sizeof a->mac) != 0 || a->addresses->len != b->addresses->len)
        return false;
    for (guint i = 0; i < a->addresses->len; i++)
        if (!address_equal(&g_array_index(a->addresses, Address, i), &g_array_index(b->addresses, Address, i)))
            return false;
    return true;
}

bool guest_cards_equal(const GPtrArray *a, const GPtrArray *b)
{
    bool equal = a->len == b->len;
    for (guint i = 0; equal && i < a->len; i++)
        equal = card_equal(a->pdata[i], b->pdata[i]);
    return equal;
}
