# SPDX-License-Identifier: Apache-2.0
"""A script counts each message once in its state and once on processed-stream, whatever dies: its
worker, wyze, the machine."""

import json
import random
import os
import signal
import time

import pytest
from conftest import until
from trial import Trial, make_seed

COUNTER = """
def handle_input(msg, context):
    n = context.get_state("n", 0) + 1
    context.set_state("n", n)
    context.emit("count.out", {"n": n})
"""


@pytest.fixture
def make_trial(make_wyze, tmp_path):
    trials = []

    def make(seed, **options):
        trials.append(Trial(make_wyze(), tmp_path, seed, **options))
        return trials[-1]

    yield make
    for trial in trials:
        trial.abandon()


def deploy(wyze, folder, name="count", code=COUNTER, *flags):
    path = folder / f"{name}.py"
    path.write_text(code)
    wyze.cli("script", "deploy", str(path), "--on", "raw:#", *flags)


def script(wyze, name="count"):
    for line in wyze.cli("script", "ls", "--json").stdout.splitlines():
        row = json.loads(line)
        if row["name"] == name:
            return row
    return None


def caught_up(wyze, name="count"):
    row = script(wyze, name)
    return row["status"] == "running" and row["lag"] == 0


def check_once(wyze):
    """Every record has one output, in order, with the right number and the right cause."""
    inputs = wyze.records("raw-stream")
    outputs = wyze.records("processed-stream", pattern="count.out")
    numbers = [record["body"]["n"] for record in outputs]
    assert numbers == list(range(1, len(outputs) + 1))
    # The script came when some records were there already.
    inputs = inputs[len(inputs) - len(outputs) :]
    causes = [record["body"]["_parent"] for record in outputs]
    assert sorted(causes) == sorted(record["body"]["_id"] for record in inputs)
    assert len(set(causes)) == len(causes)
    return len(outputs)


@pytest.mark.parametrize("kills", [3])
def test_wyze_is_killed(make_trial, tmp_path, kills):
    trial = make_trial(make_seed("once"))
    trial.begin()
    deploy(trial.wyze, tmp_path)
    for _ in range(kills):
        trial.ledger.wait_acked(random.Random().randrange(300, 1500))
        trial.crash()
        trial.start()
    trial.ledger.wait_acked(500)
    trial.ledger.drain()
    until(lambda: caught_up(trial.wyze), 20, "it does not catch up")
    time.sleep(0.5)
    check_once(trial.wyze)
    trial.finish()
