# SPDX-License-Identifier: Apache-2.0
"""What the API answers about scripts is what docs/openapi.json says it answers."""

import json
import urllib.error
import urllib.request

import pytest
from conftest import BUILD, ROOT, SEED_MAPPING, until
from faults import preload_faults, set_faults

pytestmark = pytest.mark.skipif(not (BUILD / "src/worker/wyze-python").exists(),
                                reason="no worker was built")

OPENAPI = json.loads((ROOT / "docs/openapi.json").read_text())
KINDS = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool,
         "null": type(None)}

CODE = """# wyze: on raw:bedroom.#
def handle_input(msg, context):
    context.set_state("n", context.get_state("n", 0) + 1)
    print("at", msg["value"])
    int(msg["value"])
"""


def disagreement(value, schema, where="answer"):
    """What of the value is not as the schema says; None: nothing. Members that it does not name are
    not allowed, so that what is answered is described."""
    while "$ref" in schema:
        schema = OPENAPI["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    kind = schema.get("type")
    kinds = [kind] if isinstance(kind, str) else kind or []
    if kinds and not any(type(value) is KINDS[one] for one in kinds):
        return f"{where} is no {kind}: {value!r}"
    for name in schema.get("required", ()):
        if name not in value:
            return f"{where} has no {name}"
    found = None
    if kind == "object" and "properties" in schema:
        for name, member in value.items():
            if name not in schema["properties"]:
                return f"{where}.{name} is not described"
            found = found or disagreement(member, schema["properties"][name], f"{where}.{name}")
    if kind == "array":
        for member in value:
            found = found or disagreement(member, schema["items"], f"{where}[]")
    return found


def ask(wyze, method, route, query="", **captures):
    """The answer to a request, which is held against the description of the route."""
    path = route
    for name, value in captures.items():
        path = path.replace("{" + name + "}", str(value))
    request = urllib.request.Request(wyze.url(path + query), method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        value = json.load(answer)
        operation = OPENAPI["paths"][route][method.lower()]
        schema = operation["responses"][str(answer.status)]["content"]["application/json"]["schema"]
        assert disagreement(value, schema) is None
        return value


def give_two(wyze):
    """A script, "alarm 1", that was given two messages."""
    path = wyze.data.parent / "alarm.py"
    path.write_text(CODE)
    wyze.cli("script", "deploy", str(path), "--name", "alarm 1")
    for value in "1", "2":
        wyze.cli("pub", "mesh/b5ea3f/42/M/status", value)
    until(lambda: '"value":2' in wyze.cli("script", "state", "alarm 1").stdout)
    return wyze


@pytest.fixture
def alarm(wyze):
    return give_two(wyze)


def await_quarantine(wyze, count):
    until(lambda: len(wyze.cli("script", "quarantine", "ls", "alarm 1").stdout.splitlines()) == count,
          30)


NAME = {"name": "alarm%201"}
SCRIPT = "/api/v1/scripts/{name}"


def test_quarantine_is_listed_shown_retried_and_dropped(alarm):
    for value in "x", "y", "z":
        alarm.cli("pub", "mesh/b5ea3f/42/M/status", value)
    await_quarantine(alarm, 3)
    first = ask(alarm, "GET", SCRIPT + "/quarantine", "?limit=2", **NAME)
    assert first["more"] and len(first["items"]) == 2 and "ValueError" in first["items"][0]["reason"]
    rest = ask(alarm, "GET", SCRIPT + "/quarantine", f"?after={first['last']}", **NAME)
    assert not rest["more"] and len(rest["items"]) == 1
    numbers = [item["number"] for item in first["items"] + rest["items"]]
    one = ask(alarm, "GET", SCRIPT + "/quarantine/{number}", number=numbers[0], **NAME)
    assert one["body"]["value"] == "x" and "Traceback" in one["traceback"]
    assert one["state"] == {"n": 2} and one["topic"] == "bedroom.light.brightness"
    assert ask(alarm, "DELETE", SCRIPT + "/quarantine/{number}", number=numbers[0],
               **NAME)["count"] == 1
    assert ask(alarm, "POST", SCRIPT + "/quarantine/{number}/retry", number=numbers[1],
               **NAME)["count"] == 1
    await_quarantine(alarm, 2)
    assert ask(alarm, "POST", SCRIPT + "/quarantine/retry", **NAME)["count"] == 2
    await_quarantine(alarm, 2)
    assert ask(alarm, "DELETE", SCRIPT + "/quarantine", **NAME)["count"] == 2
    assert ask(alarm, "GET", SCRIPT + "/quarantine", **NAME) == {"items": [], "more": False}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask(alarm, "GET", SCRIPT + "/quarantine/{number}", number=numbers[0], **NAME)


def test_state_and_versions_are_listed(alarm):
    state = ask(alarm, "GET", SCRIPT + "/state", **NAME)
    assert state["items"] == [{"key": "n", "value": 2}]
    [version] = ask(alarm, "GET", SCRIPT + "/versions", **NAME)["items"]
    assert version["revision"] == 1 and version["time"].endswith("Z")
    document = ask(alarm, "GET", SCRIPT + "/versions/{revision}", revision=1, **NAME)
    assert document["code"] == CODE and "live" not in document


def test_state_that_changes_all_the_time_is_listed(alarm):
    client = alarm.client()
    for number in range(3, 303):
        client.publish("mesh/b5ea3f/42/M/status", str(number), wait=number == 302)
        if number % 5 == 0:
            [item] = ask(alarm, "GET", SCRIPT + "/state", **NAME)["items"]
            assert item["key"] == "n" and 2 <= item["value"] <= number
    client.close()
    until(lambda: ask(alarm, "GET", SCRIPT + "/state", **NAME)["items"][0]["value"] == 302, 30)


def test_state_that_is_not_on_the_disk_yet_is_waited_for(make_wyze, tmp_path):
    control = tmp_path / "faults"
    wyze = make_wyze()
    preload_faults(wyze, control)
    wyze.start()
    wyze.import_mapping(SEED_MAPPING)
    give_two(wyze)
    set_faults(control, "pwritev:delay:ms=700:path=/journal/")
    client = wyze.client()
    client.publish("mesh/b5ea3f/42/M/status", "3", qos=0, wait=False)
    until(lambda: "at 3" in wyze.log())
    [item] = ask(wyze, "GET", SCRIPT + "/state", **NAME)["items"]
    assert item["value"] in (2, 3)  # the step may have come into the journal meanwhile
    until(lambda: ask(wyze, "GET", SCRIPT + "/state", **NAME)["items"][0]["value"] == 3, 30)
    set_faults(control)
    client.close()


def test_state_that_counts_long_after_its_answer_is_told(make_wyze, tmp_path):
    control = tmp_path / "faults"
    wyze = make_wyze()
    preload_faults(wyze, control)
    wyze.start()
    wyze.import_mapping(SEED_MAPPING)
    (tmp_path / "alarm.py").write_text(CODE)
    wyze.cli("script", "deploy", str(tmp_path / "alarm.py"))

    def live():
        return json.loads(wyze.cli("script", "get", "alarm").stdout)["live"]

    until(lambda: live()["status"] == "running")
    set_faults(control, "fdatasync:delay:ms=1500:path=raw-stream")
    client = wyze.client()
    client.publish("mesh/b5ea3f/42/M/status", "1", qos=0, wait=False)
    until(lambda: live()["in"] == 1)
    until(lambda: live()["state_keys"] == 1, 10, "its state is not told")
    set_faults(control)
    client.close()


def test_restart_starts_new_workers(alarm):
    def pid():
        restarted = [line for line in alarm.log().splitlines() if "script.running" in line]
        return restarted[-1].split("pid=")[1].split()[0]

    before = pid()
    ask(alarm, "POST", SCRIPT + "/restart", **NAME)
    until(lambda: pid() != before, 30)
    before = pid()
    ask(alarm, "POST", "/api/v1/engine/restart")
    until(lambda: pid() != before, 30)


def test_what_scripts_say_is_a_stream_of_its_own(alarm):
    names = [item["name"] for item in ask(alarm, "GET", "/api/v1/streams")["items"]]
    assert names == ["raw-stream", "processed-stream", "script-log"]
    said = until(lambda: alarm.records("script-log", "alarm 1"))
    prints = [one["body"] for one in said if one["body"]["source"] == "print"]
    assert prints[0]["message"] == "at 1" and prints[0]["severity"] == "info"
    assert prints[0]["cause"] == alarm.records()[0]["body"]["_id"]
    assert alarm.records("script-log", "other") == []


def test_checker_of_answers_finds_what_is_wrong():
    page = {"$ref": "#/components/schemas/QuarantineDone"}
    assert disagreement({"count": 1, "more": False}, page) is None
    for wrong in ({"more": False}, {"count": "1", "more": False}, {"count": True, "more": False},
                  {"count": 1, "more": False, "mores": 1}, []):
        assert disagreement(wrong, page) is not None


LEAK = """# wyze: on raw:bedroom.#
def handle_input(msg, context):
    key = msg["value"]
    if key.startswith("no "):
        context.unset_state(key[3:])
    else:
        context.set_state(key, "x" * 10000)
"""


def test_state_stays_within_its_limit(make_wyze, tmp_path):
    """What would go beyond fails and says why, what was there stays, also through a start with a
    lower limit."""
    wyze = make_wyze()
    wyze.start("--scripts-max-state=128KiB")
    wyze.import_mapping(SEED_MAPPING)
    path = tmp_path / "leak.py"
    path.write_text(LEAK)
    wyze.cli("script", "deploy", str(path))

    def send(values):
        for value in values:
            wyze.cli("pub", "mesh/b5ea3f/42/M/status", value)

    def live():
        return json.loads(wyze.cli("script", "get", "leak").stdout)["live"]

    send(f"k{i}" for i in range(14))  # of 10,104 bytes each: 12 fit
    until(lambda: live()["quarantined"] == 2, 30)
    assert live()["state_keys"] == 12 and live()["retries"] == 0
    one = json.loads(wyze.cli("script", "quarantine", "show", "leak", "1").stdout)
    assert "wyze.LimitError: the state may take at most 131072 bytes" in one["traceback"]
    assert 'set_state(key, "x" * 10000)' in one["traceback"]
    wyze.kill()
    wyze.start("--scripts-max-state=64KiB")
    send(["k3", "no k5", "k14"])  # set anew, and taken out; but not one more
    until(lambda: live()["quarantined"] == 3, 30)
    keys = [json.loads(line)["key"] for line in wyze.cli("script", "state", "leak").stdout.splitlines()]
    assert sorted(keys) == sorted(f"k{i}" for i in range(12) if i != 5)
    assert live()["status"] == "running"
