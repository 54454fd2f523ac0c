/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verb.h"

#include <string.h>

#include "option.h"
#include "pager.h"
#include "report.h"
#include "schema.h"
#include "terminal.h"

const Verb verbs[] = {
        /* clang-format off */
    { "Virtual machines" },
    { "create", 1, 1, VERB_ACTS | VERB_SETTINGS, "NAME [OPTIONS...]", "Define a VM", verb_create },
    { "run", 0, 1, VERB_ACTS | VERB_SETTINGS, "[NAME] [OPTIONS...]", "Start a VM that is forgotten when it ends", verb_run },
    { "start", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Start VMs; saved ones go on where they were", verb_act },
    { "stop", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Press the power button and wait for the guest to end", verb_act },
    { "kill", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "End VMs at once, as pulling the plug does", verb_act },
    { "reboot", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Reboot guests in an orderly way", verb_act },
    { "reset", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Reset VMs, as the reset button does", verb_act },
    { "pause", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Stop virtual CPUs", verb_act },
    { "resume", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Let paused virtual CPUs go on", verb_act },
    { "save", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Write guests to files and end their VMs", verb_act },
    { "discard", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Delete what was saved of VMs; their next start is a boot", verb_act },
    { "delete", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Forget VMs and delete their settings; images stay", verb_act },
    { "enable", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Start VMs when the host boots", verb_enable },
    { "disable", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Do not start VMs when the host boots", verb_disable },

    { "Looking at them" },
    { "list", 0, VERB_ANY, VERB_NAMES, "[PATTERN...]", "List VMs", verb_list },
    { "status", 0, VERB_ANY, VERB_NAMES, "[NAME...]", "Show how VMs, or vmd itself, are doing", verb_status },
    { "show", 0, VERB_ANY, VERB_NAMES, "[NAME...]", "Show properties of VMs, or of vmd itself", verb_show },
    { "top", 0, VERB_ANY, VERB_NAMES, "[PATTERN...]", "Show what VMs use, again and again", verb_top },
    { "ip", 1, VERB_ANY, VERB_NAMES, "NAME...", "Show the addresses of VMs", verb_ip },
    { "console", 1, 1, VERB_ACTS | VERB_NAMES, "NAME", "Attach the terminal to the serial console", verb_console },
    { "view", 1, 1, VERB_ACTS | VERB_NAMES, "NAME", "Show the screen in a window", verb_view },
    { "invite", 1, 2, VERB_ACTS | VERB_NAMES, "NAME [FILE]", "Make a password with which somebody on another host can look at the screen", verb_invite },
    { "disconnect", 1, 2, VERB_ACTS | VERB_NAMES, "NAME [VIEWER]", "Put out who looks at the screen", verb_disconnect },
    { "screenshot", 1, 2, VERB_ACTS | VERB_NAMES, "NAME [FILE]", "Write what the guest shows to a PNG file, or stdout", verb_screenshot },
    { "send-keys", 2, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME KEYS...", "Press keys, such as ctrl-alt-delete", verb_send_keys },
    { "send-key", 2, VERB_ANY, VERB_ACTS | VERB_NAMES | VERB_HIDDEN, "NAME KEYS...", "The same", verb_send_keys },
    { "sendkeys", 2, VERB_ANY, VERB_ACTS | VERB_NAMES | VERB_HIDDEN, "NAME KEYS...", "The same", verb_send_keys },
    { "send-pointer", 2, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME PLACE|BUTTON...", "Move the mouse, and press its buttons", verb_send_pointer },
    { "type", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME [TEXT...|-]", "Type a text on the keyboard", verb_type },
    { "log", 1, VERB_ANY, VERB_NAMES, "NAME [-- JOURNALCTL-OPTION...]", "Show what the journal has on a VM", verb_log },
    { "explain", 1, 1, VERB_NAMES, "NAME", "Show the QEMU command line and where each part comes from", verb_explain },
    { "doctor", 0, 1, VERB_ACTS | VERB_NAMES, "[NAME]", "Say why VMs have no network, and what mends it", verb_doctor },
    { "jobs", 0, 0, 0, "", "List what is under way", verb_jobs },
    { "cancel", 1, VERB_ANY, VERB_ACTS, "JOB...", "Cancel what is under way", verb_cancel },

    { "What is in them" },
    { "exec", 2, VERB_ANY, VERB_ACTS | VERB_NAMES | VERB_COMMAND, "NAME [--] COMMAND...", "Run a command in the guest, by its guest agent", verb_exec },
    { "ssh", 1, VERB_ANY, VERB_NAMES | VERB_COMMAND, "[USER@]NAME [[--] COMMAND...]", "Log in to the guest with ssh, over vsock or its address", verb_ssh },
    { "cp", 2, VERB_ANY, VERB_NAMES | VERB_FILES, "SOURCE... TARGET", "Copy from and to guests, [USER@]NAME:PATH, with scp", verb_cp },
    { "ssh-connect", 1, 1, VERB_NAMES | VERB_HIDDEN, "NAME", "What ssh is connected by", verb_ssh_connect },
    { "guest info", 1, 1, VERB_ACTS | VERB_NAMES, "NAME", "Show what the guest agent tells of the guest", verb_guest_info },
    { "guest fsfreeze", 1, 1, VERB_ACTS | VERB_NAMES, "NAME", "Let the guest's file systems stand still for a while", verb_guest_freeze },
    { "guest fsthaw", 1, 1, VERB_ACTS | VERB_NAMES, "NAME", "Let them go on", verb_guest_thaw },
    { "guest fstrim", 1, 1, VERB_ACTS | VERB_NAMES, "NAME", "Give back what is free in the guest's file systems", verb_guest_trim },
    { "guest set-password", 2, 2, VERB_ACTS | VERB_NAMES, "NAME USER", "Give a user of the guest another password", verb_guest_set_password },
    { "guest add-ssh-key", 2, 3, VERB_ACTS | VERB_NAMES | VERB_FILES, "NAME USER [KEY|FILE|-]", "Let who has an SSH key in, as a user of the guest", verb_guest_add_ssh_key },

    { "Their snapshots" },
    { "snapshot create", 2, 2, VERB_ACTS | VERB_NAMES, "VM NAME", "Keep the disks, and the memory of a VM that runs", verb_snapshot_create },
    { "snapshot revert", 2, 2, VERB_ACTS | VERB_NAMES, "VM NAME", "Go back to a snapshot; what came after it is lost", verb_snapshot_revert },
    { "snapshot delete", 2, VERB_ANY, VERB_ACTS | VERB_NAMES, "VM NAME...", "Delete snapshots; the disks stay as they are", verb_snapshot_delete },
    { "snapshot show", 2, 2, VERB_NAMES, "VM NAME", "Show what is known of a snapshot", verb_snapshot_show },
    { "snapshot list", 1, 1, VERB_NAMES, "VM", "List snapshots, each below what it comes from", verb_snapshot_list },

    { "Their backups" },
    { "backup", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME DIR", "Write what the disks hold to a folder, while the guest goes on", verb_backup },
    { "backups", 1, 1, VERB_FILES, "DIR", "List the backups in a folder", verb_backups },
    { "restore", 2, 2, VERB_ACTS | VERB_NAMES, "NAME DIR", "Make a VM of its newest backup", verb_restore },

    { "Their settings" },
    { "cat", 1, VERB_ANY, VERB_NAMES, "NAME...", "Show settings files and drop-ins", verb_cat },
    { "edit", 1, 1, VERB_ACTS | VERB_NAMES, "NAME", "Open the settings file in an editor", verb_edit },
    { "set", 1, 1, VERB_ACTS | VERB_NAMES | VERB_SETTINGS, "NAME OPTIONS...", "Change settings", verb_set },
    { "attach", 1, 1, VERB_ACTS | VERB_NAMES | VERB_SETTINGS, "NAME OPTIONS...", "Add a device, also while the VM runs", verb_attach },
    { "detach", 2, 2, VERB_ACTS | VERB_NAMES, "NAME SECTION", "Remove a device, also while the VM runs", verb_detach },
    { "insert", 2, 3, VERB_ACTS | VERB_NAMES, "NAME [DISK] SOURCE", "Put an image into a CD drive, also while the VM runs", verb_insert },
    { "eject", 1, 2, VERB_ACTS | VERB_NAMES, "NAME [DISK]", "Take out what is in a CD drive", verb_eject },
    { "usb list", 0, 0, 0, "", "List the USB devices of the host, and which VM has them", verb_usb_list },
    { "usb attach", 2, 2, VERB_ACTS | VERB_NAMES, "NAME DEVICE", "Give a USB device to a VM, also while it runs", verb_usb_attach },
    { "usb detach", 2, 2, VERB_ACTS | VERB_NAMES, "NAME DEVICE", "Take it away, also while the VM runs", verb_usb_detach },
    { "usb redirect", 2, 2, VERB_ACTS | VERB_NAMES, "NAME DEVICE", "Lend a USB device of this machine to a VM that runs, until Ctrl-C", verb_usb_redirect },
    { "share add", 2, 2, VERB_ACTS | VERB_NAMES | VERB_FILES, "VM PATH", "Let a VM mount a folder of the host, also while it runs", verb_share_add },
    { "share remove", 2, 2, VERB_ACTS | VERB_NAMES, "VM NAME", "Take a shared folder away, also while it runs", verb_share_remove },
    { "share list", 1, 1, VERB_NAMES, "VM", "List the folders that are shared with a VM", verb_share_list },

    { "Networks" },
    { "network create", 1, 1, VERB_ACTS | VERB_SETTINGS, "NAME [OPTIONS...]", "Define a network", verb_create, &kind_network },
    { "network start", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Start networks; VMs do so themselves", verb_act, &kind_network },
    { "network stop", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Stop networks that nobody uses", verb_act, &kind_network },
    { "network delete", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Delete the settings of networks", verb_act, &kind_network },
    { "network list", 0, VERB_ANY, VERB_NAMES, "[PATTERN...]", "List networks", verb_list, &kind_network },
    { "network show", 1, VERB_ANY, VERB_NAMES, "NAME...", "Show properties of networks", verb_show, &kind_network },
    { "network leases", 0, 1, VERB_NAMES, "[NAME]", "Show which addresses were given to whom", verb_leases, &kind_network },
    { "network ports", 0, 1, VERB_NAMES, "[NAME]", "Show who is on a network, and by which link", verb_ports, &kind_network },
    { "network cat", 1, VERB_ANY, VERB_NAMES, "NAME...", "Show settings files and drop-ins", verb_cat, &kind_network },
    { "network edit", 1, 1, VERB_ACTS | VERB_NAMES, "NAME", "Open the settings file in an editor", verb_edit, &kind_network },
    { "network set", 1, 1, VERB_ACTS | VERB_NAMES | VERB_SETTINGS, "NAME OPTIONS...", "Change settings", verb_set, &kind_network },
    { "tap", 2, VERB_ANY, VERB_ACTS | VERB_NAMES, "NETWORK -- COMMAND...", "Run a command with a port on a network", verb_tap, &kind_network },

    { "Pools and volumes" },
    { "pool create", 1, 1, VERB_ACTS | VERB_SETTINGS, "NAME [OPTIONS...]", "Define a pool", verb_create, &kind_pool },
    { "pool start", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Start pools; VMs do so themselves", verb_act, &kind_pool },
    { "pool stop", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Stop pools that nobody uses", verb_act, &kind_pool },
    { "pool delete", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Delete the settings of pools; volumes stay", verb_act, &kind_pool },
    { "pool list", 0, VERB_ANY, VERB_NAMES, "[PATTERN...]", "List pools", verb_list, &kind_pool },
    { "pool show", 1, VERB_ANY, VERB_NAMES, "NAME...", "Show properties of pools", verb_show, &kind_pool },
    { "pool cat", 1, VERB_ANY, VERB_NAMES, "NAME...", "Show settings files and drop-ins", verb_cat, &kind_pool },
    { "pool edit", 1, 1, VERB_ACTS | VERB_NAMES, "NAME", "Open the settings file in an editor", verb_edit, &kind_pool },
    { "pool set", 1, 1, VERB_ACTS | VERB_NAMES | VERB_SETTINGS, "NAME OPTIONS...", "Change settings", verb_set, &kind_pool },
    { "pool refresh", 1, VERB_ANY, VERB_NAMES, "NAME...", "Look anew at what is in pools", verb_act, &kind_pool },
    { "volume create", 1, 1, VERB_ACTS, "NAME OPTIONS...", "Make a volume: a disk for a VM", verb_volume_create, &kind_pool },
    { "volume clone", 2, 2, VERB_ACTS | VERB_VOLUMES, "FROM NAME", "Copy or convert a volume, or make an overlay over it", verb_volume_clone, &kind_pool },
    { "volume convert", 2, 2, VERB_ACTS | VERB_VOLUMES | VERB_HIDDEN, "FROM NAME", "The same", verb_volume_clone, &kind_pool },
    { "volume resize", 2, 2, VERB_ACTS | VERB_VOLUMES, "NAME [+]SIZE", "Make a volume larger", verb_volume_resize, &kind_pool },
    { "volume rename", 2, 2, VERB_ACTS | VERB_VOLUMES, "NAME NEW", "Give a volume another name", verb_volume_rename, &kind_pool },
    { "volume delete", 1, VERB_ANY, VERB_ACTS | VERB_VOLUMES, "NAME...", "Delete volumes", verb_volume_delete, &kind_pool },
    { "volume wipe", 1, VERB_ANY, VERB_ACTS | VERB_VOLUMES, "NAME...", "Overwrite all that is on volumes", verb_volume_wipe, &kind_pool },
    { "volume download", 1, 2, VERB_ACTS | VERB_VOLUMES | VERB_FILES, "NAME [FILE|-]", "Copy the file of a volume out of its pool", verb_volume_download, &kind_pool },
    { "volume upload", 1, 2, VERB_ACTS | VERB_FILES, "FILE|- [NAME]", "Make a volume of the bytes of a file or a pipe", verb_volume_upload, &kind_pool },
    { "volume list", 0, VERB_ANY, VERB_NAMES, "[POOL...]", "List the volumes of pools, or of all that run", verb_volume_list, &kind_pool },
    { "volume show", 1, VERB_ANY, VERB_VOLUMES, "NAME...", "Show properties of volumes", verb_volume_show, &kind_pool },
    { "import", 1, 2, VERB_ACTS | VERB_FILES, "FILE [NAME]", "Make a volume of an image of any format", verb_import, &kind_pool },
    { "image import", 1, 2, VERB_ACTS | VERB_FILES, "FILE [NAME]", "Make an image that disks are made from", verb_import, &kind_pool },
    { "image pull", 1, 2, VERB_ACTS, "URL [NAME]", "Download an image whose checksum is known", verb_image_pull, &kind_pool },
    { "image list", 0, 0, 0, "", "List images that disks are made from", verb_volume_list, &kind_pool },
    { "image show", 1, VERB_ANY, VERB_VOLUMES, "NAME...", "Show properties of images", verb_volume_show, &kind_pool },
    { "image delete", 1, VERB_ANY, VERB_ACTS | VERB_VOLUMES, "NAME...", "Delete images", verb_volume_delete, &kind_pool },

    { "vmd" },
    { "reload", 0, 0, VERB_ACTS, "", "Read all settings files again", verb_reload },
    { "qemu list", 0, 0, 0, "", "List the QEMUs there are, of the host and of other trees, and what they can do", verb_qemu_list },
    { "version", 0, 0, 0, "", "Show the versions of vmctl and vmd", verb_version },

    { "help", 0, 2, VERB_HIDDEN, "[COMMAND]", "Show help", verb_show_help },
    { "complete", 0, VERB_ANY, VERB_HIDDEN, "-- WORD...", "Completions, for shells", verb_complete },
    {}
        /* clang-format on */
};

/* What the same thing is called elsewhere. */
static const struct {
    const char *theirs, *ours;
} synonyms[] = {
        {"attach-device", "attach"},
        {"attach-interface", "attach"},
        {"autostart", "enable"},
        {"change-media", "insert"},
        {"cgtop", "top"},
        {"config", "cat"},
        {"domblkstat", "top"},
        {"domifstat", "top"},
        {"dommemstat", "top"},
        {"domstats", "top"},
        {"domjobabort", "cancel"},
        {"domjobinfo", "jobs"},
        {"define", "create"},
        {"destroy", "kill"},
        {"detach-device", "detach"},
        {"detach-interface", "detach"},
        {"domfsfreeze", "guest fsfreeze"},
        {"domfsinfo", "guest info"},
        {"domfsthaw", "guest fsthaw"},
        {"domfstrim", "guest fstrim"},
        {"domhostname", "guest info"},
        {"domifaddr", "ip"},
        {"dumpxml", "cat"},
        {"guestinfo", "guest info"},
        {"images", "image"},
        {"info", "status"},
        {"journal", "log"},
        {"login", "console"},
        {"logs", "log"},
        {"ls", "list"},
        {"managedsave", "save"},
        {"managedsave-remove", "discard"},
        {"net", "network"},
        {"network autostart", "network set"},
        {"network destroy", "network stop"},
        {"network dhcp-leases", "network leases"},
        {"network info", "network show"},
        {"network list-leases", "network leases"},
        {"network remove", "network delete"},
        {"network status", "network show"},
        {"network update", "network set"},
        {"networks", "network"},
        {"new", "create"},
        {"poweroff", "stop"},
        {"pool autostart", "pool set"},
        {"pool destroy", "pool stop"},
        {"pool info", "pool show"},
        {"pool status", "pool show"},
        {"pools", "pool"},
        {"ps", "list"},
        {"remove", "delete"},
        {"restart", "reboot"},
        {"restore", "start"},
        {"rm", "delete"},
        {"set-property", "set"},
        {"set-user-password", "guest set-password"},
        {"shutdown", "stop"},
        {"suspend", "pause"},
        {"terminate", "kill"},
        {"undefine", "delete"},
        {"unpause", "resume"},
        {"vol", "volume"},
        {"volume copy", "volume clone"},
        {"volume create-from", "volume clone"},
        {"volume info", "volume show"},
        {"volume new", "volume create"},
        {"volume path", "volume show"},
        {"volumes", "volume"},
};

const Verb *verb_find(const char *name)
{
    for (const Verb *verb = verbs; verb->name; verb++)
        if (verb->handler && strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}

char *verb_group_of(const Verb *verb)
{
    const char *space = verb->handler ? strchr(verb->name, ' ') : NULL;
    return space ? g_strndup(verb->name, (size_t) (space - verb->name)) : NULL;
}

const char *verb_group(const char *word)
{
    for (const Verb *verb = verbs; verb->name; verb++) {
        g_autofree char *group = verb_group_of(verb);
        if (group && strcmp(group, word) == 0)
            return g_intern_string(group);
    }
    return NULL;
}

const Verb *verb_find_words(const char *first, const char *second, const char **ret_group, unsigned *ret_n)
{
    const char *group = verb_group(first);
    g_autofree char *name = group ? g_strjoin(" ", first, second ? second : "list", NULL) : NULL;

    *ret_group = group && !second ? group : NULL;
    *ret_n = group && second ? 2 : 1;
    return verb_find(group ? name : first);
}

const ObjectKind *verb_kind(const Verb *verb)
{
    return verb && verb->kind ? verb->kind : &kind_vm;
}

const SettingKey *verb_setting_keys(const Verb *verb)
{
    if (!verb || !(verb->flags & VERB_SETTINGS))
        return NULL;
    return verb_kind(verb)->schema->keys;
}

static const char *find_synonym(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(synonyms); i++)
        if (strcmp(synonyms[i].theirs, name) == 0)
            return synonyms[i].ours;
    return NULL;
}

/* "network rm" is what "rm" is, as far as networks have that. */
static const char *find_synonym_in(const char *group, const char *word)
{
    const char *synonym = find_synonym(word);
    g_autofree char *name = synonym ? g_strjoin(" ", group, synonym, NULL) : NULL;
    const Verb *verb = name ? verb_find(name) : NULL;
    return verb ? verb->name : NULL;
}

/* "network list" for what virsh has for networks, net-list, and so on. */
static char *from_virsh(const char *name)
{
    static const char *const prefixes[][2] = {{"net-", "network "}, {"pool-", "pool "}, {"vol-", "volume "}};
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
        if (g_str_has_prefix(name, prefixes[i][0]))
            return g_strconcat(prefixes[i][1], name + strlen(prefixes[i][0]), NULL);
    return NULL;
}

const char *verb_suggest(const char *name)
{
    const char *names[2 * G_N_ELEMENTS(verbs)];
    size_t n = 0;

    g_autofree char *ours = from_virsh(name);
    if (ours && verb_find(ours))
        return verb_find(ours)->name;
    if (ours)
        return verb_suggest(ours);

    const char *synonym = find_synonym(name), *space = strchr(name, ' ');
    g_autofree char *group = space ? g_strndup(name, (size_t) (space - name)) : NULL;
    if (!synonym && group)
        synonym = find_synonym_in(group, space + 1);
    if (synonym)
        return synonym;
    for (const Verb *verb = verbs; verb->name; verb++) {
        g_autofree char *its = verb_group_of(verb);
        if (verb->handler && !(verb->flags & VERB_HIDDEN) && g_strcmp0(its, group) == 0)
            names[n++] = verb->name + (group ? strlen(group) + 1 : 0);
    }
    for (const Verb *verb = verbs; !group && verb->name; verb++) {
        g_autofree char *its = verb_group_of(verb);
        if (its)
            names[n++] = verb_group(its);
    }
    names[n] = NULL;
    const char *nearest = option_nearest(group ? space + 1 : name, names);
    return nearest && group ? nearest - strlen(group) - 1 : nearest;
}

/* "  -n --lines=N          Number of journal lines" */
static void print_option(char letter, const char *name, const char *value, bool optional, const char *summary)
{
    g_autofree char *text = g_strdup_printf("%s--%s%s%s%s%s", letter ? "" : "   ", name, optional ? "[" : "",
            value ? "=" : "", value ? value : "", optional ? "]" : "");
    if (letter)
        printf("  -%c %-31s %s\n", letter, text, summary);
    else
        printf("  %-34s %s\n", text, summary);
}

static void print_heading(const char *text)
{
    printf("\n%s%s:%s\n", terminal_style(stdout, STYLE_BOLD), text, terminal_normal(stdout, STYLE_BOLD));
}

static void print_options(const Verb *verb, bool own)
{
    for (const Option *option = options; option->name; option++) {
        if (own != !!option->verbs || !option->summary || !option_is_for(option, verb))
            continue;
        bool optional = option->kind == OPTION_OPTIONAL;
        print_option(option->letter, option->name, option->metavar, optional, option->summary);
    }
}

static bool has_own_options(const Verb *verb)
{
    for (const Option *option = options; option->name; option++)
        if (option->verbs && option->summary && option_is_for(option, verb))
            return true;
    return false;
}

static void print_setting_options(const Schema *schema)
{
    g_autofree char *heading = g_strdup_printf("Settings (%s has all of them)", schema->manual);
    print_heading(heading);
    for (const SettingKey *key = schema->keys; key->section; key++) {
        if (!key->option)
            continue;
        g_autofree char *words = NULL;
        if (key->words && !key->metavar)
            words = g_strdup(key->words);
        print_option(0, key->option,
                words          ? words
                : key->metavar ? key->metavar
                               : "VALUE",
                false, key->summary ? key->summary : "");
    }
}

static void print_exit_codes(void)
{
    static const struct {
        int code;
        const char *meaning;
    } codes[] = {
            {EXIT_DONE, "done"},
            {EXIT_FAILED, "it failed; stderr says why"},
            {EXIT_USAGE, "the command line cannot be meant"},
            {EXIT_NOT_RUNNING, "of status: the VM does not run"},
            {EXIT_NO_SUCH_VM, "there is no such VM, network, pool or volume"},
            {EXIT_NOT_AUTHORIZED, "not authorised"},
            {EXIT_INTERRUPTED, "interrupted; what was begun goes on, but not work on volumes"},
            {EXIT_NOT_EXECUTED, "of commands in guests: it failed; other numbers are the command's, 128 and more: a signal ended it"},
    };
    print_heading("Exit codes");
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
        printf("  %-6d %s\n", codes[i].code, codes[i].meaning);
}

static void print_verb(const Verb *verb)
{
    g_autofree char *text = g_strdup_printf("%s %s", verb->name, verb->synopsis);
    printf("  %-34s %s\n", text, verb->summary);
}

static void help_of_verb(const Verb *verb)
{
    printf("vmctl %s %s\n\n%s.\n", verb->name, verb->synopsis, verb->summary);
    if (has_own_options(verb)) {
        print_heading("Options");
        print_options(verb, true);
    }
    if (verb->flags & VERB_SETTINGS)
        print_setting_options(verb->kind ? verb->kind->schema : &vm_schema);
    printf("\nOptions of all commands: vmctl --help\n");
}

static void help_of_group(const char *group)
{
    const char *heading = "Commands";
    bool started = false;
    printf("vmctl %s COMMAND ...\n", group);
    for (const Verb *verb = verbs; verb->name; verb++) {
        g_autofree char *its = verb_group_of(verb);
        if (!verb->handler)
            heading = verb->name;
        if (g_strcmp0(its, group) != 0 || verb->flags & VERB_HIDDEN)
            continue;
        if (!started)
            print_heading(heading);
        started = true;
        print_verb(verb);
    }
    printf("\nvmctl %s COMMAND --help lists the options of a command.\n", group);
}

static void help_of_all(void)
{
    printf("vmctl [OPTIONS...] COMMAND ...\n\nDefine, run and look after virtual machines.\n");
    for (const Verb *verb = verbs; verb->name; verb++) {
        if (!verb->handler)
            print_heading(verb->name);
        else if (!(verb->flags & VERB_HIDDEN))
            print_verb(verb);
    }
    print_heading("Options");
    print_options(NULL, false);
    print_exit_codes();
    printf("\nvmctl COMMAND --help lists the options of a command. See vmctl(1), vmd.vm(5), vmd.net(5), vmd.pool(5).\n");
}

int verb_help(const Client *client, const Verb *verb, const char *group)
{
    pager_open(client->no_pager, true);
    if (group)
        help_of_group(group);
    else if (verb)
        help_of_verb(verb);
    else
        help_of_all();
    return EXIT_DONE;
}

int verb_show_help(Client *client)
{
    const char *group;
    unsigned n;
    if (client->n_arguments == 0)
        return verb_help(client, NULL, NULL);

    const Verb *verb = verb_find_words(client->arguments[0], client->arguments[1], &group, &n);
    if (verb)
        return verb_help(client, verb, group);
    g_autofree char *name = n > 1 ? g_strjoinv(" ", client->arguments) : g_strdup(client->arguments[0]);
    const char *nearest = verb_suggest(name);
    return nearest ? report_usage("%s: there is no such command. Did you mean %s?", name, nearest)
                   : report_usage("%s: there is no such command. See vmctl --help", name);
}
