# SPDX-License-Identifier: Apache-2.0
# What a script can import and call, for editors and type checkers: put this file's folder into
# their search path. The worker's own types say the same; a test holds one against the other.
"""What wyze gives its scripts; Context is the type of their context argument."""

from datetime import datetime
from typing import Any, final

_Value = None | bool | int | float | str | list[Any] | dict[str, Any]

class LimitError(RuntimeError):
    """A call went over a limit of wyze's.

    It fails by that, also when the script catches this, and is not tried again.
    """

@final
class Context:
    """What a script can do: given to init(context), handle_input(msg, context) and stop(context).

    script  the script's name
    config  the config of the script's document, a dict
    """

    @property
    def script(self) -> str:
        """The script's name."""

    @property
    def config(self) -> dict[str, Any]:
        """The config of the script's document, a dict."""

    def emit(self, topic: str, body: dict[str, Any] | str | bytes | int | float,
             persistent: bool = True) -> None:
        """Publish a message on the egress exchange; it enters processed-stream under TOPIC.

        topic: 1 to 255 bytes of words joined by '.'; body: a dict, str, bytes or number.
        If the call that emits raises, nothing of what it emitted is published.
        Raises LimitError for the 10,001st output of a call, for over 16 MiB of them, and for an
        output that would be the 17th output of an output in a row.
        """

    def get_state(self, key: str, default: Any = None) -> Any:
        """The value that the script's state has at KEY, or DEFAULT.

        It is the script's own copy: what is changed in it counts when it is set again.
        In a script with several workers each lane, a share of the topics, has a state of its own.
        """

    def last(self, topic: str) -> dict[str, Any] | None:
        """The body of the newest record of TOPIC before this one on its stream, or None."""

    def log(self, message: object, severity: str = 'info') -> None:
        """Write a line to the script's log, and publish it on the topic logs.<severity>.

        severity: 'debug', 'info', 'warning' or 'error'.
        """

    def lookback(self, pattern: str, since: str | float | datetime = '1h',
                 until: str | float | datetime | None = None,
                 limit: int = 1000) -> list[dict[str, Any]]:
        """The bodies of the records before this one on its stream, a list of dicts, oldest first.

        pattern: of topics, '*' is a word, '#' any number of words. since, until (not included): a
        str as '90s', '5m', '1h' or '2d' before now(), seconds since the epoch, a datetime with a
        time zone, or a str as ISO 8601 has it (without a zone: UTC). limit: 1 to 10,000, the newest
        are taken. In init and stop it looks at raw-stream up to the present.
        """

    def now(self) -> float:
        """The record's time in seconds since the epoch, as a float: the same live and replayed.
        In init and stop it is the present time.
        """

    def set_state(self, key: str, value: _Value) -> None:
        """Keep VALUE at KEY, past the end of the process, if the call ends well.

        key: a str of 1 to 1,024 bytes; value: None, a bool, int, float, str, list or dict with str
        keys, at most 1 MiB as JSON. Raises LimitError for over 16 MiB of changes in a call,
        and when the state would grow beyond what scripts.max_state allows.
        """

    def terminate(self, remark: str) -> None:
        """End the script when the call has ended well; REMARK, at most 1,000 bytes, tells why.

        The call goes on, and its outputs and changes count. No further record is handled.
        """

    def unset_state(self, key: str) -> None:
        """Take KEY out of the state, if it is there and if the call ends well."""
