# SPDX-License-Identifier: Apache-2.0
# wyze: on raw:game.dice.throw
"""Lets the bedroom light show what the dice shows: one pip is dim, six are bright."""


def handle_input(msg, context):
    pips = int(msg["value"])
    context.emit("bedroom.light.brightness.output", {"value": round(pips * 255 / 6)})
    if pips == 6:
        context.log("a six")
