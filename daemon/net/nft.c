/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nft.h"

#include <dlfcn.h>
#include <nftables/libnftables.h>
#include <string.h>

#define LIBRARY "libnftables.so.1"
#define COMPLAINT_MAX 300

typedef struct Library {
    struct nft_ctx *(*new)(uint32_t flags);
    void (*free)(struct nft_ctx *ctx);
    void (*output_set_flags)(struct nft_ctx *ctx, unsigned flags);
    int (*buffer_error)(struct nft_ctx *ctx);
    int (*buffer_output)(struct nft_ctx *ctx);
    const char *(*get_error)(struct nft_ctx *ctx);
    const char *(*get_output)(struct nft_ctx *ctx);
    int (*run)(struct nft_ctx *ctx, const char *text);
} Library;

static bool load(Library *ret, Error **ret_error)
{
    static const char *const names[] = {"nft_ctx_new", "nft_ctx_free", "nft_ctx_output_set_flags", "nft_ctx_buffer_error",
        "nft_ctx_buffer_output", "nft_ctx_get_error_buffer", "nft_ctx_get_output_buffer", "nft_run_cmd_from_buffer"};
    void *symbols[G_N_ELEMENTS(names)] = {0};
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    for (size_t i = 0; handle && i < G_N_ELEMENTS(names); i++)
        if (!(symbols[i] = dlsym(handle, names[i])))
            handle = NULL;
    if (!handle)
        return error_set(ret_error, ERROR_UNSUPPORTED, LIBRARY, "Install libnftables (the package nftables or libnftables1)",
            "it cannot be loaded, and rules for networks need it");
    memcpy(ret, symbols, sizeof *ret);
    G_STATIC_ASSERT(sizeof *ret == sizeof symbols);
    return true;
}

/* The first line; what follows shows the place in the text. */
static bool refuse(const char *complaint, Error **ret_error)
{
    g_autofree char *line = g_strndup(complaint ? complaint : "", complaint ? MIN(strcspn(complaint, "\n"), COMPLAINT_MAX) : 0);
    const char *remedy = strstr(line, "not permitted") ? "vmd needs the capability CAP_NET_ADMIN for this" :
        strstr(line, "not supported") || strstr(line, "No such file") ? "The kernel may lack a module of nftables: nft_nat, nft_masq, nft_fib_inet, nft_ct, nf_tables_bridge" : NULL;
    return error_set(ret_error, ERROR_FAILED, "nft", remedy, "nft refused the rules: %s", *line ? line : "it does not say why");
}

bool nft_run(const char *commands, char **ret_output, Error **ret_error)
{
    Library nft = {0};
    if (!load(&nft, ret_error))
        return false;
    struct nft_ctx *ctx = nft.new(NFT_CTX_DEFAULT);
    if (!ctx)
        return error_set(ret_error, ERROR_FAILED, "nft", NULL, "libnftables cannot be used");
    bool good = false;
    /* Sets with names may have a million elements, which nobody here looks at. */
    nft.output_set_flags(ctx, ret_output ? NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_TERSE : 0);
    if (nft.buffer_error(ctx) != 0 || nft.buffer_output(ctx) != 0)
        error_set(ret_error, ERROR_FAILED, "nft", NULL, "libnftables cannot be used");
    else if (nft.run(ctx, commands) != 0)
        refuse(nft.get_error(ctx), ret_error);
    else
        good = true;
    if (good && ret_output)
        *ret_output = g_strdup(nft.get_output(ctx));
    nft.free(ctx);
    return good;
}
