# SPDX-License-Identifier: Apache-2.0
"""The machine a table was made on: a figure without it means nothing."""

import json
import os
import platform
import statistics
import subprocess
import time

from driver.server import find_program

SYNC_COUNT = 200
SYNC_BYTES = 64 * 1024
WRITE_BYTES = 256 * 1024 * 1024


def _first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if lines else "unknown"


def _cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as info:
        for line in info:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib():
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def file_system(folder):
    """The type of the file system the folder lies on."""
    best = ("", "unknown")
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
        for line in mounts:
            fields = line.split()
            inside = os.path.realpath(folder).startswith(fields[1].rstrip("/") + "/")
            if inside and len(fields[1]) >= len(best[0]):
                best = (fields[1], fields[2])
    return best[1]


def _sync_latencies_ms(path):
    """fdatasync after appending 64 KiB, which is what a group commit does."""
    latencies = []
    block = b"x" * SYNC_BYTES
    with open(path, "wb", buffering=0) as file:
        for _ in range(SYNC_COUNT):
            file.write(block)
            begin = time.monotonic()
            os.fdatasync(file.fileno())
            latencies.append((time.monotonic() - begin) * 1000)
    return sorted(latencies)


def _write_mib_per_second(path):
    block = b"x" * (1024 * 1024)
    begin = time.monotonic()
    with open(path, "wb", buffering=0) as file:
        for _ in range(WRITE_BYTES // len(block)):
            file.write(block)
        os.fdatasync(file.fileno())
    return WRITE_BYTES / 2**20 / (time.monotonic() - begin)


def _disk(folder):
    path = os.path.join(folder, "probe")
    try:
        latencies = _sync_latencies_ms(path)
        speed = _write_mib_per_second(path)
    finally:
        os.unlink(path)
    return (
        f"{file_system(folder)}; fdatasync of 64 KiB: median {statistics.median(latencies):.2f} ms, "
        f"p99 {latencies[int(len(latencies) * 0.99)]:.2f} ms; {speed:.0f} MiB/s written and synced"
    )


def _build_type(build):
    try:
        with open(os.path.join(build, "meson-info", "intro-buildoptions.json"), "rb") as file:
            options = {option["name"]: option["value"] for option in json.load(file)}
    except OSError:
        return "no meson build"
    return f"buildtype {options['buildtype']}, optimization {options['optimization']}"


def describe(settings):
    """Pairs of a name and a text."""
    facts = [
        ("processor", f"{_cpu_model()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB"),
        ("kernel", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("disk", _disk(settings.folder)),
    ]
    if os.access(settings.wyze, os.X_OK):
        version = _first_line([settings.wyze, "version"])
        facts.append(("wyze", f"{version} ({_build_type(settings.build)})"))
    if find_program("mosquitto"):
        facts.append(("mosquitto", _first_line([find_program("mosquitto"), "-h"])))
    if find_program("nats-server"):
        facts.append(("nats-server", _first_line([find_program("nats-server"), "--version"])))
    return facts
