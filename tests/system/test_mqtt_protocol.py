# SPDX-License-Identifier: Apache-2.0
"""The MQTT door against clients that people use (paho, Mosquitto's) and, where they are too
well-behaved, against raw sockets: MQTT 3.1.1 as far as it goes without persistent sessions."""

import struct
import subprocess
import time

import pytest
from conftest import SEED_MAPPING, Wyze, until
from mqtt_wire import (
    CONNACK,
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    Closed,
    Wire,
    ack,
    connect,
    packet,
    publish,
    subscribe,
    text,
    unsubscribe,
)


@pytest.fixture(scope="module")
def wyze(tmp_path_factory):
    instance = Wyze(
        tmp_path_factory.mktemp("protocol") / "wyze", env={"WYZE_MQTT_MAX_SUBSCRIPTIONS": "50"}
    )
    instance.start()
    instance.import_mapping(SEED_MAPPING)
    yield instance
    assert instance.stop() == 0, instance.log()


@pytest.fixture
def wire(wyze):
    """Makes sockets that are closed at the end."""
    made = []

    def make(name=None, **options):
        made.append(Wire(wyze.mqtt_port))
        return made[-1] if name is None else made[-1].connected(name, **options)

    yield make
    for one in made:
        one.close()


@pytest.fixture
def client(wyze):
    """Makes paho clients that are closed at the end."""
    made = []

    def make(name="", **options):
        made.append(wyze.client(name, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def mosquitto(wyze, program, *args, **options):
    return subprocess.Popen(
        ["stdbuf", "-oL", f"mosquitto_{program}", "-h", "127.0.0.1", "-p", str(wyze.mqtt_port), *args],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        **options,
    )


# Messages


@pytest.mark.parametrize("published, subscribed, delivered", [
    (0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1), (2, 1, 1), (1, 2, 1), (2, 2, 2), (2, 0, 0),
])
def test_delivery_has_the_lower_qos_of_both(client, published, subscribed, delivered):
    reader, writer = client(), client()
    assert reader.subscribe("plain/a", subscribed) == (subscribed,)
    writer.publish("plain/a", b"\x00\xffbytes", qos=published)
    [message] = reader.wait_for(1)
    assert (message.topic, message.payload) == ("plain/a", b"\x00\xffbytes")
    assert (message.qos, message.retain, message.dup) == (delivered, 0, 0)


@pytest.mark.parametrize("stop", [0, 1, 15, 16, 17, 2999])
def test_packets_before_a_wrong_one_count_among_thousands_of_topics(wire, stop):
    """With many topics the door looks at packets ahead of their turn; their turn decides."""
    reader = wire("reader").subscribed("many/+/status", qos=1)
    writer = wire("writer")
    topics = [f"many/{number}/status" for number in range(3000)]
    for topic in topics:
        writer.send(publish(topic, b"first"))
    assert [reader.message()[0].decode() for _ in topics] == topics
    good = b"".join(publish(topic, b"second") for topic in topics[:stop])
    writer.send_what_is_taken(good + publish("many/+/status", b"wrong") + publish(topics[0], b"late"))
    assert writer.is_closed()
    assert [reader.message()[:2] for _ in range(stop)] == [
        (topic.encode(), b"second") for topic in topics[:stop]
    ]
    reader.ping()  # nothing came behind it


@pytest.mark.parametrize("qos", ["0", "1", "2"])
@pytest.mark.parametrize("version", ["311"])
def test_mosquitto_clients_talk_through_wyze(wyze, qos, version):
    with mosquitto(wyze, "sub", "-V", version, "-t", "plain/m/#", "-q", qos, "-C", "3", "-v", "-d",
                   "-W", "60") as reader:
        assert any("SUBACK" in line for line in iter(reader.stdout.readline, "")), "it has ended"
        for body in ("one", "two", "three"):
            with mosquitto(wyze, "pub", "-V", version, "-t", f"plain/m/{body}", "-m", body,
                           "-q", qos) as writer:
                assert writer.wait(30) == 0
        out, _ = reader.communicate(timeout=70)
        lines = [line for line in out.splitlines() if line.startswith("plain/m/")]
        assert lines == ["plain/m/one one", "plain/m/two two", "plain/m/three three"]
        assert reader.returncode == 0


def test_empty_and_large_bodies_arrive_whole(client):
    reader, writer = client(), client()
    reader.subscribe("plain/size", 1)
    bodies = [b"", b"x", b"y" * 127, b"z" * 128, b"a" * 16384, b"b" * 1000000]
    for body in bodies:
        writer.publish("plain/size", body)
    assert [m.payload for m in reader.wait_for(len(bodies))] == bodies


def test_order_of_each_topic_is_kept_from_many_publishers(wyze, client):
    reader = client()
    reader.subscribe("plain/order/#", 1)
    writers = [client() for _ in range(4)]
    infos = []
    for number in range(1000):
        for index, writer in enumerate(writers):
            qos = (number // 7) % 2
            infos.append(writer.publish(f"plain/order/{index}/{qos}", str(number), qos, wait=False))
    got = reader.wait_for(4000, 60)
    for index in range(4):
        for qos in range(2):
            mine = [int(m.payload) for m in got if m.topic == f"plain/order/{index}/{qos}"]
            assert mine == [n for n in range(1000) if (n // 7) % 2 == qos]


def test_records_of_a_client_are_in_the_order_of_its_publishes(wyze, wire):
    before = len(wyze.records())
    writer = wire("in-order")
    topic = "mesh/b5ea3f/42/M/status"
    for number in range(3000):
        writer.send(publish(topic, str(number).encode(), number % 3, number + 1))
    for number in range(3000):
        if number % 3:
            writer.expect(PUBACK if number % 3 == 1 else PUBREC)
    records = wyze.records()[before:]
    assert [r["body"]["value"] for r in records] == [str(n) for n in range(3000)]
    assert {r["headers"]["client"] for r in records} == {"in-order"}


def test_qos_2_publish_is_taken_once_however_often_it_is_sent(wyze, wire):
    reader = wire("q2-reader").subscribed("plain/q2")
    writer = wire("q2-writer")
    writer.send(publish("plain/q2", b"first", qos=2, packet_id=5))
    assert writer.expect(PUBREC) == b"\0\5"
    writer.send(publish("plain/q2", b"first", qos=2, packet_id=5, flags=8))  # again, as a duplicate
    assert writer.expect(PUBREC) == b"\0\5"
    for _ in range(2):  # a PUBREL that is sent again is answered again
        writer.send(ack(PUBREL, 5))
        assert writer.expect(PUBCOMP) == b"\0\5"
    writer.send(publish("plain/q2", b"second", qos=2, packet_id=5))  # the identifier is free again
    assert writer.expect(PUBREC) == b"\0\5"
    assert [reader.message()[1] for _ in range(2)] == [b"first", b"second"]


def test_acks_come_in_the_order_of_the_messages(wire):
    writer = wire("ack-order")
    sent = []
    for number in range(1, 301):
        topic = "mesh/b5ea3f/42/M/status" if number % 2 else "plain/fast"
        qos = 1 + number % 2
        sent.append((PUBACK if qos == 1 else PUBREC, struct.pack(">H", number)))
        writer.send(publish(topic, b"1", qos=qos, packet_id=number))
    got = [writer.packet() for _ in sent]
    assert [(kind, body) for kind, _, body in got] == sent


def test_delivery_carries_no_retain_flag(wire):
    reader = wire("r-reader").subscribed("plain/r", qos=1)
    writer = wire("r-writer").send(publish("plain/r", b"kept", qos=1, flags=1))
    topic, body, flags, number = reader.message()
    assert (topic, body, flags & 1, flags & 8) == (b"plain/r", b"kept", 0, 0)
    writer.expect(PUBACK)
    writer.send(publish("plain/r", b"", qos=1, flags=1, packet_id=2)).expect(PUBACK)
    assert number > 0


def test_more_than_the_window_arrives_when_the_reader_acks_late(wyze, wire):
    reader = wire("late-acks").subscribed("plain/window", qos=1)
    writer = wire("window-writer")
    count = 2500  # mqtt.max_inflight is 1000
    for number in range(1, count + 1):
        writer.send(publish("plain/window", str(number).encode(), qos=1, packet_id=number))
    for _ in range(count):
        writer.expect(PUBACK)
    unacked = [reader.message() for _ in range(1000)]
    reader.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        reader.message()
    reader.socket.settimeout(5)
    assert len({number for *_, number in unacked}) == 1000
    bodies = [body for _, body, _, _ in unacked]
    for *_, number in unacked:
        reader.send(ack(PUBACK, number))
    while len(bodies) < count:
        _, body, _, number = reader.message()
        bodies.append(body)
        reader.send(ack(PUBACK, number))
    assert bodies == [str(n).encode() for n in range(1, count + 1)]


# Subscriptions


@pytest.mark.parametrize("pattern, topics, others", [
    ("plain/+/x", ["plain/a/x", "plain//x"], ["plain/a/b/x", "plain/x", "plain/a/x/"]),
    ("plain/w/#", ["plain/w", "plain/w/a", "plain/w/a/b", "plain/w/"], ["plain/ww", "plain"]),
    ("plain/e/+", ["plain/e/", "plain/e/a"], ["plain/e", "plain/e/a/b"]),
    ("+/s", ["/s", "plain/s"], ["s", "/plain/s"]),
    ("/+", ["/plain", "/"], ["plain", "/plain/a"]),
    ("plain/Exact", ["plain/Exact"], ["plain/exact", "plain/Exact/", "/plain/Exact"]),
    ("plain/ü/+/日本", ["plain/ü/a/日本"], ["plain/ü/a/日"]),
    ("plain/a b/ ", ["plain/a b/ "], ["plain/a b/"]),
])
def test_wildcards_match_as_the_specification_says(wire, pattern, topics, others):
    reader = wire("w-reader").subscribed(pattern)
    writer = wire("w-writer")
    for topic in others + topics:
        writer.send(publish(topic, b"1"))
    writer.ping()
    assert [reader.message()[0] for _ in topics] == [topic.encode() for topic in topics]
    reader.send(packet(PINGREQ, 0))
    assert reader.packet()[0] == 13, "a topic that does not match was delivered"


def test_wildcards_in_front_do_not_match_dollar_topics(wire):
    reader = wire("d-reader").subscribed("#", "+/x", "+/#")
    exact = wire("d-exact").subscribed("$own/x", "$own/#")
    wire("d-writer").send(publish("$own/x", b"1") + publish("plain/x", b"2"))
    assert exact.message()[:2] == (b"$own/x", b"1")
    assert reader.message()[:2] == (b"plain/x", b"2")


def test_overlapping_subscriptions_deliver_once_at_the_highest_qos(wire):
    reader = wire("o-reader")
    reader.send(subscribe("plain/o/#") + subscribe("plain/+/x", qos=1) + subscribe("plain/o/x"))
    for _ in range(3):
        reader.expect(SUBACK)
    wire("o-writer").send(publish("plain/o/x", b"1", qos=1))
    topic, _, flags, number = reader.message()
    assert (topic, flags >> 1) == (b"plain/o/x", 1)
    reader.send(ack(PUBACK, number)).ping()  # nothing comes before the PINGRESP


def test_subscribing_again_replaces_the_qos(wire):
    reader = wire("again").subscribed("plain/again", qos=1).subscribed("plain/again", qos=0)
    wire("again-writer").send(publish("plain/again", b"1", qos=1))
    assert reader.message()[2] == 0
    reader.ping()


def test_suback_answers_each_filter_in_order(wire):
    reader = wire("many-filters")
    body = b"".join(text(f"plain/f/{n}") + bytes([n % 3]) for n in range(6))
    reader.send(packet(8, 2, b"\x12\x34" + body))
    assert reader.expect(SUBACK) == b"\x12\x34" + bytes([0, 1, 2, 0, 1, 2])


def test_a_subscription_beyond_the_limit_is_refused_and_no_other(wire):
    reader = wire("limited")
    reader.send(subscribe(*[f"plain/limit/{n}" for n in range(53)]))
    assert reader.expect(SUBACK) == b"\0\1" + b"\0" * 50 + b"\x80" * 3
    reader.send(subscribe("plain/limit/7", qos=1))  # is there already
    assert reader.expect(SUBACK) == b"\0\1\1"
    wire("limit-writer").send(b"".join(publish(f"plain/limit/{n}", b"1") for n in range(53)))
    assert [reader.message()[0] for _ in range(50)] == [b"plain/limit/%d" % n for n in range(50)]
    reader.send(unsubscribe("plain/limit/0")).expect(UNSUBACK)
    reader.send(subscribe("plain/limit/52"))  # there is room for one again
    assert reader.expect(SUBACK) == b"\0\1\0"


def test_unsubscribe_ends_delivery_and_answers_also_for_what_is_not_there(wire):
    reader = wire("unsub").subscribed("plain/u/#", "plain/v")
    reader.send(unsubscribe("plain/u/#", "never/there", packet_id=9))
    assert reader.expect(UNSUBACK) == b"\0\x09"
    wire("unsub-writer").send(publish("plain/u/a", b"1") + publish("plain/v", b"2"))
    assert reader.message()[:2] == (b"plain/v", b"2")


def test_a_publisher_gets_its_own_message_when_it_subscribes(wire):
    both = wire("both").subscribed("plain/own")
    both.send(publish("plain/own", b"me"))
    assert both.message()[1] == b"me"


# Connections


def test_a_persistent_session_is_present_the_second_time(wire):
    first = wire()
    first.send(connect("kept", flags=0))
    assert first.expect(CONNACK) == b"\0\0"
    first.subscribed("plain/kept", qos=1)
    first.send(packet(DISCONNECT, 0))
    assert first.is_closed()
    wire("kept-writer").send(publish("plain/kept", b"1", qos=1)).expect(PUBACK)
    second = wire()
    second.send(connect("kept", flags=0))
    assert second.expect(CONNACK) == b"\1\0"
    topic, body, _, packet_id = second.message()
    assert (topic, body) == (b"plain/kept", b"1")
    second.send(ack(PUBACK, packet_id)).ping()
    third = wire()
    third.send(connect("kept"))  # a clean one ends it
    assert third.expect(CONNACK) == b"\0\0"
    fourth = wire()
    fourth.send(connect("kept", flags=0))
    assert fourth.expect(CONNACK) == b"\0\0"
    wire("kept-writer").send(publish("plain/kept", b"2", qos=1)).expect(PUBACK)
    fourth.ping()  # nothing comes: its subscription went with the session


@pytest.mark.parametrize("protocol, level", [
    ("MQTT", 5), ("MQTT", 3), ("MQTT", 6), ("MQTT", 0), ("MQTT", 0x84), ("MQIsdp", 3),
])
def test_another_version_is_refused_with_return_code_1(wire, protocol, level):
    other = wire()
    payload = b"\0" + text("v5") if level == 5 else text("v3")
    other.send(connect("", protocol=protocol, level=level, payload=payload))
    assert other.answers() == b"\x20\2\0\1"


def test_another_protocol_name_is_closed_without_an_answer(wire):
    for name in ("mqtt", "MQTTX", "", "HTTP"):
        other = wire()
        other.send(connect("x", protocol=name))
        assert other.answers() == b""


@pytest.mark.parametrize("version", ["5", "31"])
def test_mosquitto_of_another_version_is_told(wyze, version):
    with mosquitto(wyze, "pub", "-V", "mqttv" + version, "-t", "plain/v", "-m", "1") as writer:
        writer.communicate(timeout=30)  # what it makes of the answer differs by its own version
        assert writer.returncode != 0


def test_an_empty_client_id_needs_a_clean_session(wire):
    refused = wire()
    refused.send(connect("", flags=0))
    assert refused.answers() == b"\x20\2\0\2"
    first, second = wire(""), wire("")  # two of them are two clients
    second.ping()
    first.ping()


@pytest.mark.parametrize("name", ["a", "x" * 3000, "ü 日本/#+$.", "0" * 23])
def test_client_ids_of_any_kind_are_taken(wire, name):
    wire(name).ping()


def test_a_second_connection_takes_the_client_id_over(wire):
    first = wire("taken").subscribed("plain/taken")
    other = wire("bystander")
    second = wire("taken")
    assert first.is_closed()
    other.send(publish("plain/taken", b"1")).ping()
    second.ping()  # the subscription went with its connection
    other.ping()


def test_user_and_password_are_read_over_as_nobody_is_asked(wire):
    named = wire()
    named.send(connect("", flags=0xC2, payload=text("named") + text("u") + text(b"\xff\0p")))
    assert named.expect(CONNACK) == b"\0\0"
    named.ping()


def test_silence_beyond_the_keep_alive_closes_and_a_ping_keeps_open(wire):
    silent = wire("silent", keepalive=1)
    lively = wire("lively", keepalive=2)
    start = time.monotonic()
    silent.socket.settimeout(0.4)
    closed = None
    while closed is None or time.monotonic() - start < 5:  # longer than the other one may be silent
        lively.ping()
        try:
            silent.take(1)
        except TimeoutError:
            assert time.monotonic() - start < 10, "it is left open"
        except Closed:
            closed = closed or time.monotonic() - start
            time.sleep(0.4)
    assert 1.5 <= closed  # one and a half times the second, and the look that comes each second


def test_no_keep_alive_means_no_silence_is_too_long(wire):
    patient = wire("patient", keepalive=0)
    short = wire("short", keepalive=1)
    assert short.is_closed()
    patient.ping()


WILL = dict(flags=0x0E, payload=text("willing") + text("plain/will") + text("gone"))


def test_will_is_published_when_the_connection_breaks_or_falls_silent(wire):
    reader = wire("will-reader").subscribed("plain/will", qos=1)

    def expect_will():
        topic, body, flags, number = reader.message()
        assert (topic, body, flags) == (b"plain/will", b"gone", 2)
        reader.send(ack(PUBACK, number))

    wire("", **WILL).reset()
    expect_will()
    wire("", **WILL).close()  # an end without DISCONNECT
    expect_will()
    wire("", **WILL).send(b"\xf0\0")  # a packet that there is not
    expect_will()
    wire("", **WILL)
    wire("", **WILL)  # takes the first one over
    expect_will()
    wire("", keepalive=1, **WILL)
    expect_will()  # of the one that was taken over by this one
    expect_will()


def test_will_is_forgotten_after_disconnect(wire):
    reader = wire("no-will-reader").subscribed("plain/will")
    ending = wire("", **WILL)
    ending.send(packet(DISCONNECT, 0))
    assert ending.is_closed()
    wire("no-will-writer").send(publish("plain/will", b"else"))
    assert reader.message()[1] == b"else"


def test_a_will_enters_the_stream_like_any_reading(wyze, wire):
    payload = text("mortal") + text("mesh/b5ea3f/42/M/status") + text("0")
    wire("", flags=0x0E, payload=payload).reset()
    until(lambda: any(record["headers"]["client"] == "mortal" for record in wyze.records()),
          what="no record of the will")


def test_packets_in_one_write_and_byte_by_byte_are_the_same(wire):
    data = (connect("pieces") + subscribe("plain/p") + publish("plain/p", b"x", qos=1, packet_id=3)
            + packet(PINGREQ, 0))
    answers = []
    for step in (len(data), 1, 7):
        one = wire()
        for start in range(0, len(data), step):
            one.send(data[start : start + step])
        answers.append(sorted(one.packet() for _ in range(5)))
    assert answers[0] == answers[1] == answers[2]
    assert [kind for kind, _, _ in answers[0]] == [2, 3, 4, 9, 13]
