/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the guard takes for an event, and what it must not. */

#include "qmp-line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *line;
    QmpLineType type;
    const char *reason;
} cases[] = {
        {"{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}", QMP_LINE_GREETING, ""},
        {"{\"return\": {}}", QMP_LINE_ANSWER, ""},
        {"{\"return\": [{\"event\": \"SHUTDOWN\"}], \"id\": 1}\r", QMP_LINE_ANSWER, ""},
        {"{\"error\": {\"class\": \"GenericError\", \"desc\": \"a \\\"word\\\"\"}}", QMP_LINE_ANSWER, ""},
        {" { \"event\" : \"SHUTDOWN\" , \"data\" : { \"guest\" : true , \"reason\" : \"guest-shutdown\" } } ",
                QMP_LINE_SHUTDOWN, "guest-shutdown"},
        {"{\"data\": {\"reason\": \"host-signal\"}, \"event\": \"SHUTDOWN\", \"timestamp\": {\"seconds\": "
         "1}}",
                QMP_LINE_SHUTDOWN, "host-signal"},
        {"{\"event\": \"RESET\", \"data\": {\"guest\": false, \"reason\": \"host-qmp-system-reset\"}}",
                QMP_LINE_RESET, "host-qmp-system-reset"},
        {"{\"event\": \"GUEST_PANICKED\", \"data\": {\"action\": \"pause\"}}", QMP_LINE_PANICKED, ""},
        {"{\"event\": \"SHUTDOWN\"}", QMP_LINE_SHUTDOWN, ""},
        {"{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"UPPER\"}}", QMP_LINE_SHUTDOWN, ""},
        {"{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"a\\nb\"}}", QMP_LINE_SHUTDOWN, ""},
        {"{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"a b\"}}", QMP_LINE_SHUTDOWN, ""},
        {"{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"0123456789012345678901234567890\"}}",
                QMP_LINE_SHUTDOWN, "0123456789012345678901234567890"},
        {"{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"01234567890123456789012345678901\"}}",
                QMP_LINE_SHUTDOWN, ""},
        {"{\"event\": \"SHUTDOWN\", \"data\": {\"x\": {\"reason\": \"deep\"}}}", QMP_LINE_SHUTDOWN, ""},
        {"{\"event\": \"SHUTDOWN\", \"data\": [\"reason\", \"list\"]}", QMP_LINE_SHUTDOWN, ""},
        {"{\"event\": \"SHUTDOWN\", \"data\": \"reason\"}", QMP_LINE_SHUTDOWN, ""},
        {"{\"event\": \"STOP\"}", QMP_LINE_OTHER, ""},
        {"{\"event\": \"SHUTDOWN2\"}", QMP_LINE_OTHER, ""},
        {"{\"event\": [\"SHUTDOWN\"]}", QMP_LINE_OTHER, ""},
        {"{\"event\": \"SHUT\\u0044OWN\"}", QMP_LINE_OTHER, ""},
        {"{\"x\": {\"event\": \"SHUTDOWN\"}}", QMP_LINE_OTHER, ""},
        {"{\"x\": [{\"event\": \"SHUTDOWN\"}]}", QMP_LINE_OTHER, ""},
        {"{\"x\": \"\\\", \\\"event\\\": \\\"SHUTDOWN\"}", QMP_LINE_OTHER, ""},
        {"{\"x\\\\\": \"\\\\\", \"y\": \"\\\"event\\\": \\\"SHUTDOWN\\\"\"}", QMP_LINE_OTHER, ""},
        {"{\"event\": \"SHUTDOWN\"", QMP_LINE_OTHER, ""},
        {"[{\"event\": \"SHUTDOWN\"}]", QMP_LINE_OTHER, ""},
        {"\"event\": \"SHUTDOWN\"", QMP_LINE_OTHER, ""},
        {"", QMP_LINE_OTHER, ""},
        {"{", QMP_LINE_OTHER, ""},
        {"{}", QMP_LINE_OTHER, ""},
        {"}{", QMP_LINE_OTHER, ""},
        {"{\"event\"}", QMP_LINE_OTHER, ""},
        {"{\"event\":}", QMP_LINE_OTHER, ""},
        {"{\"event\":\"\\", QMP_LINE_OTHER, ""},
        {"{\"event\":]]]]", QMP_LINE_OTHER, ""},
};

/* Reads a copy that ends where the line ends, so that a sanitizer sees a step too far. */
static QmpLineType read_copy(const char *line, size_t n, char reason[static QMP_REASON_MAX])
{
    char *copy = malloc(n > 0 ? n : 1);
    QmpLineType type;

    memcpy(copy, line, n);
    type = qmp_line_read(copy, n, reason);
    free(copy);
    return type;
}

int main(void)
{
    char reason[QMP_REASON_MAX];
    int failures = 0;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = strlen(cases[i].line);
        QmpLineType type = read_copy(cases[i].line, n, reason);

        if (type != cases[i].type || (type != QMP_LINE_OTHER && strcmp(reason, cases[i].reason) != 0)) {
            printf("%s: type %d, reason \"%s\"\n", cases[i].line, (int) type, reason);
            failures++;
        }
        /* No part of an object is one. */
        while (n > 0 && cases[i].line[n - 1] != '}')
            n--;
        while (n-- > 0) {
            if (read_copy(cases[i].line, n, reason) != QMP_LINE_OTHER) {
                printf("%.*s: taken for whole\n", (int) n, cases[i].line);
                failures++;
            }
        }
    }
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
