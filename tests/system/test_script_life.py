# SPDX-License-Identifier: Apache-2.0
"""Where a script's life begins and ends: a new one at the place it asks for, one of a name that was
removed with nothing of the one before."""

import urllib.request

from conftest import until
from ledger import mapping
from test_exactly_once import put_document, script, wait_outputs, wait_status

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
