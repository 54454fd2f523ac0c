/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usage.h"

#include <math.h>
#include <string.h>

#include "json.h"

struct Usage {
    json_t *statistics;
    GArray *rows; /* UsageRow */
    bool has_rates;
};

/* Where each comes from: a counter of a group, or of all things of one; the first that is there. */
typedef struct Source {
    const char *group, *key;
    bool things;
    double factor; /* of a counter: what one more a second is shown as; 0: it is no counter */
} Source;

/* A counter of µs by which a part of the time is meant. */
#define SHARE (100.0 / 1e6)

static const struct {
    const char *name, *of; /* of JSON */
    Source sources[2];
} numbers[_USAGE_MAX] = {
    [USAGE_CPU] = {"cpu", NULL, {{"cpu", "usage", false, SHARE}}},
    [USAGE_CPUS] = {"cpus", NULL, {{NULL, "cpus", false, 0}}},
    [USAGE_MEMORY] = {"memory", NULL, {{"memory", "current", false, 0}, {"process", "memory", false, 0}}},
    [USAGE_BALLOON] = {"balloon", NULL, {{"balloon", "current", false, 0}}},
    [USAGE_USED] = {"used", NULL, {{NULL}}},
    [USAGE_READ] = {"read", NULL, {{"disks", "read", true, 1}}},
    [USAGE_WRITTEN] = {"written", NULL, {{"disks", "written", true, 1}}},
    [USAGE_READS] = {"reads", NULL, {{"disks", "reads", true, 1}}},
    [USAGE_WRITES] = {"writes", NULL, {{"disks", "writes", true, 1}}},
    [USAGE_RECEIVED] = {"received", NULL, {{"networks", "received", true, 1}}},
    [USAGE_SENT] = {"sent", NULL, {{"networks", "sent", true, 1}}},
    [USAGE_STALL_CPU] = {"cpu", "pressure", {{"pressure", "cpu", false, SHARE}}},
    [USAGE_STALL_MEMORY] = {"memory", "pressure", {{"pressure", "memory", false, SHARE}}},
    [USAGE_STALL_IO] = {"io", "pressure", {{"pressure", "io", false, SHARE}}},
    [USAGE_EXITS] = {"exits", NULL, {{"exits", "exits", false, 1}}},
};

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? (double) json_integer_value(value) : NAN;
}

/* Of a group whose figures are those of things, all of them. */
static double sum_of(const json_t *group, const char *key)
{
    const char *name;
    json_t *thing;
    double sum = NAN;
    json_object_foreach((json_t *) group, name, thing) {
        double value = number_of(thing, key);
        if (!isnan(value))
            sum = isnan(sum) ? value : sum + value;
    }
    return sum;
}

static double read_source(const json_t *vm, const Source *source)
{
    if (!source->key)
        return NAN;
    const json_t *group = source->group ? json_object_get(vm, source->group) : vm;
    return source->things ? sum_of(group, source->key) : number_of(group, source->key);
}

/* A counter that has become smaller is another's: of the VM's next start, or without a disk that is gone. */
static double rate(const json_t *vm, const json_t *before, const Source *source)
{
    double time = number_of(vm, "time") - number_of(before, "time");
    double grown = read_source(vm, source) - read_source(before, source);
    return time > 0 && grown >= 0 ? grown * 1e6 / time * source->factor : NAN;
}

double usage_of_guest(const json_t *vm)
{
    const json_t *guest = json_object_get(vm, "guest");
    double used = number_of(guest, "total") - number_of(guest, json_object_get(guest, "available") ? "available" : "free");
    double most = number_of(json_object_get(vm, "balloon"), "current"), plugged = number_of(json_object_get(vm, "plugged"), "current");
    most += isnan(plugged) ? 0 : plugged;
    return used >= 0 && !(used > most) ? used : NAN;
}

static void read_row(UsageRow *row, const json_t *vm, const json_t *before)
{
    for (UsageNumber i = 0; i < _USAGE_MAX; i++) {
        row->numbers[i] = NAN;
        for (size_t k = 0; isnan(row->numbers[i]) && k < G_N_ELEMENTS(numbers[i].sources); k++) {
            const Source *source = &numbers[i].sources[k];
            row->numbers[i] = source->factor > 0 ? rate(vm, before, source) : read_source(vm, source);
        }
    }
    double plugged = number_of(json_object_get(vm, "plugged"), "current");
    if (!isnan(plugged))
        row->numbers[USAGE_BALLOON] += plugged;
    row->numbers[USAGE_USED] = usage_of_guest(vm);
}

Usage *usage_new(json_t *statistics, const Usage *before)
{
    Usage *usage = g_new0(Usage, 1);
    const char *name;
    json_t *vm;
    usage->statistics = statistics;
    usage->rows = g_array_new(false, false, sizeof(UsageRow));
    json_object_foreach(statistics, name, vm) {
        const json_t *vm_before = before ? json_object_get(before->statistics, name) : NULL;
        UsageRow row = {.name = name, .state = json_get_string(vm, "state")};
        read_row(&row, vm, vm_before);
        usage->has_rates = usage->has_rates || vm_before;
        g_array_append_val(usage->rows, row);
    }
    return usage;
}

void usage_free(Usage *usage)
{
    if (!usage)
        return;
    json_decref(usage->statistics);
    g_array_unref(usage->rows);
    g_free(usage);
}

UsageRow *usage_rows(const Usage *usage, size_t *ret_n)
{
    *ret_n = usage->rows->len;
    return (UsageRow *) (void *) usage->rows->data;
}

bool usage_has_rates(const Usage *usage)
{
    return usage->has_rates;
}

double usage_stall(const UsageRow *row, char *ret_letter)
{
    static const struct {
        UsageNumber number;
        char letter;
    } kinds[] = {{USAGE_STALL_CPU, 'c'}, {USAGE_STALL_MEMORY, 'm'}, {USAGE_STALL_IO, 'i'}};
    double most = NAN;
    *ret_letter = ' ';
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        double share = row->numbers[kinds[i].number];
        if (isnan(share) || (!isnan(most) && share <= most))
            continue;
        most = share;
        *ret_letter = kinds[i].letter;
    }
    return most;
}

/* Of a rate; what follows is noise. */
static double three_digits(double number)
{
    return number < 1e15 ? (double) (int64_t) (number * 1000 + 0.5) / 1000 : number;
}

json_t *usage_row_to_json(const Usage *usage, const UsageRow *row)
{
    json_t *object = json_pack("{ss ss}", "name", row->name, "state", row->state);
    for (UsageNumber i = 0; i < _USAGE_MAX; i++) {
        double number = row->numbers[i];
        bool is_rate = numbers[i].sources[0].factor > 0;
        json_t *value = isnan(number) ? json_null() : is_rate ? json_real(three_digits(number)) : json_integer((json_int_t) number);
        json_t *in = object;
        if (numbers[i].of && !(in = json_object_get(object, numbers[i].of))) {
            in = json_object();
            (void) json_object_set_new(object, numbers[i].of, in);
        }
        (void) json_object_set_new(in, numbers[i].name, value);
    }
    (void) json_object_set(object, "statistics", json_object_get(usage->statistics, row->name));
    return object;
}
