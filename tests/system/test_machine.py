# SPDX-License-Identifier: Apache-2.0
"""A real machine: 22,695 temperature readings go in over MQTT, a script raises alarms at a siren, and
the alarms are looked up against the failures that people who know the cause have labelled.

The series is `shared/data` beside the clone (Numenta Anomaly Benchmark, MIT); without it the same is
done with a series made here, and the test says so."""

import csv
import datetime
import json
import math
import pathlib
import warnings

from conftest import ROOT

DATA = pathlib.Path(ROOT).parent / "shared" / "data"
SERIES = "machine_temperature_system_failure.csv"

MAPPING = """[Device]
"plant/press/7" = "hall.press"
"plant/siren/1" = "hall.siren"

[Subtopic]
"T" = "temperature"
"S" = "alarm"

[Types]
input = status
output = command
"""

# An alarm when a reading is far below what the last two weeks' extremes allow, once in 6 hours.
SCRIPT = """# wyze: on raw:hall.press.temperature
import datetime

LOW = 45.0
HIGH = 105.0
QUIET = datetime.timedelta(hours=6)
last = {}


def handle_input(msg, context):
    value = msg["celsius"]
    at = datetime.datetime.fromisoformat(msg["at"])
    if LOW <= value <= HIGH:
        return
    if "alarm" in last and at - last["alarm"] < QUIET:
        return
    last["alarm"] = at
    context.emit("hall.siren.alarm.output", {"at": msg["at"], "celsius": value})
"""


def real_series():
    with open(DATA / SERIES, newline="") as file:
        readings = [(row["timestamp"], row["value"]) for row in csv.DictReader(file)]
    windows = json.loads((DATA / "known_failures.json").read_text())[SERIES]
    return readings, windows


def made_series():
    start = datetime.datetime(2020, 1, 1)
    readings = []
    for i in range(22695):
        value = 85 + 10 * math.sin(i / 288)
        if 12000 <= i < 12200 or 20000 <= i < 20100:
            value = 20.5
        readings.append((str(start + datetime.timedelta(minutes=5 * i)), repr(value)))
    windows = [[readings[11900][0], readings[12300][0]], [readings[19900][0], readings[20200][0]]]
    return readings, windows


def test_a_machines_readings_all_arrive_and_its_failures_raise_alarms(make_wyze, tmp_path):
    if (DATA / SERIES).exists():
        readings, windows = real_series()
        assert len(readings) == 22695
    else:
        warnings.warn("shared/data is not there: run with a series made up instead of the real one")
        readings, windows = made_series()
    wyze = make_wyze().start()
    wyze.import_mapping(MAPPING)
    script = tmp_path / "watch.py"
    script.write_text(SCRIPT)
    wyze.cli("script", "deploy", str(script))
    siren = wyze.client("siren")
    siren.subscribe("plant/siren/1/S/command", 1)
    press = wyze.client("press")
    infos = [
        press.publish("plant/press/7/T/status", f'{{"at":"{at}","celsius":{value}}}', wait=False)
        for at, value in readings
    ]
    for info in infos:
        info.wait_for_publish(60)

    records = wyze.records("raw-stream", "hall.press.temperature")
    assert [r["body"]["at"] for r in records] == [at for at, _ in readings]
    assert [r["body"]["celsius"] for r in records] == [float(value) for _, value in readings]
    assert len({r["body"]["_id"] for r in records}) == len(readings)

    expected = expected_alarms(readings)
    siren.wait_for(len(expected), 60)
    alarms = [json.loads(message.payload) for message in siren.got]
    assert [alarm["at"] for alarm in alarms] == expected
    commands = wyze.records("processed-stream", "hall.siren.alarm.output")
    parents = {r["body"]["_id"] for r in records}
    assert len(commands) == len(alarms)
    assert all(command["body"]["_parent"] in parents for command in commands)

    found = [window for window in windows if any(inside(alarm["at"], window) for alarm in alarms)]
    outside = [a["at"] for a in alarms if not any(inside(a["at"], w) for w in windows)]
    print(f"{len(alarms)} alarms, {len(found)} of {len(windows)} labelled failures met,"
          f" {len(outside)} alarms outside of them")
    assert len(found) >= 2
    assert len(outside) <= len(alarms) / 2
    press.close()
    siren.close()


def expected_alarms(readings):
    """What the script has to say, worked out here by itself."""
    alarms, last = [], None
    for at, value in readings:
        time = datetime.datetime.fromisoformat(at)
        if 45.0 <= float(value) <= 105.0:
            continue
        if last is None or time - last >= datetime.timedelta(hours=6):
            alarms.append(at)
            last = time
    return alarms


def inside(at, window):
    time = datetime.datetime.fromisoformat(at)
    first, last = (datetime.datetime.fromisoformat(edge) for edge in window)
    return first <= time <= last
