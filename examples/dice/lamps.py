#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The lamps on MQTT: shows the commands that reach them on mesh/b5ea3f/+/M/command."""

import argparse

from dice import make_client

COMMANDS = "mesh/b5ea3f/+/M/command"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=1883)
    args = parser.parse_args()

    def on_connect(client, userdata, flags, code, properties=None):
        client.subscribe(COMMANDS, qos=1)

    def on_message(client, userdata, message):
        body = message.payload.decode("utf-8", "backslashreplace")
        print(f"{'lamp':10}{message.topic} {body}", flush=True)

    client = make_client("lamps")
    client.on_connect = on_connect
    client.on_message = on_message
    client.connect("127.0.0.1", args.port)
    client.loop_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
