# SPDX-License-Identifier: Apache-2.0
"""What wyze gives its scripts.

A script is a Python file with a function handle_input and, if wanted, a function init:

    def init(context): ...                 # once, before the first message
    def handle_input(msg, context): ...    # for each message that matches a binding

Both are plain functions: neither async nor generators; what they return is not used. msg is the record's
body as a dict: the stamps _id, _timestamp and _topic, then the message's own members.

In a script the module is there to be imported, for annotations: import wyze.
"""

from typing import Any, Literal, final

Severity = Literal["debug", "info", "warning", "error"]
Body = dict[str, Any] | str | bytes | int | float | bool

@final
class Context:
    """What a script can do: given to init(context) and handle_input(msg, context)."""

    @property
    def script(self) -> str:
        """The script's name."""

    @property
    def config(self) -> dict[str, Any]:
        """The config of the script's document."""

    def emit(self, topic: str, body: Body, persistent: bool = True) -> None:
        """Publish a message on the exchange egress; it enters processed-stream under TOPIC.

        topic: 1 to 255 bytes of words joined by '.', none of them empty, '*' or '#'.
        body: a dict becomes a JSON object; a str is sent as UTF-8, bytes as they are; a number becomes
        its JSON text. At most 1 MiB. A topic that ends in '.output' is a command to a device.

        TypeError for a body of another type; ValueError for a topic that is not one, for what has no
        JSON form (nan), and for too long a body; RuntimeError past 10,000 outputs or 16 MiB for one
        message, and outside of init and handle_input.

        If the call that emits raises in the end, nothing of what it emitted is published.
        """

    def log(self, message: object, severity: Severity = "info") -> None:
        """Write a line to the script's log, and publish it on the topic logs.<severity>.

        The message's str is taken, up to 8,192 bytes. The line leaves at once, whether or not the call
        raises later. print writes to the log only.
        """

    def now(self) -> float:
        """The record's time in seconds since the epoch: the same live and replayed.

        In init it is the present time.
        """
