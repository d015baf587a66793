# SPDX-License-Identifier: Apache-2.0
"""The store goes away while scripts run: they go on, what cannot be kept is refused, and when the store
is well again all goes on without a restart. And a script that is removed is gone, whatever crashes."""

import json
import sqlite3
import urllib.error

import pytest
from conftest import until
from faults import preload_faults, set_faults
from ledger import mapping
from test_exactly_once import COUNTER, deploy, put_document, script, wait_outputs, wait_status


@pytest.fixture
def wyze(make_wyze, tmp_path):
    """One that runs a counting script, on a disk that can be made to fail."""
    made = make_wyze()
    preload_faults(made, tmp_path / "faults")
    made.start()
    made.import_mapping(mapping(1))
    deploy(made, COUNTER)
    wait_status(made)
    return made


@pytest.fixture
def fail(wyze, tmp_path):
    """Makes the disk fail by rules; without any it is well again."""

    def fail(*rules):
        set_faults(tmp_path / "faults", *rules)

    yield fail
    fail()


def refusal(wyze, code="# another\n" + COUNTER):
    """(status, code) of the answer to a changed document that cannot be kept."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        put_document(wyze, "count", code)
    return refused.value.code, json.load(refused.value)["code"]


def check_counts(wyze, expected):
    """A message that comes now is the EXPECTED-th that the script counts."""
    client = wyze.client("device")
    client.publish("ledger/0/status", "1")
    client.close()
    outputs = wait_outputs(wyze, expected)
    assert [record["body"]["n"] for record in outputs] == list(range(1, expected + 1))


def check_deploys(wyze):
    put_document(wyze, "count", "# the next\n" + COUNTER)
    until(lambda: script(wyze)["revision"] == 2 and script(wyze)["status"] == "running")


@pytest.mark.parametrize("rule, status, code", [
    ("write|pwrite|pwritev:EIO", 500, "WYZ-3008"),
    ("fsync|fdatasync:EIO", 500, "WYZ-3008"),
    ("write|pwrite|pwritev|fallocate|ftruncate:ENOSPC", 507, "WYZ-3004"),
])
def test_the_disk_fails_on_deploy(wyze, fail, rule, status, code):
    check_counts(wyze, 1)
    fail(f"{rule}:path=store.db")
    assert refusal(wyze) == (status, code)
    check_counts(wyze, 2)
    fail()
    check_deploys(wyze)
    check_counts(wyze, 3)


def test_another_program_holds_it(wyze):
    other = sqlite3.connect(wyze.data / "store.db")
    other.execute("BEGIN IMMEDIATE")
    assert refusal(wyze) == (503, "WYZ-3005")
    check_counts(wyze, 1)
    other.rollback()
    other.close()
    check_deploys(wyze)
    check_counts(wyze, 2)


def test_it_is_removed_and_put_back(wyze):
    """A document must not go into a file that has no name any more: it would be lost."""
    beside = wyze.data / "beside.db"
    (wyze.data / "store.db").rename(beside)
    assert refusal(wyze) == (500, "WYZ-3007")
    check_counts(wyze, 1)
    until(lambda: "store.gone" in wyze.log())
    beside.rename(wyze.data / "store.db")
    until(lambda: "store.back" in wyze.log())
    check_deploys(wyze)
    check_counts(wyze, 2)
    wyze.kill()
    wyze.start()
    wait_status(wyze)
    assert script(wyze)["revision"] == 2
    check_counts(wyze, 3)


def test_it_is_deleted(wyze):
    """With all that belongs to it. The scripts run until the next start, and then there are none."""
    for path in wyze.data.glob("store.db*"):
        path.unlink()
    assert refusal(wyze) == (500, "WYZ-3007")
    check_counts(wyze, 1)
    wyze.kill()
    wyze.start()
    assert script(wyze)["status"] == "none"
    wyze.import_mapping(mapping(1))
    deploy(wyze, COUNTER)
    wait_status(wyze)
    check_counts(wyze, 2)  # what it had was never removed


def test_what_another_program_changed_comes_into_force_when_it_can_be_read(wyze, fail):
    fail("pread:EACCES:n=2:path=store.db")  # that something has changed can still be read
    other = sqlite3.connect(wyze.data / "store.db")
    query = "SELECT body FROM documents WHERE collection = 'scripts'"
    [(body,)] = other.execute(query).fetchall()
    body = json.loads(body)
    body["code"] = "# by another program\n" + body["code"]
    other.execute("UPDATE documents SET revision = 2, body = ? WHERE collection = 'scripts'",
                  [json.dumps(body)])
    other.commit()
    other.close()
    until(lambda: "scripts.unreadable" in wyze.log())
    check_counts(wyze, 1)
    fail()
    until(lambda: script(wyze)["revision"] == 2, 30, "the change is not in force")
    wait_status(wyze)
    check_counts(wyze, 2)


def test_a_script_that_is_removed_before_a_crash_is_gone(wyze, fail):
    """Its removal is in the store and could not be put into the journal: it is not there after the
    start, and another one of its name begins anew."""
    check_counts(wyze, 1)
    fail("write|pwrite|pwritev|create:EIO:path=journal")
    wyze.cli("script", "rm", "count")
    until(lambda: script(wyze)["status"] == "none")
    wyze.kill()
    fail()
    wyze.start()
    wyze.kill()  # so the journal has nothing of it from the start on
    wyze.start()
    deploy(wyze, COUNTER)
    wait_status(wyze)
    client = wyze.client("device")
    client.publish("ledger/0/status", "1")
    client.close()
    outputs = wait_outputs(wyze, 2)
    assert [record["body"]["n"] for record in outputs] == [1, 1]
    assert wyze.stop() == 0
    said = wyze.cli("log", "verify", str(wyze.data / "journal"), "--json").stdout
    assert json.loads(said.splitlines()[-1]), said
