/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static bool entered, registered;

/* All of it, also where the terminal takes it in pieces. */
static void put(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDOUT_FILENO, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        length -= (size_t) n;
    }
}

void live_leave(void)
{
    static const char back[] = "\033[0m\033[?25h\033[?1049l";
    if (!entered)
        return;
    entered = false;
    put(back, sizeof back - 1);
    (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
}

void live_enter(void)
{
    static const char begin[] = "\033[?1049h\033[?25l\033[H\033[2J";
    struct termios silent;
    if (entered || tcgetattr(STDIN_FILENO, &saved) < 0)
        return;
    silent = saved;
    silent.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
    silent.c_cc[VMIN] = 1;
    silent.c_cc[VTIME] = 0;
    if (!registered)
        (void) atexit(live_leave);
    registered = true;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) < 0)
        return;
    entered = true;
    put(begin, sizeof begin - 1);
}

bool live_is_entered(void)
{
    return entered;
}

void live_size(size_t *ret_rows, size_t *ret_columns)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) >= 0 && size.ws_row > 0 && size.ws_col > 0;
    *ret_rows = known ? size.ws_row : 24;
    *ret_columns = known ? size.ws_col : 80;
}

/* In one piece, so that nothing flickers; what is left of longer lines is cleared behind each. */
void live_draw(const GString *frame)
{
    g_autoptr(GString) text = g_string_new("\033[H");
    g_auto(GStrv) lines = g_strsplit(frame->str, "\n", -1);
    for (char **line = lines; *line && (line[1] || **line); line++)
        g_string_append_printf(text, "%s%s\033[K", line > lines ? "\r\n" : "", *line);
    g_string_append(text, "\033[J");
    put(text->str, text->len);
}

int live_key(const char *text, size_t length, size_t *ret_used)
{
    static const struct {
        const char *sequence;
        int key;
    } keys[] = {
        {"\033[A", LIVE_KEY_UP},      {"\033OA", LIVE_KEY_UP},      {"\033[B", LIVE_KEY_DOWN},      {"\033OB", LIVE_KEY_DOWN},
        {"\033[5~", LIVE_KEY_PAGE_UP}, {"\033[6~", LIVE_KEY_PAGE_DOWN}, {"\033[H", LIVE_KEY_HOME},   {"\033OH", LIVE_KEY_HOME},
        {"\033[1~", LIVE_KEY_HOME},   {"\033[F", LIVE_KEY_END},     {"\033OF", LIVE_KEY_END},       {"\033[4~", LIVE_KEY_END},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (length >= strlen(keys[i].sequence) && memcmp(text, keys[i].sequence, strlen(keys[i].sequence)) == 0) {
            *ret_used = strlen(keys[i].sequence);
            return keys[i].key;
        }
    /* Another sequence, up to its last letter. */
    if (*text == '\033') {
        size_t n = 1;
        while (n < length && !g_ascii_isalpha(text[n]) && text[n] != '~')
            n++;
        *ret_used = MIN(n + 1, length);
        return 0;
    }
    *ret_used = 1;
    return (unsigned char) *text;
}
