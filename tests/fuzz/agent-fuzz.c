/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer target: what a guest says on its agent's port.
 *
 * The input is what arrives, in pieces: a byte of 254 ends a piece, so that lines are cut in all places, one of 253 makes a call,
 * and one of 252 stands for the number that was last asked for. Every call must be answered exactly once, with nothing left; and
 * each result is read for addresses, of which there must be no more than are taken of a card, all fit to be a host's. */

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "guest-addresses.h"

#define CALLS_MAX 32U
#define PIECE_MAX 65536U
#define CALL_USEC (60 * G_USEC_PER_SEC)

static unsigned n_calls, n_answers, n_closed;

static void read_addresses(const json_t *result)
{
    static const struct ether_addr macs[] = {{{0x52, 0x54, 0, 1, 2, 3}}, {{0x52, 0x54, 0, 4, 5, 6}}};
    GPtrArray *cards = guest_cards_new();
    for (size_t i = 0; i < G_N_ELEMENTS(macs); i++)
        guest_cards_add(cards, i == 0 ? "a" : "b", &macs[i]);
    guest_cards_read(cards, result);
    for (guint i = 0; i < cards->len; i++) {
        const GuestCard *card = cards->pdata[i];
        if (card->addresses->len > GUEST_ADDRESSES_MAX)
            __builtin_trap();
        for (guint j = 0; j < card->addresses->len; j++)
            if (!address_is_host(&g_array_index(card->addresses, Address, j)))
                __builtin_trap();
    }
    if (!guest_cards_equal(cards, cards))
        __builtin_trap();
    g_ptr_array_unref(cards);
}

static void on_reply(Agent *agent, const json_t *result, const Error *error, void *userdata)
{
    if (!result == !error)
        __builtin_trap();
    if (result)
        read_addresses(result);
    n_answers++;
}

static void on_closed(Agent *agent, void *userdata)
{
    if (n_closed++ > 0 || agent_answers(agent))
        __builtin_trap();
}

static const AgentHandlers handlers = {.closed = on_closed};

static void make_call(Agent *agent)
{
    if (n_calls < CALLS_MAX && agent_call(agent, "guest-network-get-interfaces", NULL, CALL_USEC, on_reply, NULL) >= 0)
        n_calls++;
}

/* Reads what was sent; the digits of the last number in it replace those there are. */
static void hear(int fd, char digits[static 32])
{
    static char text[PIECE_MAX];
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[n < 0 ? 0 : n] = '\0';
    for (const char *id = text; (id = strstr(id, "\"id\":")); id++) {
        size_t length = strspn(id + 5, "0123456789");
        if (length > 31)
            __builtin_trap();
        memcpy(digits, id + 5, length);
        digits[length] = '\0';
    }
}

static void run(sd_event *event)
{
    while (sd_event_run(event, 0) > 0)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char piece[PIECE_MAX];
    char digits[32] = "";
    sd_event *event = NULL;
    Agent *agent = NULL;
    int fds[2];

    n_calls = n_answers = n_closed = 0;
    if (sd_event_new(&event) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
        agent_new(event, fds[0], &handlers, NULL, &agent) < 0)
        __builtin_trap();
    make_call(agent);
    while (size > 0) {
        size_t n = 0, length = 0;
        hear(fds[1], digits);
        for (; n < size && data[n] != 254 && data[n] != 253 && length + sizeof digits <= sizeof piece; n++) {
            size_t part = data[n] == 252 ? strlen(digits) : 1;
            memcpy(piece + length, data[n] == 252 ? digits : (const char *) data + n, part);
            length += part;
        }
        if (length > 0)
            (void) send(fds[1], piece, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        run(event);
        if (n < size && data[n] >= 253) {
            if (data[n] == 253)
                make_call(agent);
            n++;
        }
        data += n;
        size -= n;
    }
    close(fds[1]);
    run(event);
    if (n_closed != 1 || n_answers != n_calls)
        __builtin_trap();
    agent_free(agent);
    sd_event_unref(event);
    return 0;
}
