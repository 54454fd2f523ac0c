/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An nft that the kernel keeps waiting, and that is given up, never has the last word: this program's nft_run() stands in the place
 * of the real one, and does not come back before it is let go. Takes as long as the firewall has patience, twice. */
#include "firewall.h"

#include <string.h>

#include "nft.h"

static GMutex lock;
static GCond changed;
static bool stuck;
static GPtrArray *begun, *landed; /* texts; under the lock */

bool nft_run(const char *commands, char **ret_output, Error **ret_error)
{
    g_mutex_lock(&lock);
    g_ptr_array_add(begun, g_strdup(commands));
    while (stuck)
        g_cond_wait(&changed, &lock);
    g_ptr_array_add(landed, g_strdup(commands));
    g_mutex_unlock(&lock);
    return true;
}

static void on_done(const Error *error, void *userdata)
{
    *(int *) userdata = error ? (int) error->code : -1;
}

static sd_event *event;

static int apply(Firewall *firewall, const char *bridge)
{
    g_autoptr(FirewallState) state = firewall_state_new();
    FirewallNetwork *n = g_new(FirewallNetwork, 1);
    *n = (FirewallNetwork){.bridge = g_strdup(bridge), .addresses = g_array_new(FALSE, FALSE, sizeof(Address))};
    g_ptr_array_add(state->networks, n);
    int outcome = -2;
    firewall_apply(firewall, state, false, on_done, &outcome);
    while (!firewall_is_idle(firewall))
        g_assert_cmpint(sd_event_run(event, UINT64_MAX), >=, 0);
    return outcome;
}

static void late(void)
{
    Firewall *firewall = firewall_new(event);
    stuck = true;
    g_assert_cmpint(apply(firewall, "first"), ==, ERROR_TIMED_OUT);
    g_assert_cmpint(apply(firewall, "second"), ==, ERROR_TIMED_OUT);
    g_mutex_lock(&lock);
    g_assert_cmpuint(begun->len, ==, 1); /* no second one while one is stuck */
    stuck = false;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
    g_assert_cmpint(apply(firewall, "third"), ==, -1);
    g_mutex_lock(&lock);
    g_assert_nonnull(strstr(begun->pdata[0], "\"first\""));
    g_assert_nonnull(strstr(landed->pdata[landed->len - 1], "\"third\""));
    g_mutex_unlock(&lock);
    firewall_free(firewall);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    begun = g_ptr_array_new_with_free_func(g_free);
    landed = g_ptr_array_new_with_free_func(g_free);
    g_assert_cmpint(sd_event_new(&event), ==, 0);
    g_test_add_func("/net-firewall-late/late", late);
    int r = g_test_run();
    sd_event_unref(event);
    g_ptr_array_unref(begun);
    g_ptr_array_unref(landed);
    return r;
}
