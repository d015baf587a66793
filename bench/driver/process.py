# SPDX-License-Identifier: Apache-2.0
"""What the kernel tells of a server process: processor time, memory, children."""

import os
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
QUIET_INTERVAL_S = 0.1
QUIET_INTERVALS = 5
QUIET_TIMEOUT_S = 120


def _stat_fields(pid, thread=None):
    path = f"/proc/{pid}/stat" if thread is None else f"/proc/{pid}/task/{thread}/stat"
    with open(path, encoding="ascii", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()


def cpu_seconds(pid):
    """utime + stime of one process with all its threads, the ended ones too."""
    fields = _stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def first_thread_cpu_seconds(pid):
    """utime + stime of the thread that the process began with: wyze's loop."""
    fields = _stat_fields(pid, thread=pid)
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def descendants(pid):
    """All processes below pid: a script's worker is one."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parents[int(name)] = int(_stat_fields(name)[1])
            except OSError:
                continue  # It ended since the folder was listed.
    found = []
    wanted = [pid]
    while wanted:
        parent = wanted.pop()
        children = [child for child, its_parent in parents.items() if its_parent == parent]
        found += children
        wanted += children
    return found


def workers_cpu_seconds(pid):
    """utime + stime of the processes below pid."""
    return sum(cpu_seconds(child) for child in descendants(pid))


def rss_bytes(pid):
    """Resident memory of one process."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise OSError(f"process {pid} has no resident memory: it ended")


def wait_quiet(pid):
    """Waits until the process has used no more than a tick of processor for half a second.

    What a server still does after the last message belongs to its messages."""
    deadline = time.monotonic() + QUIET_TIMEOUT_S
    quiet = 0
    before = cpu_seconds(pid)
    while quiet < QUIET_INTERVALS and time.monotonic() < deadline:
        time.sleep(QUIET_INTERVAL_S)
        now = cpu_seconds(pid)
        quiet = quiet + 1 if now - before <= 1.5 / TICKS_PER_SECOND else 0
        before = now


def loop_seconds(pid):
    """How long the process's first thread has run, in wyze the loop thread; finer than ticks."""
    with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as stat:
        return int(stat.read().split()[0]) / 1e9
