# SPDX-License-Identifier: Apache-2.0
"""Where a script's life begins and ends: a new one at the place it asks for, one of a name that was
removed with nothing of the one before."""

import json
import re
import time
import urllib.error
import urllib.request

import pytest
from conftest import until
from ledger import mapping
from test_exactly_once import COUNTER, put_document, script, wait_outputs, wait_status

# Its worker does not end before it is killed; until then what it has kept is in the journal.
SLOW_TO_STOP = """
import time
def handle_input(msg, context):
    n = context.get_state("n", 0) + 1
    context.set_state("n", n)
    context.emit("count.out", {"n": n})

def stop(context):
    time.sleep(60)
"""


def remove(wyze, name="count"):
    """Returns when the removal is answered."""
    request = urllib.request.Request(wyze.url(f"/api/v1/scripts/{name}"), method="DELETE")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 204


def publish(wyze, count):
    client = wyze.client()
    for _ in range(count):
        client.publish("ledger/0/status", "1")
    client.close()


def numbers(wyze, count):
    return [record["body"]["n"] for record in wait_outputs(wyze, count)]


def test_a_script_made_anew_has_nothing_of_the_one_that_was_removed(make_wyze):
    """Killed when the removal has been answered, while the old worker still ends: once with the new
    script saved, once before."""
    wyze = make_wyze().start()
    wyze.import_mapping(mapping(1))
    count = 0
    for again_before in (True, False):
        put_document(wyze, "count", SLOW_TO_STOP)
        wait_status(wyze)
        publish(wyze, 5)
        count += 5
        assert numbers(wyze, count)[-5:] == [1, 2, 3, 4, 5]
        remove(wyze)
        if again_before:
            put_document(wyze, "count", SLOW_TO_STOP)
        wyze.kill()
        wyze.start()
        if not again_before:
            put_document(wyze, "count", SLOW_TO_STOP)
        wait_status(wyze)
        publish(wyze, 2)
        count += 2
        assert numbers(wyze, count)[-2:] == [1, 2]
        until(lambda: script(wyze)["state_keys"] == 1)
        remove(wyze)
        until(lambda: script(wyze)["status"] == "none")


ECHO = """
def handle_input(msg, context):
    context.emit("count.out", {"n": msg["value"]})
"""


@pytest.fixture
def mapped(make_wyze):
    wyze = make_wyze().start()
    wyze.import_mapping(mapping(1))
    return wyze


def deploy(wyze, *options, code=ECHO, check=True):
    path = wyze.log_path.parent / "count.py"
    path.write_text(code)
    return wyze.cli("script", "deploy", str(path), "--on", "raw:#", *options, check=check)


def send(wyze, *values):
    client = wyze.client()
    for value in values:
        client.publish("ledger/0/status", str(value))
    client.close()


def check_outputs(wyze, *values):
    """These are all there are."""
    assert numbers(wyze, len(values)) == [str(value) for value in values]
    until(lambda: script(wyze)["lag"] == 0)
    assert len(wyze.records("processed-stream", pattern="count.out")) == len(values)


def test_a_new_script_begins_with_what_comes_from_its_deployment_on(mapped):
    send(mapped, 1, 2)
    deploy(mapped)
    send(mapped, 3)
    check_outputs(mapped, 3)


@pytest.mark.parametrize("kill", [True, False])
def test_a_script_deployed_stopped_gets_what_came_since(mapped, kill):
    """Though wyze is killed when the deployment has returned."""
    send(mapped, 1, 2)
    deploy(mapped, "--stopped")
    if kill:
        mapped.kill()
        mapped.start()
    send(mapped, 3, 4)
    mapped.cli("script", "start", "count")
    send(mapped, 5)
    check_outputs(mapped, 3, 4, 5)


def test_a_script_that_ends_itself_in_init_is_not_said_to_run(mapped):
    code = "def init(context):\n    context.terminate('nothing to do')\n" + ECHO
    for text in code, code + "\n":
        assert re.fullmatch(r"script count, revision \d: has ended: .*nothing to do\n",
                            deploy(mapped, code=text).stderr)
    assert script(mapped)["status"] == "stopped"
    assert deploy(mapped, "--stopped", code=code).stderr.endswith(": saved\n")
    assert deploy(mapped).stderr.endswith(": runs\n")


def test_a_script_killed_when_its_deployment_has_returned_begins_there(mapped):
    for value in range(5):
        mapped.cli("script", "rm", "count", check=value > 0)
        deploy(mapped, "--from", "now", code=ECHO + f"# {value}\n")
        mapped.kill()
        mapped.start()
        send(mapped, value)
        check_outputs(mapped, *range(value + 1))


def test_a_new_script_begins_where_it_is_told_to(mapped):
    send(mapped, 1)
    until(lambda: len(mapped.records()) == 1)
    time.sleep(0.01)  # what comes in the same millisecond has the same time
    send(mapped, 2)
    until(lambda: len(mapped.records()) == 2)
    middle = mapped.records()[1]["append_time"]
    expected = []
    for start, values in (("first", [1, 2]), ("-1h", [1, 2]), (middle, [2]), ("@1", [2]),
                          ("now", []), ("end", [])):
        deploy(mapped, "--from", start)
        assert json.loads(mapped.cli("script", "get", "count", "--json").stdout)["start"] == start
        expected += values
        check_outputs(mapped, *expected)
        mapped.cli("script", "rm", "count")


def test_a_script_that_was_there_is_not_moved(mapped):
    send(mapped, 1, 2)
    deploy(mapped)
    send(mapped, 3)
    check_outputs(mapped, 3)
    said = deploy(mapped, "--from", "first", code=ECHO + "\n").stderr
    assert "it goes on where it is" in said
    mapped.kill()
    mapped.start()
    wait_status(mapped)
    send(mapped, 4)
    check_outputs(mapped, 3, 4)


def test_a_start_that_cannot_be_is_refused_with_its_mend(mapped):
    done = deploy(mapped, "--from", "yesterday", check=False)
    assert done.returncode == 3
    assert "yesterday" in done.stderr and '"-1h"' in done.stderr
    with pytest.raises(urllib.error.HTTPError) as refused:
        put_document(mapped, "count", ECHO, start="tomorrow")
    problem = json.load(refused.value)
    assert refused.value.code == 422 and '"first"' in problem["fix"]
    assert script(mapped)["status"] == "none"


def test_an_idle_script_has_no_lag_after_a_crash(mapped):
    deploy(mapped, code=COUNTER)
    send(mapped, 1, 2)
    wait_outputs(mapped, 2)
    until(lambda: script(mapped)["lag"] == 0)
    for _ in range(3):
        mapped.kill()
        mapped.start(wait=False)
        seen = []
        mapped.wait_ready()
        until(lambda: seen.append(script(mapped)) or seen[-1]["status"] == "running")
        assert {row["lag"] for row in seen if "lag" in row} <= {0}
