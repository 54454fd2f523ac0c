/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pictures of VNC servers that do as they should, and of some that do not. */
#include "frame.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING "RFB 003.008\n" "\x01\x01" "\0\0\0\0"
/* Of two by two, in a format that nobody wants, called "vm". */
#define SCREEN "\0\x02\0\x02" "\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\x02vm"
#define RECTANGLE "\0\0\0\0\0\x02\0\x02\0\0\0\0"
#define PIXELS "\x01\x02\x03\0\x11\x12\x13\0\x21\x22\x23\0\x31\x32\x33\0"
#define TEXT(text) text, sizeof(text) - 1

/* The server's words are all there before anybody reads one, and then it goes. */
static GByteArray *fetch(const char *words, size_t n, Error **ret_error)
{
    int fds[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    g_assert_cmpint(write(fds[0], words, n), ==, (ssize_t) n);
    g_assert_cmpint(shutdown(fds[0], SHUT_WR), ==, 0);
    GByteArray *png = frame_fetch(fds[1], "vm", ret_error);
    close(fds[0]);
    close(fds[1]);
    return png;
}

static void gets_what_is_shown(void)
{
    /* Two lines with a filter's number each, stored in one block; the sums are as Python's zlib has them. */
    static const char expected[] = "\x89PNG\r\n\x1a\n"
                                   "\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x02\x08\x02\0\0\0\xfd\xd4\x9a\x73"
                                   "\0\0\0\x19IDAT\x78\x01\x01\x0e\0\xf1\xff\0\x03\x02\x01\x13\x12\x11\0\x23\x22\x21\x33\x32\x31\x05\x6e\x01\x39\xeb\xfe\x4a\x6d"
                                   "\0\0\0\0IEND\xae\x42\x60\x82";
    g_autoptr(Error) error = NULL;
    g_autoptr(GByteArray) png = fetch(TEXT(GREETING SCREEN "\x02" "\x03\0\0\0\0\0\0\x03xyz" "\0\0\0\x01" RECTANGLE PIXELS), &error);
    g_assert_null(error);
    g_assert_cmpmem(png->data, png->len, expected, sizeof(expected) - 1);
}

static void believes_nothing_else(void)
{
    static const struct {
        const char *words;
        size_t n;
    } cases[] = {
        {TEXT("")},
        {TEXT("RFB 003.008\n\0")},
        {TEXT("RFB 003.008\n\x01\x02\0\0\0\0")},
        {TEXT("RFB 003.008\n\x01\x01\0\0\0\x01")},
        {TEXT(GREETING "\0\0\0\x02" "0123456789abcdef" "\0\0\0\0")},
        {TEXT(GREETING "\xff\xff\xff\xff" "0123456789abcdef" "\0\0\0\0")},
        {TEXT(GREETING "\0\x02\0\x02" "0123456789abcdef" "\xff\xff\xff\xff")},
        {TEXT(GREETING SCREEN "\x07")},
        {TEXT(GREETING SCREEN "\x03\0\0\0\xff\xff\xff\xff")},
        {TEXT(GREETING SCREEN "\0\0\0\x01" "\0\x01\0\0\0\x02\0\x02\0\0\0\0" PIXELS)},
        {TEXT(GREETING SCREEN "\0\0\0\x01" "\0\0\0\0\0\x02\0\x03\0\0\0\0" PIXELS)},
        {TEXT(GREETING SCREEN "\0\0\0\x01" "\0\0\0\0\0\x02\0\x02\0\0\0\x07" PIXELS)},
        {TEXT(GREETING SCREEN "\0\0\0\x02" RECTANGLE PIXELS)},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Error) error = NULL;
        g_autoptr(GByteArray) png = fetch(cases[i].words, cases[i].n, &error);
        g_assert_null(png);
        g_assert_nonnull(error);
    }
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/frame/gets-what-is-shown", gets_what_is_shown);
    g_test_add_func("/frame/believes-nothing-else", believes_nothing_else);
    return g_test_run();
}
