/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doctor: why VMs have no network, and what mends it. */
#include <string.h>

#include "connect.h"
#include "json.h"
#include "pager.h"
#include "report.h"
#include "terminal.h"
#include "verb.h"

typedef struct Count {
    unsigned all, errors, warnings;
} Count;

static int read_findings(Client *client, json_t *findings)
{
    g_autoptr(sd_bus_message) reply = NULL;
    const char *thing, *level, *text, *remedy, *name = client->n_arguments > 0 ? client->arguments[0] : "";
    int r = client_call(client, NULL, MANAGER_INTERFACE, "Diagnose", &reply, "s", name);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_enter_container(reply, 'a', "(ssss)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(ssss)", &thing, &level, &text, &remedy)) > 0)
        json_array_append_new(findings, json_pack("{ss ss ss ss}", "thing", thing, "level", level, "found", text, "remedy", remedy));
    return r < 0 ? report_errno(r, "vmd: cannot read its answer") : EXIT_DONE;
}

static void print_finding(const json_t *finding)
{
    static const struct {
        const char *level, *mark;
        Style style;
    } marks[] = {{"error", "×", STYLE_BAD}, {"warning", "!", STYLE_WARN}, {"hint", "•", STYLE_DIM}, {"ok", "✓", STYLE_GOOD}};
    g_autofree char *thing = terminal_clean(json_get_string(finding, "thing")), *found = terminal_clean(json_get_string(finding, "found"));
    g_autofree char *remedy = terminal_clean(json_get_string(finding, "remedy"));
    const char *mark = "?";
    Style style = STYLE_NONE;
    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++)
        if (strcmp(marks[i].level, json_get_string(finding, "level")) == 0) {
            mark = marks[i].mark;
            style = marks[i].style;
        }
    printf("%s%s%s %s: %s\n", terminal_style(stdout, style), mark, terminal_normal(stdout, style), thing, found);
    if (*remedy)
        printf("      %s%s%s\n", terminal_style(stdout, STYLE_BOLD), remedy, terminal_normal(stdout, STYLE_BOLD));
}

static Count count(const json_t *findings)
{
    Count count = {.all = (unsigned) json_array_size(findings)};
    size_t i;
    json_t *finding;
    json_array_foreach(findings, i, finding)
    {
        count.errors += strcmp(json_get_string(finding, "level"), "error") == 0;
        count.warnings += strcmp(json_get_string(finding, "level"), "warning") == 0;
    }
    return count;
}

int verb_doctor(Client *client)
{
    g_autoptr(json_t) findings = json_array();
    size_t i;
    json_t *finding;
    int r = read_findings(client, findings);
    if (r != EXIT_DONE)
        return r;
    const Count n = count(findings);
    r = n.errors > 0 ? EXIT_FAILED : EXIT_DONE;
    if (client_json(client)) {
        json_print(client, findings);
        return r;
    }
    pager_open(client->no_pager, false);
    json_array_foreach(findings, i, finding)
        if (client->full || strcmp(json_get_string(finding, "level"), "ok") != 0)
            print_finding(finding);
    if (client->quiet)
        return r;
    if (n.errors + n.warnings == 0)
        printf("%u things looked at, nothing wrong.\n", n.all);
    else
        printf("%u things looked at: %u error%s, %u warning%s.\n", n.all, n.errors, n.errors == 1 ? "" : "s", n.warnings, n.warnings == 1 ? "" : "s");
    return r;
}
