# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table: a row a comparison, with what is to be reached where there is a target."""


def ms(value):
    return f"{value:.1f} ms" if value < 1000 else f"{value / 1000:.2f} s"


def kb(value):
    return f"{value:.0f} kB" if value < 1000 else f"{value / 1000:.1f} MB"


def rate(value):
    return f"{value / 1000:.1f} k/s"


# What; samples; unit; what vmd is beside; how they are compared; target. A comparison "over" is a difference in ms,
# "times" a ratio; "is" compares vmd's own number with the target.
ROWS = [
    ("Start() to its reply", "start.vmd", ms, "start.bare", "bare QEMU, same argv, to its cont", "times", 1.6),
    ("", "start.vmd", None, "start.bare", "the same, the wait for systemd hidden", "times", 1.15),
    ("", "start.vmd", None, "start.bare+wait.systemd", "bare QEMU + bare StartTransientUnit", "over", 4),
    ("", "start.vmd", None, "wait.systemd", "bare StartTransientUnit", None, None),
    ("vmctl start, the process", "start-process.vmd", ms, "start.systemd-run", "systemd-run --scope QEMU", "times", None),
    ("Terminate() to its reply", "end.vmd", ms, "end.bare", "SIGKILL and reap of bare QEMU", "over", 10),
    ("50 starts by 8 callers", "crowd.vmd", ms, "crowd.bare", "8 callers that exec bare QEMU", "times", 1.2),
    ("200th start", "last.vmd", ms, "first.vmd", "first start, nothing else runs", "times", 1.2),
    ("", "last.vmd", None, "last.bare", "bare QEMU beside 199 running", "times", None),
    ("", "first.vmd", ms, "first.bare", "first start: bare QEMU, same argv", "times", None),
    ("500 defined: vmctl list", "list.vmd", ms, None, "", "is", 12),
    ("500 defined: activation to first answer", "answer-500.vmd", ms, "answer.bare", "activation of the empty service", None, None),
    ("500 defined: GetManagedObjects", "objects.vmd", ms, None, "", None, None),
    ("500 defined: PSS of vmd", "pss-500.vmd", kb, None, "", "is", 5000),
    ("Property reads a second", "reads.vmd", rate, "reads.bare", "empty sd-bus service", "share", 0.8),
    ("50 running: PSS of vmd", "pss-50.vmd", kb, None, "", None, None),
    ("50 running: PSS of a guard", "pss-guard.vmd", kb, None, "", None, None),
    ("50 running: each adds, vmd and guard", "pss-each.vmd", kb, None, "", "is", 150),
    ("50 running: activation to first answer", "answer.vmd", ms, "answer.bare", "activation of the empty service", "is", 100),
    ("50 running: GetAllStatistics", "statistics.vmd", ms, None, "", None, None),
]


def median_of(samples, names):
    values = [samples.median(name) for name in names.split("+")]
    return None if None in values else sum(values)


def compare(kind, target, ours, beside):
    """The words of the two last columns."""
    if kind == "over":
        result, reached = f"{ours - beside:+.1f} ms", ours - beside <= (target or 0)
        wanted = f"at most {target:+} ms"
    elif kind == "times":
        result, reached = f"{ours / beside:.2f} times", target is None or ours / beside <= target
        wanted = f"at most {target} times"
    elif kind == "share":
        result, reached = f"{ours / beside:.2f} of it", ours / beside >= target
        wanted = f"at least {target}"
    elif kind == "is":
        result, reached = f"{ours / beside:.2f} times" if beside else "", ours <= target
        wanted = f"at most {target / 1000:.0f} MB" if target >= 1000 else f"at most {target}"
    else:
        return "", "", ""
    return result, wanted if target else "", ("yes" if reached else "NO") if target else ""


def make(samples, peer, many):
    rows = [["Figure", "vmd", *([peer] if peer else []), "Beside", "", "vmd to that", "Target", "Reached"]]
    for what, name, unit, beside, beside_text, kind, target in ROWS:
        ours, other = median_of(samples, name), median_of(samples, beside) if beside else None
        if ours is None or (beside and other is None):
            continue
        theirs = samples.median(name.rsplit(".", 1)[0] + ".libvirt")
        show = next(row[2] for row in ROWS if row[1] == name and row[2])
        other_text = (show if beside and beside.split(".")[0] == name.split(".")[0] else ms)(other) if beside else ""
        row = [what.replace("200th", f"{many}th"), show(ours) if unit else ""]
        if peer:
            row.append(show(theirs) if theirs and unit else "")
        rows.append([*row, other_text, beside_text.replace("199", str(many - 1)), *compare(kind, target, ours, other)])
    return rows


def text(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)
