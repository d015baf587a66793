# SPDX-License-Identifier: Apache-2.0
"""The tests of crashes, faults and power cuts, for as long as one likes: SOAK_KILLS kills and cuts
(100), SOAK_SCRIPT_KILLS of each kind under a script that counts (1000, some ten minutes a kind), and
faults, flipped bits and plain load for SOAK_SECONDS each (300);
a flood of SOAK_TOPICS (1000000) topics that no rule maps."""

import os
import pathlib
import subprocess
import sys
import time

SYSTEM = pathlib.Path(__file__).resolve().parents[1] / "system"
sys.path.insert(0, str(SYSTEM))

from conftest import make_wyze  # noqa: E402, F401  (a fixture)
from trial import Trial, make_seed  # noqa: E402

SECONDS = int(os.environ.get("SOAK_SECONDS", "300"))
KILLS = os.environ.get("SOAK_KILLS", "100")
SCRIPT_KILLS = os.environ.get("SOAK_SCRIPT_KILLS", "1000")
TOPICS = os.environ.get("SOAK_TOPICS", "1000000")
GROWTH_MAX_KIB = 16 * 1024


def run_tests(*names, **environment):
    done = subprocess.run([sys.executable, "-m", "pytest", "-x", "-q", *names], cwd=SYSTEM,
                          env={**os.environ, **environment}, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr


def test_kills():
    run_tests("test_crash.py", WZ_SOAK_KILLS=KILLS, WZ_SOAK_CALLS=KILLS)


def test_power_cuts():
    run_tests("test_power_cut.py", WZ_SOAK_CUTS=KILLS)


def test_sessions():
    run_tests("test_sessions.py", WZ_SOAK_KILLS=KILLS, WZ_SOAK_CALLS=KILLS, WZ_SOAK_CUTS=KILLS)


def test_exactly_once():
    run_tests("test_exactly_once.py", "-k", "killed or power", WZ_SOAK_KILLS=SCRIPT_KILLS,
              WZ_SOAK_CUTS=SCRIPT_KILLS)


def test_flood_of_unknown_topics():
    run_tests("test_inbox_flood.py", WZ_SOAK_TOPICS=TOPICS)


def test_faults_and_flipped_bits():
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        run_tests("test_faults.py", "test_flipped_bits.py")  # each time with fresh seeds


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def test_load(make_wyze, tmp_path):  # noqa: F811
    """Under a steady load memory stays where it is."""
    trial = Trial(make_wyze(), tmp_path, make_seed("load"), rate=2000).begin()
    try:
        trial.ledger.wait_acked(10_000, 60)
        before = resident_kib(trial.wyze.process.pid)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            trial.ledger.wait_acked(2000)
            trial.check()
            assert resident_kib(trial.wyze.process.pid) < before + GROWTH_MAX_KIB
        trial.finish()
    finally:
        trial.abandon()
