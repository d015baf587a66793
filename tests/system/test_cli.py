# SPDX-License-Identifier: Apache-2.0
"""The command line as people and programs meet it: exit codes, what goes to which output, tables on
a terminal and lines of JSON in a pipe, with a server running and without one."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading

import pytest
from conftest import SEED_MAPPING, WYZE, Wyze, until
from mqtt_wire import PUBACK, Wire, publish

OK, FAILED, USAGE, INPUT, NOT_FOUND, CONFLICT, AUTH, UNREACHABLE, TIMEOUT = range(9)


@pytest.fixture(scope="module")
def wyze(tmp_path_factory):
    instance = Wyze(tmp_path_factory.mktemp("cli") / "wyze").start()
    instance.import_mapping(SEED_MAPPING)
    with Wire(instance.mqtt_port).connected("lamp") as wire:
        for number in range(1, 4):
            wire.send(publish("mesh/b5ea3f/42/M/status", b"%d" % number, 1, number))
            wire.expect(PUBACK)
    yield instance
    assert instance.stop() == 0, instance.log()


@pytest.fixture
def offline(make_wyze):
    """A data folder that has been used, and no server."""
    instance = make_wyze("offline").start()
    instance.import_mapping(SEED_MAPPING)
    with Wire(instance.mqtt_port).connected("lamp") as wire:
        wire.send(publish("mesh/b5ea3f/42/M/status", b"7", 1)).expect(PUBACK)
    assert instance.stop() == 0
    return instance


def refused(done, code):
    """What an error looks like: nothing on standard output, what and how to mend it on the other."""
    assert (done.returncode, done.stdout) == (code, ""), done
    assert re.match(r"wyze: \S.*\S\n", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def on_terminal(wyze, *args):
    """What a command shows on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([WYZE, *args], stdin=theirs, stdout=theirs,
                               stderr=subprocess.PIPE, env=wyze.env)
    os.close(theirs)
    shown = b""
    try:
        while more := os.read(ours, 65536):
            shown += more
    except OSError:
        pass  # the last one who had the terminal open is gone
    finally:
        os.close(ours)
        errors = process.stderr.read()
        process.stderr.close()
    assert process.wait(30) == 0, errors
    return shown.decode().replace("\r\n", "\n")


@contextlib.contextmanager
def one_answer(answer):
    """A server that gives one answer, whatever it is asked; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                conn, _ = listener.accept()
                with conn:
                    conn.recv(65536)
                    conn.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


# Being called wrongly


@pytest.mark.parametrize("args", [
    [], ["frob"], ["map"], ["map", "frob"], ["map", "set", "device", "a"], ["map", "set", "x", "a", "b"],
    ["map", "rm", "x", "a"], ["pub", "a"], ["pub", "a", "b", "c"], ["sub"], ["device"],
    ["device", "get"], ["script", "deploy"], ["log", "frob"], ["version", "extra"], ["help", "frob"],
    ["map", "ls", "--frob"], ["sub", "#", "--count"], ["map", "ls", "--json=1"],
])
def test_a_wrong_call_ends_with_2(wyze, args):
    done = wyze.cli(*args, check=False)
    assert done.returncode == USAGE, done
    assert done.stdout or done.stderr


def test_a_wrong_word_gets_a_suggestion(wyze):
    assert 'mean "wyze map import"' in refused(wyze.cli("map", "inport", "x", check=False), USAGE)
    assert "--stream" in refused(wyze.cli("sub", "#", "--steam", "raw", check=False), USAGE)


def test_help_is_no_error_and_names_every_command(wyze):
    page = wyze.cli("help").stdout
    names = re.findall(r"^  (script quarantine \w+|(?:map|device|script|log) \w+|\w+) ", page, re.M)
    assert len(names) > 20
    for name in names:
        one = wyze.cli(*name.split(), "--help").stdout
        assert name in one and one.count("\n") > 3
        if name not in ("run", "help"):
            assert wyze.cli("help", *name.split()).stdout == one
    for group in ["script"], ["script", "quarantine"]:
        told = wyze.cli(*group, "--help").stdout
        assert "wyze script quarantine retry" in told and "wyze map" not in told
        assert wyze.cli("help", *group).stdout == told
        assert wyze.cli(*group, check=False).returncode == 2
    assert "wyze script ls" not in told


@pytest.mark.parametrize("args", [
    ["sub", "#", "--count", "0"], ["sub", "#", "--count", "x"], ["sub", "#", "--stream", "cooked"],
    ["sub", "a.b*", "--to", "end"], ["sub", "#", "--from", "garbage"],
    ["sub", "#", "--to", "garbage"], ["map", "ls", "--output", "xml"],
    ["device", "set", "a/+", "room"], ["device", "set", "a", "room/light"],
    ["map", "set", "type", "input", "command"], ["pub", "a.#", "1"], ["pub", "a/+", "1"],
    ["pub", "", "1"], ["pub", "a", "1", "--exchange", "raw"], ["map", "ls", "--url", "ftp://x"],
    ["script", "get", "a\nb"], ["pub", b"\xff", "1"], ["device", "set", "a", b"\xff"],
])
def test_input_that_is_not_valid_ends_with_3(wyze, args):
    done = wyze.cli(*args, check=False)
    if args[:2] == ["script", "get"]:  # what cannot be there is not found
        refused(done, NOT_FOUND)
    else:
        refused(done, INPUT)


@pytest.mark.parametrize("args", [
    ["device", "get", "none"], ["device", "rm", "none"], ["map", "rm", "subtopic", "none"],
    ["script", "get", "none"], ["script", "rm", "none"], ["script", "start", "none"],
    ["script", "stop", "none"], ["script", "logs", "none"], ["script", "logs", "none", "-f"],
    ["script", "logs", "a..b"], ["map", "import", "/not/there"], ["script", "deploy", "/not/there"],
    ["script", "check", "/not/there"],
])
def test_what_is_not_there_ends_with_4(wyze, args):
    refused(wyze.cli(*args, check=False), NOT_FOUND)


def test_a_route_that_is_taken_is_refused_and_it_is_said_who_has_it(wyze):
    said = refused(wyze.cli("device", "set", "other", "bedroom.light", check=False), INPUT)
    assert "WYZ-2104" in said and "mesh/b5ea3f/42" in said
    assert [row["device"] for row in rows(wyze.cli("device", "ls"))] == ["mesh/b5ea3f/42"]


@pytest.mark.parametrize("status, code", [
    (401, AUTH), (403, AUTH), (404, NOT_FOUND), (405, INPUT), (408, TIMEOUT), (409, CONFLICT),
    (412, CONFLICT), (413, INPUT), (422, INPUT), (500, FAILED), (503, FAILED), (507, FAILED),
])
def test_what_a_server_answers_decides_the_exit_code(wyze, status, code):
    problem = b'{"code":"WYZ-9999","detail":"As told.\\u001b[31m","fix":"So."}'
    with one_answer(f"HTTP/1.1 {status} X\r\nContent-Length: {len(problem)}\r\n\r\n".encode()
                    + problem) as url:
        said = refused(wyze.cli("device", "rm", "a", "--url", url, check=False), code)
    assert said == "wyze: As told.\\x1b[31m (WYZ-9999)\n  mend:  So.\n"


@pytest.mark.parametrize("answer", [
    b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{]", b"\0" * 100000,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
])
def test_what_is_no_wyze_is_told(wyze, answer):
    with one_answer(answer) as url:
        done = wyze.cli("device", "ls", "--url", url, check=False)
    assert done.returncode in (FAILED, UNREACHABLE) and done.stdout == ""
    assert done.stderr.startswith("wyze: ")


def test_no_server_ends_with_7_and_says_how_to_start_one(offline, free_port, tmp_path):
    script = tmp_path / "s.py"
    script.write_text("# wyze: on raw:#\ndef handle_input(msg, context): pass\n")
    for args in (["pub", "a", "1"], ["status"], ["ready"], ["sub", "#"],
                 ["script", "deploy", str(script)]):
        said = refused(offline.cli(*args, check=False), UNREACHABLE)
        assert "mend:" in said and "WYZ-6007" in said
    away = f"http://127.0.0.1:{free_port()}"
    refused(offline.cli("map", "ls", "--url", away, check=False), UNREACHABLE)
    refused(offline.cli("map", "ls", "--data", "/not/there", check=False), UNREACHABLE)


def test_a_second_server_on_one_folder_is_refused(wyze, free_port):
    done = subprocess.run(
        [WYZE, "run", f"--mqtt-listen=127.0.0.1:{free_port()}", "--http-listen=off"],
        env=wyze.env, capture_output=True, text=True, timeout=20, check=False,
    )
    assert done.returncode == FAILED and "mend:" in done.stderr
    wyze.cli("ready")


# Documents


@pytest.fixture(params=["with a server", "without one", "by its address"])
def store(request):
    """The same commands in each of the ways to a store."""
    if request.param == "without one":
        return request.getfixturevalue("offline").cli
    instance = request.getfixturevalue("wyze")
    if request.param == "with a server":
        return instance.cli
    return lambda *args, **options: instance.cli(
        *args, "--url", f"http://127.0.0.1:{instance.http_port}", **options)


def test_devices_are_set_shown_and_removed(store):
    store("device", "set", "gate/way 7/ü", "hall.door")
    assert {"device": "gate/way 7/ü", "route": "hall.door"} in rows(store("device", "ls"))
    assert json.loads(store("device", "get", "gate/way 7/ü").stdout)["route"] == "hall.door"
    store("device", "set", "gate/way 7/ü", "hall.gate")
    assert json.loads(store("device", "get", "gate/way 7/ü").stdout)["route"] == "hall.gate"
    store("device", "rm", "gate/way 7/ü")
    refused(store("device", "get", "gate/way 7/ü", check=False), NOT_FOUND)


def test_the_mapping_goes_out_and_in_byte_for_byte(store, tmp_path):
    assert store("map", "export").stdout == SEED_MAPPING
    text = SEED_MAPPING.replace("[Types]", "; mine\n[Types]")
    store("map", "import", "-", input=text)
    path = tmp_path / "out.conf"
    assert store("map", "export", str(path)).stdout == ""
    assert path.read_text() == text
    store("map", "set", "subtopic", "T", "temperature")
    assert {"kind": "subtopic", "name": "T", "value": "temperature"} in rows(store("map", "ls"))
    store("map", "rm", "subtopic", "T")
    assert store("map", "export").stdout == text
    refused(store("map", "import", "-", input="[Device]\nnonsense\n", check=False), INPUT)
    assert store("map", "export").stdout == text
    store("map", "import", "-", input=SEED_MAPPING)


def test_scripts_are_listed_stopped_started_and_removed(wyze, tmp_path):
    script = tmp_path / "quiet.py"
    code = "# wyze: on raw:bedroom.#\ndef handle_input(msg, context):\n    pass\n"
    script.write_text(code)
    done = wyze.cli("script", "deploy", str(script))
    assert done.stdout == "" and "quiet" in done.stderr
    [row] = rows(wyze.cli("script", "ls"))
    assert (row["name"], row["status"], row["bindings"]) == ("quiet", "running", "raw:bedroom.#")
    assert wyze.cli("script", "get", "quiet", "--code").stdout == code
    for verb, status in (("stop", "stopped"), ("start", "running")):
        wyze.cli("script", verb, "quiet")
        until(lambda: rows(wyze.cli("script", "ls"))[0]["status"] == status, what=f"not {status}")
    wyze.cli("script", "rm", "quiet")
    assert wyze.cli("script", "ls").stdout == ""


def test_what_a_script_said_can_be_read_when_it_is_gone(wyze, tmp_path):
    script = tmp_path / "gone.py"
    script.write_text("print('hello')\ndef handle_input(msg, context): pass\n")
    wyze.cli("script", "deploy", str(script), "--on", "raw:#")
    until(lambda: "hello" in wyze.cli("script", "logs", "gone").stdout)
    assert wyze.cli("script", "logs", "gone", "--from", "end").stdout == ""
    wyze.cli("script", "rm", "gone")
    assert "hello" in wyze.cli("script", "logs", "gone").stdout
    assert "hello" in wyze.cli("script", "logs", "gone", "-f", "--count", "1").stdout


def test_the_code_of_a_script_does_not_steer_the_terminal(wyze, tmp_path):
    script = tmp_path / "quiet.py"
    code = "# \x1b[2J\x9b\u202e\r\n\ndef handle_input(msg, context):\n\tpass\n"
    script.write_bytes(code.encode())
    wyze.cli("script", "deploy", str(script), "--on", "raw:#")
    assert on_terminal(wyze, "script", "get", "quiet", "--code") == (
        "# \\x1b[2J\\xc2\\x9b\\xe2\\x80\\xae\\x0d\n\ndef handle_input(msg, context):\n\tpass\n")
    done = subprocess.run([WYZE, "script", "get", "quiet", "--code"], capture_output=True,
                          env=wyze.env, timeout=20, check=True)
    assert done.stdout == code.encode()
    wyze.cli("script", "rm", "quiet")


@pytest.mark.parametrize("code, line", [
    ("def handle_input(msg):\n    pass\n", None), ("x = 1\n", None),
    ("def handle_input(msg, context):\n    pass\n  bad\n", 3), ("import os\nos._exit(3)\n", None),
    ("import os\nos._exit(96)\n", None), ("import os\nos._exit(97)\n", None),
    ("# a\n\n\n1/0\n", 4),
])
def test_a_broken_script_ends_with_3_and_names_the_line(wyze, tmp_path, code, line):
    script = tmp_path / "broken.py"
    script.write_text(code)
    for args in (["check", str(script)], ["deploy", str(script), "--on", "raw:#"]):
        done = wyze.cli("script", *args, check=False)
        assert (done.returncode, done.stdout) == (INPUT, ""), done
        if line:
            assert f"broken.py:{line}" in done.stderr
    wyze.cli("script", "rm", "broken")


def test_a_broken_script_does_not_steer_the_terminal(wyze, tmp_path):
    script = tmp_path / "steering.py"
    script.write_text("raise ValueError('one\\x1b[31m\\ntwo\\x9b\\u202e')\n")
    for args in (["check"], ["run", "--on", "#"], ["deploy", "--on", "raw:#"]):
        done = wyze.cli("script", *args, str(script), check=False)
        assert done.returncode == INPUT
        assert r"ValueError: one\x1b[31m" + "\n" + r"two\xc2\x9b\xe2\x80\xae" + "\n" in done.stderr
        assert not {"\x1b", "\x9b", "\u202e"} & set(done.stderr)
    wyze.cli("script", "rm", "steering")


def test_a_script_that_listens_to_nothing_is_not_saved(wyze, tmp_path):
    script = tmp_path / "deaf.py"
    script.write_text("def handle_input(msg, context): pass\n")
    assert "--on" in refused(wyze.cli("script", "deploy", str(script), check=False), INPUT)
    refused(wyze.cli("script", "get", "deaf", check=False), NOT_FOUND)
    assert "is valid" in wyze.cli("script", "check", str(script)).stderr


# Messages


def test_pub_takes_bodies_from_words_and_standard_input_untouched(wyze):
    for body in ("-5", "", '{"a": 1.50}', "ü\n"):
        wyze.cli("pub", "room.words", body)
        wyze.cli("pub", "room.input", "-", input=body)
    records = wyze.records(pattern="room.*")
    assert [r["topic"] for r in records] == ["room.words", "room.input"] * 4
    for words, given in zip(records[::2], records[1::2]):
        words, given = words["body"], given["body"]
        assert {k: v for k, v in words.items() if k[0] != "_"} == {
            k: v for k, v in given.items() if k[0] != "_"}
    done = subprocess.run([WYZE, "pub", "room.bytes", "-"], input=b"\xff\0\xfe", env=wyze.env,
                          capture_output=True, timeout=20, check=False)
    assert done.returncode == OK
    assert wyze.records(pattern="room.bytes")[0]["body"]["_encoding"] == "base64"
    too_large = wyze.cli("pub", "room.large", "-", input="x" * (1 << 20) + "y", check=False)
    refused(too_large, INPUT)


def test_sub_shows_a_range_and_ends(wyze, offline):
    got = rows(wyze.cli("sub", "bedroom.#", "--from", "first", "--to", "end"))
    assert [r["body"]["value"] for r in got][:3] == ["1", "2", "3"]
    got = rows(wyze.cli("sub", "bedroom.#", "--from", "first", "--count", "2"))
    assert [r["body"]["value"] for r in got] == ["1", "2"]
    assert wyze.cli("sub", "not.there", "--from", "first", "--to", "end").stdout == ""
    assert wyze.cli("sub", "#", "--stream", "processed", "--from", "first", "--to", "end").stdout == ""
    got = rows(offline.cli("sub", "#", "--from", "-1h", "--to", "end"))  # with no server
    assert [r["body"]["value"] for r in got] == ["7"]


@contextlib.contextmanager
def watching(wyze, pattern):
    """A sub that has shown a message."""
    process = subprocess.Popen([WYZE, "sub", pattern], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=wyze.env)
    try:

        def shown():
            wyze.cli("pub", "live.a", "1")
            return select.select([process.stdout], [], [], 0.02)[0]

        until(shown, what="nothing is shown")
        assert json.loads(process.stdout.readline())["topic"] == "live.a"
        yield process
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


def test_sub_shows_what_comes_and_ends_when_its_reader_is_gone(wyze):
    with watching(wyze, "live.#") as process:
        process.stdout.close()

        def ended():
            wyze.cli("pub", "live.a", "more")
            return process.poll() is not None

        until(ended, what="it goes on for nobody")


def test_sub_ends_at_an_interrupt_and_when_the_server_goes(wyze, make_wyze):
    with watching(wyze, "live.#") as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == -signal.SIGINT
    other = make_wyze("other").start()
    with watching(other, "live.#") as process:
        assert other.stop() == 0
        assert process.wait(30) == UNREACHABLE


# Streams


def test_log_tells_what_is_there_and_verifies_it(offline):
    by_name = {row["name"]: row for row in rows(offline.cli("log", "info"))}
    assert by_name["raw-stream"]["next_offset"] >= 1
    [raw, processed, unmapped, journal] = rows(offline.cli("log", "verify"))
    assert (unmapped["state"], unmapped["records"]) == ("whole", 0)
    assert journal["state"] == "whole" and journal["keys"]["sessions"] == 0
    assert rows(offline.cli("log", "verify", "journal")) == [journal]
    assert (raw["state"], raw["records"]) == ("whole", 1)
    assert (processed["state"], processed["records"]) == ("whole", 0)
    segment = next((offline.data / "raw-stream").glob("*.log"))
    data = bytearray(segment.read_bytes())
    data[70] ^= 1
    segment.write_bytes(data)
    done = offline.cli("log", "verify", check=False)
    assert done.returncode == FAILED
    assert "damaged" in [row["state"] for row in rows(done)]


def test_log_verify_runs_beside_a_server(wyze):
    assert {row["state"] for row in rows(wyze.cli("log", "verify"))} == {"whole"}
    refused(wyze.cli("log", "verify", "/not/there", check=False), NOT_FOUND)


# Outputs


def test_a_terminal_gets_a_table_and_a_pipe_lines_of_json(wyze):
    shown = on_terminal(wyze, "device", "ls").splitlines()
    assert shown == ["DEVICE          ROUTE          TEMPLATE", "mesh/b5ea3f/42  bedroom.light  "]
    assert wyze.cli("device", "ls").stdout == (
        '{"device":"mesh/b5ea3f/42","route":"bedroom.light"}\n')
    assert wyze.cli("device", "ls", "--output", "table").stdout.splitlines() == shown
    assert on_terminal(wyze, "device", "ls", "--json").splitlines() == (
        wyze.cli("device", "ls").stdout.splitlines())
    assert wyze.cli("--json", "device", "ls").stdout == wyze.cli("device", "ls").stdout
    for args in (["map", "ls"], ["log", "info"], ["script", "ls"]):
        lines = on_terminal(wyze, *args).splitlines()
        assert lines[0] == lines[0].upper() and not lines[0].startswith("{")
    for args in (["status"], ["version"], ["device", "get", "mesh/b5ea3f/42"]):
        assert not on_terminal(wyze, *args).startswith("{")
        json.loads(wyze.cli(*args).stdout)


def test_what_devices_send_cannot_steer_the_terminal(wyze):
    wyze.cli("pub", "evil.a", "\x1b]0;title\x07\x1b[2J\x9b31m\u009b31m")
    shown = on_terminal(wyze, "sub", "evil.#", "--from", "first", "--to", "end")
    assert "evil.a" in shown
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown), repr(shown)


def test_a_full_output_ends_with_1(wyze):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([WYZE, "map", "export"], stdout=full, stderr=subprocess.PIPE,
                              env=wyze.env, timeout=20, check=False)
    assert done.returncode == FAILED
