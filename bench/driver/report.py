# SPDX-License-Identifier: Apache-2.0
"""Medians, the table on the terminal and the same table as Markdown."""

import statistics

COLUMNS = ["what", "server", "messages/s", "CPU us/msg", "p50 us", "p99 us", "p99.9 us",
           "RSS MiB", "remarks", "target", "met"]

# What scripts add.
SCRIPT_REMARKS = {
    "loop_us": "loop thread {:.2f} us/msg",
    "taken_rate": "taken in at {:,.0f}/s",
    "bare_rate": "bare Python {:,.0f}/s",
    "bare_us": "and {:.2f} us",
    "bare_percent": "{:.0f} % of its rate",
    "idle_p99_us": "p99 of the publisher while nothing runs {:,.0f} us",
    "probe_ratio": "{:.2f} times that",
    "started_ms": "started after {:.0f} ms",
    "slowest_ms": "the slowest after {:.0f} ms",
}

# What devices and changes of the mapping add.
MAPPING_REMARKS = {
    "few_us": "CPU {:.2f} us/msg at 10 devices",
    "few_instructions": "{:,.0f} instructions/msg at 10 devices",
    "many_ratio": "{:.2f} times that at 100,000",
    "captures_ratio": "{:.2f} times with captures",
    "few_misses": "misses of the first cache {:.1f}/msg at 10 devices",
    "many_misses": "{:.1f} at 100,000",
    "captures_misses": "{:.1f} with captures",
    "few_last_misses": "of the last cache {:.2f}",
    "many_last_misses": "{:.2f}",
    "captures_last_misses": "{:.2f}",
    "device_bytes": "{:,.0f} bytes a device",
    "mapped_us": "CPU {:.2f} us/msg when captures map them",
    "unmapped_ratio": "{:.2f} times that",
    "mapped_mib": "{:.1f} MiB resident then",
    "change_ms": "in force after {:.1f} ms",
    "change_most_ms": "at most {:.1f}",
    "loop_change_us": "loop thread {:,.0f} us a change",
    "stall_us": "the longest ping {:,.0f} us",
    "quiet_stall_us": "{:,.0f} without changes",
}

# What a restart, a compaction and a session that was left add.
DURABLE_REMARKS = {
    "crash_ms": "after SIGKILL {:,.0f} ms",
    "restarted_mib": "{:.1f} MiB once restarted",
    "left_bytes": "{:,.0f} bytes once left",
    "loaded_bytes": "{:,.0f} bytes once restarted",
    "plain_p99_us": "p99 without compaction {:,.0f} us",
    "p99_ratio": "{:.2f} times that",
    "compactions": "{:,.0f} segments compacted",
    # And what many scripts cost the loop thread.
    "loop_none_us": "loop thread {:.2f} us/msg without scripts",
    "loop_one_us": "{:.2f} with one",
    "loop_ten_us": "{:.2f} with ten",
    "scripts_ratio": "that is {:.2f} times one's",
    # And what rules of the passthrough cost.
    "rule_none_us": "CPU {:.2f} us/msg without rules",
    "rule_other_us": "{:.2f} with one that matches none",
    "rule_pass_us": "{:.2f} when all pass",
    "rule_drop_us": "{:.2f} when one drops them",
    "rule_loop_none_us": "of the loop thread {:.2f}",
    "rule_loop_other_us": "{:.2f}",
    "rule_loop_pass_us": "{:.2f}",
    "rule_loop_drop_us": "{:.2f}",
}


def medians(runs):
    """The median of each value over the runs; None where nothing was measured."""
    names = {name for run in runs for name in run}
    result = {}
    for name in names:
        seen = [run[name] for run in runs if run.get(name) is not None]
        result[name] = statistics.median(seen) if seen else None
    return result


def _number(value, form):
    return "" if value is None else format(value, form)


def _remarks(values):
    remarks = []
    if values.get("short"):
        remarks.append(f"{values['short']:,.0f} of {values['messages']:,.0f} missing")
    if values.get("doubled"):
        remarks.append(f"{values['doubled']:,.0f} doubled")
    if values.get("workers_us"):
        remarks.append(f"workers {values['workers_us']:.2f} us/msg")
    if values.get("late_p99_us") is not None:
        remarks.append(f"generator late p99 {values['late_p99_us']:,.0f} us")
    if values.get("start_ms") is not None:
        remarks.append(f"listening after {values['start_ms']:.0f} ms")
    if values.get("conn_bytes") is not None:
        remarks.append(f"{values['conn_bytes']:,.0f} bytes a connection")
    for name, form in {**SCRIPT_REMARKS, **MAPPING_REMARKS, **DURABLE_REMARKS}.items():
        if values.get(name) is not None:
            remarks.append(form.format(values[name]))
    return "; ".join(remarks)


def _met(targets, values):
    if targets and values.get("short"):
        return "no: messages missing"
    if targets and values.get("doubled"):
        return "no: messages doubled"
    words = {True: "yes", False: "no", None: "not measured"}
    return ", ".join(words[target.met(values)] for target in targets)


def row(line, server, values, trouble=None):
    """One row. Targets are wyze's; what kept a server from being measured is a remark."""
    targets = line.targets if server == "wyze" else []
    cells = [line.title, server]
    if trouble is not None:
        cells += [""] * 6 + [trouble]
    else:
        cells += [
            _number(values.get("rate"), ",.0f"),
            _number(values.get("cpu_us"), ".2f"),
            _number(values.get("p50_us"), ",.0f"),
            _number(values.get("p99_us"), ",.0f"),
            _number(values.get("p999_us"), ",.0f"),
            _number(values.get("rss_mib"), ".1f"),
            _remarks(values),
        ]
    cells.append("; ".join(target.text for target in targets))
    cells.append("" if trouble is not None else _met(targets, values))
    return cells


def log_row(result):
    """A row from one line of log_bench, or from what kept it from being measured."""
    if isinstance(result, str):
        return ["log", "wyze", *[""] * 6, result, "", ""]
    met = {True: "yes", False: "no"}.get(result.get("met"), "")
    said = f"{result['value']:,g} {result['unit']}"
    return [result["name"], "wyze", "", "", "", "", "", "", said, result.get("target", ""), met]


def markdown(facts, rows, note):
    """The machine, then the table."""
    text = [f"- {name}: {value}" for name, value in facts]
    text += ["", note, "", "| " + " | ".join(COLUMNS) + " |"]
    text.append("|" + "---|" * len(COLUMNS))
    text += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in rows]
    return "\n".join(text) + "\n"


def terminal(facts, rows, note):
    """The same with columns padded for a terminal."""
    table = [COLUMNS, *rows]
    widths = [max(len(cells[i]) for cells in table) for i in range(len(COLUMNS))]
    text = [f"{name + ':':13} {value}" for name, value in facts] + ["", note, ""]
    for cells in table:
        text.append("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
    return "\n".join(text) + "\n"
