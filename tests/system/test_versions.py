# SPDX-License-Identifier: Apache-2.0
"""What a script's document was before: listed, compared, and run again."""

import json

import pytest
from conftest import BUILD, until

pytestmark = pytest.mark.skipif(not (BUILD / "src/worker/wyze-python").exists(),
                                reason="no worker was built")

CODE = """# wyze: on raw:bedroom.#
def handle_input(msg, context):
    return "house.said", {"value": "%s"}
"""


def deploy(wyze, said, check=True):
    path = wyze.data.parent / "alarm.py"
    path.write_text(CODE % said if "def" not in said else said)
    return wyze.cli("script", "deploy", str(path), check=check)


def say(wyze):
    """What the script that runs now answers."""
    before = len(wyze.records("processed-stream", "house.said"))
    wyze.cli("pub", "mesh/b5ea3f/42/M/status", "1")
    said = until(lambda: wyze.records("processed-stream", "house.said")[before:])
    return said[0]["body"]["value"]


def log(wyze, *flags):
    return [json.loads(line) for line in
            wyze.cli("script", "log", "alarm", *flags).stdout.splitlines()]


def test_rollback_runs_the_version_before_and_any_other(wyze):
    for said in "one", "two", "three":
        deploy(wyze, said)
    assert say(wyze) == "three"
    done = wyze.cli("script", "rollback", "alarm")
    assert done.stderr == "script alarm, revision 4, as revision 2 was: runs\n"
    assert say(wyze) == "two"
    wyze.cli("script", "rollback", "alarm", "1")
    assert say(wyze) == "one"
    assert [item["revision"] for item in log(wyze)] == [5, 4, 3, 2, 1]
    assert wyze.cli("script", "rollback", "alarm", "9", check=False).returncode == 4


def test_log_shows_what_changed_in_the_code(wyze):
    deploy(wyze, "one")
    deploy(wyze, "two")
    wyze.cli("script", "stop", "alarm")
    stopped, two, one = log(wyze, "--diff")
    assert stopped["changed"] == ["active"] and "diff" not in stopped
    assert two["changed"] == ["code"]
    assert two["diff"].splitlines()[-2:] == ['-    return "house.said", {"value": "one"}',
                                             '+    return "house.said", {"value": "two"}']
    assert "changed" not in one and "diff" not in one
    shown = wyze.cli("script", "log", "alarm", "--diff", "--output", "table").stdout
    assert two["diff"] in shown


def test_rollback_to_a_version_that_is_not_valid_says_why(wyze):
    deploy(wyze, "one")
    assert deploy(wyze, "def handle_input(msg): return 1/0\n# wyze: on raw:#", check=False).returncode == 3
    wyze.cli("script", "rollback", "alarm")
    assert say(wyze) == "one"
    done = wyze.cli("script", "rollback", "alarm", "2", check=False)
    assert done.returncode == 3 and "alarm:1" in done.stderr


def test_a_script_that_was_removed_comes_back(wyze):
    deploy(wyze, "one")
    deploy(wyze, "two")
    wyze.cli("script", "rm", "alarm")
    assert [item["revision"] for item in log(wyze)] == [2, 1]
    wyze.cli("script", "rollback", "alarm")
    assert say(wyze) == "two"
    assert [item["revision"] for item in log(wyze)] == [1]


def test_versions_survive_a_kill_and_are_listed_without_a_server(wyze):
    deploy(wyze, "one")
    deploy(wyze, "two")
    wyze.kill()
    assert [item["revision"] for item in log(wyze)] == [2, 1]
