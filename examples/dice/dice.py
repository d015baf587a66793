#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A dice on MQTT: throws once a second, reports on test/mqtt-dice/RES/status, and listens on
test/mqtt-dice/ROLL/command for "start" and "stop"."""

import argparse
import random
import threading

import paho.mqtt.client as mqtt

REPORT = "test/mqtt-dice/RES/status"
COMMAND = "test/mqtt-dice/ROLL/command"


def make_client(name):
    if hasattr(mqtt, "CallbackAPIVersion"):  # paho-mqtt 2
        return mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name)
    return mqtt.Client(client_id=name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between throws")
    args = parser.parse_args()
    rolling = threading.Event()
    rolling.set()

    def on_connect(client, userdata, flags, code, properties=None):
        client.subscribe(COMMAND, qos=1)

    def on_message(client, userdata, message):
        if message.payload == b"stop":
            rolling.clear()
        elif message.payload == b"start":
            rolling.set()

    client = make_client("mqtt-dice")
    client.on_connect = on_connect
    client.on_message = on_message
    client.connect("127.0.0.1", args.port)
    client.loop_start()
    ticker = threading.Event()
    while not ticker.wait(args.interval):
        rolling.wait()
        client.publish(REPORT, str(random.randint(1, 6)), qos=1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
