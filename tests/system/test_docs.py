# SPDX-License-Identifier: Apache-2.0
"""Every fenced block of the pages is known here: it is run, or held against what wyze really says, or
it is a drawing. A new block that nobody has put into the table fails."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest
from conftest import ROOT, WYZE, until

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# Page and first line of a block -> what is done with it.
KNOWN = {
    ("README.md", "make run     # installs what is missing, builds, and shows it working with a dice and a lamp"): "make",
    ("README.md", "export WYZE_DATA=$PWD/dice-data PATH=$PWD/build/src:$PATH"): "shell",
    ("README.md", "wyze map export                               # the whole of it, as text"): "shell",
    ("README.md", "# alarm.py"): "python",
    ("README.md", "wyze script check alarm.py                    # says line and reason if something is wrong"): "shell",
    ("README.md", 'lamp      mesh/b5ea3f/43/M/command {"value":100}'): "lamp",
    ("docs/api.md", "curl http://127.0.0.1:5081/api/v1/status"): "curl",
    ("docs/api.md", "POST /api/v1/publish"): "request",
    ("docs/api.md", '{"offset":7,"append_time":"2026-02-02T02:40:00.123Z","topic":"a.b","headers":{"from":".."},"body":{..}}'): "record",
    ("docs/api.md", "event: gap"): "drawing",  # gateway/live_test.c makes such a gap
    ("docs/api.md", '{"type":"about:blank","title":"The name of a document is not valid","status":422,"code":"WYZ-2001",'): "problem",
    ("docs/architecture.md", "  device                                                                       app, command line, script"): "drawing",
    ("docs/architecture.md", "base < config < json, topic, wire < loop < stream, store < broker < bus < router, engine, gateway < cli < node < main"): "drawing",  # scripts/check-style holds the tree to it
    ("docs/cli.md", "wyze COMMAND [words] [flags]"): "drawing",
    ("docs/cli.md", "wyze map test mesh/b5ea3f/42/M/status 255"): "steps",
    ("docs/formats/record.md", '{"_id":"019c1c38-a47b-7cc3-98a2-3f1d2b6a9e11","_timestamp":1770000000123,"_topic":"bedroom.light.brightness","value":"255"}'): "body",
    ("docs/passthrough.md", "wyze passthrough set kitchen 'kitchen.#'"): "shell",
    ("docs/passthrough.md", '{"pattern": "kitchen.#", "order": 10, "rename": "home.{1}", "rate": 2,'): "rule",
    ("docs/inbox.md", "mosquitto_pub -t tele/plug1/SENSOR -m '{\"ENERGY\":{\"Power\":12}}'"): "inbox",
    ("docs/inbox.md", "wyze map inbox accept tele/plug1/SENSOR --route kitchen.plug"): "inbox",
    ("docs/inbox.md", "wyze map inbox reenter"): "inbox",
    ("docs/inbox.md", "wyze map inbox ignore 'homeassistant/#'"): "inbox",
    ("docs/mqtt.md", "mosquitto_sub -t '$SYS/broker/uptime' -C 1"): "sys",
    ("docs/formats/worker.md", "engine                          worker"): "drawing",
}


def blocks():
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.S | re.M):
            yield str(page.relative_to(ROOT)), match.group(1), match.group(2)


def block(page, kind):
    return [b for p, _, b in blocks() if p == page and KNOWN.get((p, b.split("\n", 1)[0])) == kind]


def test_every_block_of_the_pages_is_known():
    unknown = []
    for page, language, text in blocks():
        if language == "yaml" or (language == "sql" and page == "docs/formats/store.md"):
            continue  # run by the tests below
        if page == "docs/scripts.md":
            continue  # run by test_scripts_page.py
        if page == "docs/templates.md":
            continue  # run by test_templates.py
        if page == "docs/formats/mapping.md" or page == "docs/formats/worker.md":
            continue  # mapping: run below; worker: the order of frames, drawn
        if (page, text.split("\n", 1)[0]) not in KNOWN:
            unknown.append((page, text.split("\n", 1)[0]))
    assert unknown == []


def test_links_between_the_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_make_targets_of_the_readme_are_there():
    [text] = block("README.md", "make")
    for line in text.splitlines():
        target = line.split("#")[0].split()
        subprocess.run([*target, "-n"], cwd=ROOT, check=True, capture_output=True)


@pytest.fixture
def dice(make_wyze):
    wyze = make_wyze().start()
    wyze.cli("map", "import", str(ROOT / "examples/dice/mapping.conf"))
    wyze.cli("script", "deploy", str(ROOT / "examples/dice/lamp.py"))
    return wyze


def shell(wyze, line, folder):
    """Runs a line as a shell would, with the wyze that was built and this instance's folder."""
    line = re.sub(r"^wyze\b", shlex.quote(str(WYZE)), line)
    return subprocess.run(["bash", "-c", line], cwd=folder, env=wyze.env, capture_output=True,
                          text=True, timeout=30, check=False)


@pytest.fixture
def lamps(dice):
    """What examples/dice/lamps.py has shown, as a function."""
    said = dice.data.parent / "lamps"
    with said.open("wb") as out:
        shows = subprocess.Popen([ROOT / "examples/dice/lamps.py", "--port", str(dice.mqtt_port)],
                                 env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, stdout=out)

    def is_there():
        dice.cli("pub", "mesh/b5ea3f/42/M/command", "0")
        return said.read_text()

    until(is_there, 30)
    yield said.read_text
    shows.terminate()
    shows.wait(30)


def test_readme_line_by_line(dice, lamps, tmp_path):
    first, mapping, script = block("README.md", "shell")
    # As under "make run", the bedroom's lamp is being sent commands meanwhile.
    dice.cli("pub", "test/mqtt-dice/RES/status", "3")
    for line in [*first.splitlines()[1:], *mapping.splitlines()]:  # its first names make's folder
        done = shell(dice, line, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert "wyze sub" not in line or '"value":"255"' in done.stdout
    assert "hall.light" in shell(dice, "wyze device ls", tmp_path).stdout

    [code] = block("README.md", "python")
    (tmp_path / "alarm.py").write_text(code)
    for line in script.splitlines():
        done = shell(dice, line, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert '"value":100' in done.stdout
    [shown] = block("README.md", "lamp")
    until(lambda: shown in lamps(), what="the lamp did not get the command")


def test_passthrough_page_line_by_line(dice, tmp_path):
    [lines] = block("docs/passthrough.md", "shell")
    for line in lines.splitlines():
        done = shell(dice, line, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == \
        ["kitchen", "meter", "temps"]
    [rule] = block("docs/passthrough.md", "rule")
    request = urllib.request.Request(dice.url("/api/v1/passthrough/page"), rule.encode(),
                                     {"Content-Type": "application/json"}, method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 201


def example_env(data, free_port):
    env = {name: value for name, value in os.environ.items() if name != "WYZE_BUILD"}
    env |= {"DICE_MQTT_PORT": str(free_port()), "DICE_HTTP_PORT": str(free_port())}
    return env | {"WYZE_DATA": str(data)}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_make_run_shows_messages_and_what_to_type(tmp_path, free_port, end):
    data, said = tmp_path / "data", tmp_path / "said"
    env = example_env(data, free_port)
    with said.open("wb") as out:
        # A shell in the background lets its children ignore SIGINT; here it is Ctrl-C.
        run = subprocess.Popen([ROOT / "examples/dice/run", WYZE.parents[1]], env=env,
                               stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                               start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        throw = re.compile(r'^raw +game\.dice\.throw {"value":"([1-6])"}$', re.M)
        command = re.compile(r'^processed +bedroom\.light\.brightness\.output {"value":(\d+)}$', re.M)

        def answered():
            shown = said.read_text()
            expected = {round(int(pips) * 255 / 6) for pips in throw.findall(shown)}
            return expected & {int(value) for value in command.findall(shown)}

        until(answered, 30, "no throw whose command is shown")
        lines = re.findall(r"^  (export .*|wyze pub .*)$", said.read_text(), re.M)
        assert len(lines) == 3
        for line in lines[1:]:
            done = subprocess.run(["bash", "-c", lines[0] + "\n" + line], env=env,
                                  capture_output=True, text=True, timeout=30, check=False)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
        # Three programs show these, each in its own time.
        for shown in (r'bedroom\.light\.brightness {"value":"255"}',
                      r'processed game\.dice\.roll\.output {"value":"stop"}',
                      r'^lamp +mesh/b5ea3f/42/M/command {"value":\d+}$'):
            until(lambda: re.search(shown, said.read_text(), re.M), 30, f"{shown} is not shown")
    finally:
        os.killpg(run.pid, end)  # to all of them, as the terminal does it
        code = run.wait(30)
    assert code == 0
    shown = said.read_text()
    assert "wyze:" not in shown and "Warning" not in shown and "Traceback" not in shown
    assert not (data / "wyze.sock").exists(), "wyze outlives the example"


def test_make_run_names_the_variables_when_a_port_is_taken(tmp_path, free_port):
    env = example_env(tmp_path / "data", free_port)
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", int(env["DICE_MQTT_PORT"])))
        holder.listen()
        done = subprocess.run([ROOT / "examples/dice/run", WYZE.parents[1]], env=env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              check=False)
    assert done.returncode == 1
    assert "WYZ-1006" in done.stderr
    line = re.search(r"make run DICE_MQTT_PORT=\d+ DICE_HTTP_PORT=\d+", done.stderr)
    assert line and line[0] in (ROOT / "README.md").read_text()


def test_curl_lines_answer(dice, tmp_path):
    [text] = block("docs/api.md", "curl")
    for line in text.splitlines():
        line = line.replace(":5081", f":{dice.http_port}").replace("/var/lib/wyze", str(dice.data))
        done = shell(dice, line.replace("curl", "curl -sf", 1), tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        json.loads(done.stdout)


def test_request_record_and_problem_are_as_the_page_shows_them(dice):
    [text] = block("docs/api.md", "request")
    method_and_path, body = text.strip().split("\n")
    method, path = method_and_path.split()
    request = urllib.request.Request(dice.url(path), body.encode(), method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer)["stream"] == "raw-stream"
    [shown] = block("docs/api.md", "record")
    [record] = dice.records()
    assert list(record) == re.findall(r'[{,]"(\w+)":', shown.replace('{"from"', "("))
    [shown] = block("docs/formats/record.md", "body")
    assert list(json.loads(shown))[:3] == list(record["body"])[:3]
    [shown] = block("docs/api.md", "problem")
    request = urllib.request.Request(dice.url("/api/v1/devices/a%01b"), b"{}", method="PUT")
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=10)
    problem = json.load(raised.value)
    assert problem["code"] == "WYZ-2001" and problem["status"] == 422
    assert set(problem) <= set(re.findall(r'"(\w+)":', shown))


def test_inbox_line_by_line(dice, tmp_path):
    said = {}
    for text in block("docs/inbox.md", "inbox"):
        for line in text.splitlines():
            if line.startswith("wyze sub"):
                until(lambda: dice.records(pattern="kitchen.#"), what="it does not enter")
            done = shell(dice, line.replace("mosquitto_pub", f"mosquitto_pub -q 1 -p {dice.mqtt_port}"), tmp_path)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            said[line] = done.stdout
    assert "tele/plug2/SENSOR" in said["wyze map inbox ls"]
    assert "tasmota" in said["wyze map inbox show tele/plug1/SENSOR"]
    assert '"Power":12' in said["wyze sub 'kitchen.#' --from first --to end"]
    assert "homeassistant/#" in said["wyze map inbox ignore"]
    assert "plug2" in dice.cli("device", "ls").stdout


def test_a_message_step_by_step_as_the_page_shows_it(wyze, tmp_path):
    for name, pattern in (("dimmer", "raw:bedroom.#"), ("alarm", "processed:home.#")):
        path = tmp_path / f"{name}.py"
        path.write_text("def handle_input(msg, context): pass\n")
        wyze.cli("script", "deploy", str(path), "--on", pattern)
    wyze.cli("passthrough", "set", "lights", "bedroom.#", "--rename", "home.{1}", "--rate", "2")
    wyze.cli("passthrough", "set", "all", "#", "--order", "200")
    [text] = block("docs/cli.md", "steps")
    line, shown = text.split("\n", 1)
    said = shell(wyze, line + " --output table", tmp_path).stdout
    stamps = r'"_id":"[-0-9a-f]{36}","_timestamp":[0-9]{13}'
    assert len(re.findall(stamps, said)) == 1
    assert re.sub(stamps, "", said) == re.sub(stamps, "", shown)


def test_sys_topics_answer_and_the_page_has_their_names(dice, tmp_path):
    [text] = block("docs/mqtt.md", "sys")
    for line in text.splitlines():
        line = line.replace("mosquitto_sub", f"mosquitto_sub -p {dice.mqtt_port}")
        said = shell(dice, line, tmp_path).stdout
        assert said.count("\n") == int(re.search("-C ([0-9])", line + " -C 9")[1]) or "-W" in line
    names = set(re.findall(r"^\$SYS/broker/(retained messages/count|\S+) ", said, re.M))
    page = (ROOT / "docs/mqtt.md").read_text()
    listed, left_out = page.split("Other than with mosquitto:")
    shown = set(re.findall(r"`([a-z ]+(?:/[a-z0-9]+)*)`", listed.split("| below")[1]))
    assert len(names) == 49
    for name in names:
        assert name in shown or re.fullmatch("load/.*/(1min|5min|15min)", name), f"{name} is not on the page"
    for name in shown - {"sent", "dropped", "5min", "15min"}:
        assert name in names or f"{name}/1min" in names, f"there is no {name}"
    for name in ("heap/current", "heap/maximum", "store/messages/bytes", "shared_subscriptions/count"):
        assert f"`{name}`" in left_out and name not in names


def test_configuration_examples_are_taken(make_wyze, tmp_path):
    for page, language, text in blocks():
        if page != "docs/configuration.md" or language != "yaml":
            continue
        wyze = make_wyze(f"yaml{len(text)}")
        path = tmp_path / "wyze.yaml"
        path.write_text(text)
        wyze.start(f"--config={path}", f"--data={wyze.data}")
        assert wyze.stop() == 0


def test_mapping_examples_come_back_as_they_are(dice, tmp_path):
    found = [(language, text) for page, language, text in blocks() if page == "docs/formats/mapping.md"]
    assert [language for language, _ in found] == ["json", "", ""]
    path = tmp_path / "example"
    for language, text in found:
        path.write_text(text)
        if language == "json":
            dice.cli("template", "set", "example", str(path))
            assert json.loads(dice.cli("template", "get", "example").stdout) == json.loads(text)
        else:
            dice.cli("map", "import", str(path))
            assert dice.cli("map", "export").stdout == text


def test_store_is_as_the_page_describes_it(dice):
    text = "".join(b for p, language, b in blocks() if language == "sql")
    dump = subprocess.run(
        ["/usr/bin/python3", "-c",
         "import sqlite3,sys; c=sqlite3.connect(f'file:{sys.argv[1]}?mode=ro',uri=True);"
         "print([r[0] for r in c.execute('select sql from sqlite_master where sql is not null')])",
         str(dice.data / "store.db")],
        capture_output=True, text=True, check=True).stdout
    tables = re.findall(r"CREATE TABLE (\w+)", text)
    assert tables == ["documents", "versions"]
    for table in tables:
        assert table in dump
