# SPDX-License-Identifier: Apache-2.0
"""Several who change the documents of the mapping and of the passthrough at once, over the API, by the
command line with and without the server, and by SQL: none loses what another has done, who is too late
is told so, and what they have left is in force."""

import contextlib
import http.client
import http.server
import json
import sqlite3
import threading

import pytest
from conftest import until
from test_passthrough import ask, publish

CONFLICT = 5
STALE = (412, "WYZ-2005")
COUNT = 25

# Documents that two may want to change, by address, and what they are at first.
SHARED = {
    "devices/plug": {"route": "kitchen", "channels": {}},
    "templates/lamp": {"channels": {}},
    "passthrough/rule": {"pattern": "kitchen.#"},
}


def add_word(document, word):
    """What each editor does to a document: it adds a word of its own and leaves the rest."""
    if "channels" in document:
        document["channels"][word] = f"its-{word}"
    else:
        document["description"] = f"{document.get('description', '')} {word}".strip()


def words_of(document):
    if "channels" in document:
        assert all(name == f"its-{word}" for word, name in document["channels"].items())
        return sorted(document["channels"])
    return sorted(document["description"].split())


class Editor(threading.Thread):
    """Adds words to a document, one after the other; what it runs into is raised by the test."""

    def __init__(self, wyze, path, name):
        super().__init__()
        self.wyze, self.path = wyze, path
        self.words = [f"{name}{number}" for number in range(COUNT)]
        self.conflicts = 0
        self.failure = None

    def run(self):
        try:
            with contextlib.closing(self.open()) as self.connection:
                for word in self.words:
                    while not self.add(word):
                        self.conflicts += 1
        except Exception as failure:
            self.failure = failure


class ApiEditor(Editor):
    """By the API: reads, and puts over what it has read."""

    def open(self):
        return http.client.HTTPConnection("127.0.0.1", self.wyze.http_port, timeout=60)

    def say(self, method, body=None, **fields):
        self.connection.request(method, f"/api/v1/{self.path}", body,
                                {"Content-Type": "application/json", **fields})
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers["ETag"]

    def add(self, word):
        status, document, tag = self.say("GET")
        assert status == 200, document
        add_word(document, word)
        status, said, now = self.say("PUT", json.dumps(document), **{"If-Match": tag})
        assert status == 200 or (status, said["code"]) == STALE, said
        assert status == 200 or now != tag  # what it would have overwritten
        return status == 200


class PatchEditor(ApiEditor):
    """By the API, without a condition: wyze itself tries again."""

    def add(self, word):
        status, said, _ = self.say("PATCH", json.dumps({"channels": {word: f"its-{word}"}}))
        assert status in (200, 409), said
        return status == 200


class CliEditor(Editor):
    """By the command line, which reads and puts by itself."""

    def open(self):
        return contextlib.nullcontext()

    def run(self):
        try:
            for word in self.words:
                while not self.add(word):
                    self.conflicts += 1
        except Exception as failure:
            self.failure = failure

    def add(self, word):
        done = self.wyze.cli("device", "set", self.path.split("/")[1], "--set",
                             f"channels.{word}=its-{word}", check=False)
        assert done.returncode in (0, CONFLICT), done.stderr
        return done.returncode == 0


class SqlEditor(Editor):
    """By SQL, past wyze."""

    def open(self):
        return sqlite3.connect(self.wyze.data / "store.db", timeout=60, isolation_level=None)

    def add(self, word):
        key = self.path.split("/")
        self.connection.execute("BEGIN IMMEDIATE")
        [(text,)] = self.connection.execute(
            "SELECT body FROM documents WHERE collection = ? AND name = ?", key)
        document = json.loads(text)
        add_word(document, word)
        self.connection.execute("UPDATE documents SET revision = revision + 1, body = ?"
                                " WHERE collection = ? AND name = ?", [json.dumps(document), *key])
        self.connection.execute("COMMIT")
        return True


def edit_together(editors):
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join(120)
        assert not editor.is_alive()
        if editor.failure:
            raise editor.failure


def make_shared(wyze, path):
    assert ask(wyze, "PUT", path, SHARED[path])[0] == 201


def check_shared(wyze, path, editors):
    """All that all have added is there, and each addition was one change."""
    status, document, tag = ask(wyze, "GET", path)
    assert status == 200
    assert words_of(document) == sorted(word for editor in editors for word in editor.words)
    assert tag == f'"{1 + COUNT * len(editors)}"'


def read(wyze, path):
    """(status, document, ETag), without what a rule has done meanwhile."""
    status, document, tag = ask(wyze, "GET", path)
    document.pop("live", None)
    return status, document, tag


@contextlib.contextmanager
def without_server(wyze):
    """Meanwhile the command line does not see the server, and reads the folder itself."""
    hidden = wyze.data / "hidden.sock"
    (wyze.data / "wyze.sock").rename(hidden)
    yield
    hidden.rename(wyze.data / "wyze.sock")


@contextlib.contextmanager
def sql(wyze):
    """A connection of another program, whose changes are there at its end."""
    database = sqlite3.connect(wyze.data / "store.db", timeout=60)
    with contextlib.closing(database), database:
        yield database


def put_by_sql(wyze, path, body):
    collection, name = path.split("/")
    text = body if isinstance(body, str) else json.dumps(body)
    with sql(wyze) as database:
        database.execute("INSERT INTO documents (collection, name, revision, body) VALUES (?, ?, 1, ?)"
                         " ON CONFLICT DO UPDATE SET revision = revision + 1, body = excluded.body",
                         [collection, name, text])


@pytest.fixture
def wyze(make_wyze):
    return make_wyze().start()


@pytest.mark.parametrize("path", SHARED)
def test_two_who_put_what_they_have_read_lose_nothing(wyze, path):
    make_shared(wyze, path)
    editors = [ApiEditor(wyze, path, name) for name in "ab"]
    edit_together(editors)
    check_shared(wyze, path, editors)
    assert sum(editor.conflicts for editor in editors) > 0


@pytest.mark.parametrize("path", SHARED)
def test_who_is_too_late_changes_nothing(wyze, path):
    make_shared(wyze, path)
    _, document, tag = read(wyze, path)
    assert ask(wyze, "PUT", path, {**document, "description": "first"}, **{"If-Match": tag})[0] == 200
    _, there, now = read(wyze, path)
    for method, body in (("PUT", document), ("PATCH", {"description": "second"}), ("DELETE", None)):
        status, said, _ = ask(wyze, method, path, body, **{"If-Match": tag})
        assert (status, said["code"]) == STALE
        assert path in said["where"] and said["fix"]
        assert read(wyze, path)[1:] == (there, now)
    assert ask(wyze, "DELETE", path, **{"If-Match": now})[0] == 204
    for method, body in (("PUT", document), ("PATCH", {"description": "second"})):
        assert ask(wyze, method, path, body, **{"If-Match": now})[0] == 412
        assert ask(wyze, "GET", path)[0] == 404


def test_of_two_who_change_a_ready_template_one_is_too_late(wyze):
    path = "templates/tasmota"
    _, ready, tag = ask(wyze, "GET", path)
    assert ask(wyze, "PUT", path, {**ready, "description": "first"}, **{"If-Match": tag})[0] == 201
    for method in ("PUT", "PATCH"):
        status, said, _ = ask(wyze, method, path, {**ready, "description": "second"}, **{"If-Match": tag})
        assert (status, said["code"]) == STALE
    assert ask(wyze, "GET", path)[1]["description"] == "first"
    assert ask(wyze, "DELETE", path, **{"If-Match": '"1"'})[0] == 204
    assert ask(wyze, "GET", path)[1:] == (ready, tag)


def test_those_who_change_different_devices_in_turns_do_not_meet(wyze):
    tags = {name: ask(wyze, "PUT", f"devices/{name}", {"route": f"r.{name}"})[2] for name in "ab"}
    for turn in range(COUNT):
        for name in "ab":
            status, said, tags[name] = ask(
                wyze, "PUT", f"devices/{name}", {"route": f"r.{name}.v{turn}"}, **{"If-Match": tags[name]})
            assert status == 200, said
            wyze.cli("device", "set", "c", f"r.c.after-{name}{turn}")
    rows = [json.loads(line) for line in wyze.cli("device", "ls", "--json").stdout.splitlines()]
    assert rows == [{"device": "a", "route": f"r.a.v{COUNT - 1}"}, {"device": "b", "route": f"r.b.v{COUNT - 1}"},
                    {"device": "c", "route": f"r.c.after-b{COUNT - 1}"}]


def test_editors_of_all_kinds_at_one_device_lose_nothing(wyze):
    path = "devices/plug"
    make_shared(wyze, path)
    editors = [ApiEditor(wyze, path, "put"), PatchEditor(wyze, path, "patch"), CliEditor(wyze, path, "cli"),
               SqlEditor(wyze, path, "sql")]
    edit_together(editors)
    check_shared(wyze, path, editors)
    check_in_force(wyze, [editor.words[-1] for editor in editors])


def test_the_command_line_without_the_server_and_others_with_it_lose_nothing(wyze):
    path = "devices/plug"
    make_shared(wyze, path)
    with without_server(wyze):
        editors = [CliEditor(wyze, path, "a"), CliEditor(wyze, path, "b"), ApiEditor(wyze, path, "put")]
        edit_together(editors)
    check_shared(wyze, path, editors)
    check_in_force(wyze, [editor.words[-1] for editor in editors])


def check_in_force(wyze, words):
    """Messages on the plug's subtopics get the names that were added."""
    client = wyze.client("device")
    topics = [f"kitchen.its-{word}" for word in words]

    def named():
        for word in words:
            client.publish(f"plug/{word}/status", "1")
        return [record["topic"] for record in wyze.records()][-len(words):] == topics

    until(named, what="the mapping is not in force")
    client.close()


class Interferer(http.server.BaseHTTPRequestHandler):
    """Stands between the command line and wyze, and is faster: before it hands a PUT on, it makes a change
    of its own, as often as it is told to."""

    protocol_version = "HTTP/1.1"
    wyze, document, left, done = None, None, 0, 0

    def hand_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command == "PUT" and type(self).left > 0:
            type(self).left -= 1
            type(self).done += 1
            status, said, _ = ask(self.wyze, "PATCH", self.document, {"description": f"{type(self).done}"})
            assert status == 200, said
        server = http.client.HTTPConnection("127.0.0.1", self.wyze.http_port, timeout=30)
        server.request(self.command, self.path, body or None,
                       {name: value for name, value in self.headers.items() if name != "Host"})
        answer = server.getresponse()
        content = answer.read()
        server.close()
        self.send_response(answer.status)
        for name in ("ETag", "Content-Type"):
            if answer.headers[name]:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = hand_on

    def log_message(self, *said):
        pass


@contextlib.contextmanager
def interfered(wyze, path, times):
    handler = type("Told", (Interferer,), {"wyze": wyze, "document": path, "left": times})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path, command, member", [
    ("devices/plug", ["device", "set", "plug", "cellar"], ("route", "kitchen", "cellar")),
    ("subtopics/M", ["map", "set", "subtopic", "M", "dim"], ("channel", "bright", "dim")),
])
def test_the_command_line_tries_again_and_says_when_it_gives_up(wyze, path, command, member):
    name, before, after = member
    assert ask(wyze, "PUT", path, {name: before})[0] == 201
    with interfered(wyze, path, 1000) as (url, other):
        done = wyze.cli(*command, "--url", url, check=False)
    assert done.returncode == CONFLICT and "WYZ-2005" in done.stderr and path in done.stderr
    assert other.done > 1
    assert ask(wyze, "GET", path)[1:] == ({name: before, "description": f"{other.done}"}, f'"{1 + other.done}"')
    with interfered(wyze, path, 3) as (url, other):
        wyze.cli(*command, "--url", url)
    assert ask(wyze, "GET", path)[1] == {name: after, "description": "3"}


@pytest.mark.parametrize("path", SHARED)
def test_what_another_program_changed_counts_at_once(wyze, path):
    """Before wyze has noticed by itself that there was a change."""
    make_shared(wyze, path)
    for turn in range(COUNT):
        _, document, tag = ask(wyze, "GET", path)
        put_by_sql(wyze, path, {**document, "description": f"by SQL {turn}"})
        status, said, _ = ask(wyze, "PUT", path, document, **{"If-Match": tag})
        assert (status, said["code"]) == STALE
        _, document, tag = ask(wyze, "GET", path)
        assert document["description"] == f"by SQL {turn}"
        document["description"] = f"by the API {turn}"
        assert ask(wyze, "PUT", path, document, **{"If-Match": tag})[0] == 200


def test_what_another_program_changed_comes_into_force(wyze):
    def topics_of(stream, count):
        publish(wyze, "amq.topic", "plug/M/in", {"n": 1})
        return [record["topic"] for record in wyze.records(stream)][-count:]

    def becomes(topic, passed):
        until(lambda: topics_of("raw-stream", 1) == [topic], what=f"no record is {topic}")
        until(lambda: topics_of("processed-stream", 1) == [passed], what=f"none passes as {passed}")

    put_by_sql(wyze, "templates/lamp", {"input": "in", "channels": {"M": "level"}})
    put_by_sql(wyze, "devices/plug", {"route": "kitchen", "template": "lamp"})
    put_by_sql(wyze, "passthrough/rule", {"pattern": "kitchen.#", "rename": "one.{1}"})
    becomes("kitchen.level", "one.level")
    put_by_sql(wyze, "templates/lamp", {"input": "in", "channels": {"M": "bright"}})
    becomes("kitchen.bright", "one.bright")
    put_by_sql(wyze, "passthrough/rule", {"pattern": "kitchen.#", "rename": "two.{1}"})
    becomes("kitchen.bright", "two.bright")
    with without_server(wyze):
        wyze.cli("device", "set", "plug", "--set", "channels.M=own")
        wyze.cli("passthrough", "set", "first", "kitchen.own", "--order", "1", "--rename", "three")
        wyze.cli("map", "inbox", "ignore", "noise/#")
    becomes("kitchen.own", "three")

    def listed():
        for topic in ("noise/1", "other/1"):
            publish(wyze, "amq.topic", topic, {"n": 1})
        return [item["topic"] for item in ask(wyze, "GET", "inbox")[1]["items"]] == ["other/1"]

    until(listed, what="it is not ignored")
    with sql(wyze) as database:
        database.execute("DELETE FROM documents WHERE name IN ('first', 'plug')")
    put_by_sql(wyze, "devices/plug", {"route": "cellar", "template": "lamp"})
    put_by_sql(wyze, "passthrough/rule", {"pattern": "cellar.#"})
    becomes("cellar.bright", "cellar.bright")


def test_what_another_program_broke_is_told_and_all_else_stays_in_force(wyze):
    """What it writes is not checked before; so it is when it is read."""
    client = wyze.client("device")
    for name in "ab":
        assert ask(wyze, "PUT", f"devices/{name}", {"route": f"r.{name}"})[0] == 201
        assert ask(wyze, "PUT", f"passthrough/{name}", {"pattern": f"r.{name}", "rename": f"of.{name}"})[0] == 201
    put_by_sql(wyze, "devices/b", {"route": "a..b"})
    until(lambda: "mapping.refused" in wyze.log() and "devices/b" in wyze.log())
    put_by_sql(wyze, "passthrough/b", {"pattern": "r.b", "rename": "{7}"})
    until(lambda: ask(wyze, "GET", "passthrough/b")[1].get("live", {}).get("status") == "invalid")

    # Of the mapping nothing can be changed but what mends it; nor is any of it half in force.
    status, said, _ = ask(wyze, "PUT", "devices/a", {"route": "other"})
    assert (status, said["code"], said["where"]) == (422, "WYZ-2103", "devices/b")
    status, said, _ = ask(wyze, "GET", "mapping/test?topic=a%2Fstatus")
    assert (status, said["code"], said["where"]) == (422, "WYZ-2103", "devices/b")
    status, said, _ = ask(wyze, "PUT", "passthrough/a", {"pattern": "other"})
    assert (status, said["code"], said["where"]) == (422, "WYZ-2301", "passthrough/b")
    for name in "ab":
        client.publish(f"{name}/status", "1")
    assert [record["topic"] for record in wyze.records()] == ["r.a", "r.b"]
    until(lambda: [record["topic"] for record in wyze.records("processed-stream")] == ["of.a"])

    assert ask(wyze, "PUT", "devices/b", {"route": "r.mended"})[0] == 200
    assert ask(wyze, "PUT", "passthrough/b", {"pattern": "r.mended"})[0] == 200
    assert ask(wyze, "PUT", "devices/a", {"route": "r.a"})[0] == 200
    until(lambda: ask(wyze, "GET", "passthrough/b")[1]["live"]["status"] == "active")
    client.publish("b/status", "2")
    until(lambda: [record["topic"] for record in wyze.records("processed-stream")] == ["of.a", "r.mended"])


@pytest.mark.parametrize("change, said, may_be_replaced", [
    ("body = 'nonsense', revision = revision + 1", "no JSON object is in", True),
    ("body = '{\"route\":\"x\"}', checksum = 1", "bytes have changed in", False),
])
def test_what_another_program_wrote_that_is_no_document_is_not_used(wyze, change, said, may_be_replaced):
    """A body that is no object, or a checksum that does not fit: nobody can say what was meant. Where
    there is a checksum, the disk may be to blame, and what is there is not touched."""
    for name in "abc":
        assert ask(wyze, "PUT", f"devices/{name}", {"route": f"r.{name}"})[0] == 201
    with sql(wyze) as database:
        database.execute(f"UPDATE documents SET {change} WHERE collection = 'devices' AND name IN ('b', 'c')")
    until(lambda: "mapping.refused" in wyze.log())
    assert f"{said} the document devices/b" in wyze.log()
    for path in ("devices/b", "devices", "mapping/test?topic=a%2Fstatus", "configuration"):
        status, problem, _ = ask(wyze, "GET", path)
        assert (status, problem["code"]) == (500, "WYZ-3002") and "devices/b" in problem["detail"]
    assert ask(wyze, "PUT", "devices/a", {"route": "other"})[0] == 500
    assert ask(wyze, "GET", "devices/a")[1] == {"route": "r.a"}
    client = wyze.client("device")
    for name in "abc":
        client.publish(f"{name}/status", "1")
    assert [record["topic"] for record in wyze.records()] == ["r.a", "r.b", "r.c"]  # as it was before
    put_by_sql(wyze, "devices/c", {"route": "r.mended"})
    until(lambda: ask(wyze, "GET", "devices/c")[1] == {"route": "r.mended"})
    if may_be_replaced:
        assert ask(wyze, "PUT", "devices/b", {"route": "r.b"})[0] == 200
        put_by_sql(wyze, "devices/b", "nonsense")
        assert ask(wyze, "DELETE", "devices/b")[0] == 204
    else:
        assert ask(wyze, "PUT", "devices/b", {"route": "r.b"})[1]["code"] == "WYZ-3002"
        assert ask(wyze, "DELETE", "devices/b")[1]["code"] == "WYZ-3002"
        with sql(wyze) as database:
            database.execute("DELETE FROM documents WHERE collection = 'devices' AND name = 'b'")
    assert ask(wyze, "PUT", "devices/a", {"route": "r.other"})[0] == 200
    for name in "abc":
        client.publish(f"{name}/status", "1")
    assert [record["topic"] for record in wyze.records()][3:] == ["r.other", "r.mended"]


class Mover(threading.Thread):
    """Another program that gives a device one new template after the other, each in one transaction with
    the template, without which the device cannot be."""

    def __init__(self, wyze):
        super().__init__()
        self.wyze, self.stopping, self.failure, self.turns = wyze, False, None, 0

    def move(self, database):
        database.execute("BEGIN IMMEDIATE")
        database.execute("DELETE FROM documents WHERE collection IN ('devices', 'templates')")
        for collection, name, body in (
                ("templates", f"t{self.turns}", {"channels": {"M": f"m{self.turns}"}}),
                ("devices", "d", {"route": "r", "template": f"t{self.turns}"})):
            database.execute("INSERT INTO documents (collection, name, revision, body) VALUES (?, ?, 1, ?)",
                             [collection, name, json.dumps(body)])
        database.execute("COMMIT")
        self.turns += 1

    def run(self):
        try:
            with contextlib.closing(sqlite3.connect(self.wyze.data / "store.db", timeout=60,
                                                    isolation_level=None)) as database:
                database.execute("PRAGMA synchronous = OFF")  # as many as can be
                while not self.stopping:
                    self.move(database)
        except Exception as failure:
            self.failure = failure


def test_who_reads_all_documents_sees_them_in_one_state(wyze):
    """So what an export writes can be imported, whoever edits meanwhile."""
    mover = Mover(wyze)
    mover.start()
    try:
        until(lambda: mover.turns > 0 or mover.failure)
        for _ in range(500):
            status, said, _ = ask(wyze, "GET", "configuration")
            assert status == 200 and said["devices"]["d"]["template"] in said["templates"]
            status, said, _ = ask(wyze, "GET", "mapping/test?topic=d%2FM%2Fstatus")
            assert status == 200, said
            assert said["in"]["topic"] == f"r.m{said['in']['template'][1:]}"
    finally:
        mover.stopping = True
        mover.join(60)
    assert mover.failure is None and mover.turns > 100


def test_imports_at_once_are_one_after_the_other(make_wyze):
    """What is there is what one of the files says, whole, while several are imported over each other."""
    wyze = make_wyze().start()
    names = "abc"
    failures = []

    def files(name):
        documents = {f"{name}{number}": {"route": f"r{number}"} for number in range(30)}
        yield "configuration", json.dumps({"format": "wyze configuration 1", "devices": documents,
                                           "subtopics": {name: {"channel": "m"}}})
        lines = "".join(f'"{name}{number}" = "r{number}"\n' for number in range(30))
        yield "mapping", f'[Device]\n{lines}[Subtopic]\n"{name}" = "m"\n'

    def work(name):
        connection = http.client.HTTPConnection("127.0.0.1", wyze.http_port, timeout=60)
        for _ in range(COUNT):
            for address, text in files(name):
                connection.request("PUT", f"/api/v1/{address}", text)
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != 200 and (answer.status, json.loads(said)["code"]) != (409, "WYZ-2005"):
                    failures.append((answer.status, said))
        connection.close()

    workers = [threading.Thread(target=work, args=(name,)) for name in names]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        status, seen, _ = ask(wyze, "GET", "configuration")
        assert status == 200
        fronts = {device[0] for device in seen["devices"]}
        assert len(seen["devices"]) in (0, 30) and len(fronts) <= 1
        assert set(seen["subtopics"]) == fronts
    for worker in workers:
        worker.join()
    assert failures == []


@pytest.mark.parametrize("command", [("map",), ()], ids=["mapping", "configuration"])
def test_an_import_that_was_made_of_an_older_export_is_refused(wyze, tmp_path, command):
    wyze.cli("device", "set", "plug", "kitchen")
    before, edited = tmp_path / "before", tmp_path / "edited"
    wyze.cli(*command, "export", str(before))
    edited.write_text(before.read_text().replace("kitchen", "pantry"))
    wyze.cli("device", "set", "lamp", "cellar")  # somebody else
    late = wyze.cli(*command, "import", str(edited), "--if-still", str(before), check=False)
    assert late.returncode == CONFLICT and "changed since it was exported" in late.stderr
    assert json.loads(wyze.cli("device", "get", "plug", "--json").stdout)["route"] == "kitchen"
    wyze.cli(*command, "export", str(before))
    edited.write_text(before.read_text().replace("kitchen", "pantry"))
    wyze.cli(*command, "import", str(edited), "--if-still", str(before))
    for device, route in (("plug", "pantry"), ("lamp", "cellar")):
        assert json.loads(wyze.cli("device", "get", device, "--json").stdout)["route"] == route
    wyze.cli("device", "set", "lamp", "attic")
    wyze.cli(*command, "import", str(edited))  # who says nothing is not asked
    assert json.loads(wyze.cli("device", "get", "lamp", "--json").stdout)["route"] == "cellar"
