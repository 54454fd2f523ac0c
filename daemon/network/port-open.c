/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opening a port, step by step:
 *
 *     port_open     nothing yet: the answer never comes before the call returns
 *     on_begin      the network is made to run            perhaps with its start
 *     on_network    address, tap, bridge, record          no waiting
 *     on_allowed    systemd has let vmd open macvtaps     only where it could not
 *     on_rules      its forwards and filter are there     in a thread; only where it has some */

#include "borrow.h"
#include "manager.h"
#include "passt.h"
#include "port.h"

struct PortOpening {
    Manager *manager;
    PortWish *wish;
    PortDone done;
    void *userdata;
    sd_event_source *begin;
    Borrow *borrow;
    Passt *passt;
    Port *port;
    Tap tap;
    sd_bus_slot *allowing;
    unsigned n_tries; /* since systemd was asked */
};

/* The device policy of vmd's own unit has a number in it for macvtaps only when the kernel knew them as the unit started; it learns
 * of them when the first one is made. */
#define OWN_UNIT "vmd.service"
#define MACVTAPS "char-macvtap"
#define TRY_USEC (20 * 1000)
#define TRIES_MAX 10U

static void opening_free(PortOpening *opening)
{
    sd_event_source_disable_unref(opening->begin);
    sd_bus_slot_unref(opening->allowing);
    borrow_cancel(opening->borrow);
    passt_cancel(opening->passt);
    port_wish_free(opening->wish);
    g_free(opening);
}

static void finish(PortOpening *opening, const Error *error)
{
    PortDone done = opening->done;
    void *userdata = opening->userdata;
    Tap tap = opening->tap;
    Port *port = opening->port;
    if (error && port) {
        tap_close(&tap);
        port_close(port);
    }
    opening_free(opening);
    done(error ? NULL : port, error ? NULL : &tap, error, userdata);
}

static void on_rules(const Error *error, void *userdata)
{
    finish(userdata, error);
}

static int on_try(sd_event_source *source, uint64_t usec, void *userdata);
static void make(PortOpening *opening, Network *network);

static bool try_later(PortOpening *opening)
{
    opening->begin = sd_event_source_disable_unref(opening->begin);
    return opening->n_tries++ < TRIES_MAX &&
        sd_event_add_time_relative(opening->manager->event, &opening->begin, CLOCK_MONOTONIC, TRY_USEC, 1, on_try, opening) >= 0;
}

static int on_allowed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    make(userdata, NULL);
    return 0;
}

/* Whether a macvtap that vmd may not open is to be tried again. */
static bool allow_macvtaps(PortOpening *opening, const Error *error)
{
    if (opening->wish->kind != PORT_MACVTAP || error->code != ERROR_UNSUPPORTED)
        return false;
    if (opening->allowing)
        return try_later(opening);
    return unit_allow_devices(opening->manager->scopes, OWN_UNIT, MACVTAPS, on_allowed, opening, &opening->allowing) >= 0;
}

static void make(PortOpening *opening, Network *network)
{
    g_autoptr(Error) error = NULL;
    opening->port = port_add(opening->manager, network, opening->wish, &opening->tap, &error);
    if (opening->port && (opening->port->filter || opening->port->forwards->len > 0))
        return networks_apply_rules(opening->manager, on_rules, opening);
    if (opening->port || !allow_macvtaps(opening, error))
        finish(opening, error);
}

static int on_try(sd_event_source *source, uint64_t usec, void *userdata)
{
    make(userdata, NULL);
    return 0;
}

static void on_network(const Error *error, void *userdata)
{
    PortOpening *opening = userdata;
    Network *network = manager_find_network(opening->manager, opening->wish->target);
    g_autoptr(Error) gone = NULL;
    if (!error && !network)
        error_set(&gone, ERROR_NO_SUCH_NETWORK, opening->wish->target, NULL, "it has been deleted meanwhile");
    if (error || gone)
        return finish(opening, error ? error : gone);
    make(opening, network);
}

/* From passt too. */
static void on_borrowed(Tap *tap, const Error *error, void *userdata)
{
    PortOpening *opening = userdata;
    opening->borrow = NULL;
    opening->passt = NULL;
    if (tap)
        opening->tap = *tap;
    finish(opening, error);
}

static int on_begin(sd_event_source *source, void *userdata)
{
    PortOpening *opening = userdata;
    Manager *manager = opening->manager;
    g_autoptr(Error) error = NULL;
    opening->begin = sd_event_source_disable_unref(opening->begin);
    if (opening->wish->kind == PORT_USER) {
        opening->passt = passt_open(manager, opening->wish, on_borrowed, opening, &error);
        if (!opening->passt)
            finish(opening, error);
        return 0;
    }
    if (manager->user) {
        opening->borrow = borrow_tap(manager, opening->wish, on_borrowed, opening, &error);
        if (!opening->borrow)
            finish(opening, error);
        return 0;
    }
    if (opening->wish->kind != PORT_NETWORK) {
        make(opening, NULL);
        return 0;
    }
    Network *network = manager_find_network_or_error(manager, opening->wish->target, &error);
    if (network)
        network_start(network, false, on_network, opening);
    else
        finish(opening, error);
    return 0;
}

PortOpening *port_open(Manager *manager, const PortWish *wish, PortDone done, void *userdata)
{
    PortOpening *opening = g_new0(PortOpening, 1);
    opening->manager = manager;
    opening->done = done;
    opening->userdata = userdata;
    opening->wish = port_wish_copy(wish);
    if (sd_event_add_defer(manager->event, &opening->begin, on_begin, opening) < 0)
        g_error("out of memory");
    return opening;
}

void port_open_cancel(PortOpening *opening)
{
    if (!opening)
        return;
    Manager *manager = opening->manager;
    Network *network = opening->manager->user ? NULL : manager_find_network(manager, opening->wish->target);
    if (network)
        network_start_forget(network, opening);
    networks_forget_rules(manager, opening);
    if (opening->port) {
        tap_close(&opening->tap);
        port_close(opening->port);
    }
    opening_free(opening);
    if (network)
        network_check_wanted(network);
}
