# SPDX-License-Identifier: Apache-2.0
"""A wall clock for a wyze that a test sets forward and back while it runs: tests/faults/clock.c."""

import os
import struct
import time

from conftest import BUILD

CLOCK_LIBRARY = BUILD / "tests" / "faults" / "libwz_clock.so"


class Clock:
    """Of one wyze, from its next start on. It goes right at first."""

    def __init__(self, wyze, path):
        assert CLOCK_LIBRARY.exists(), f"{CLOCK_LIBRARY} is not built"
        self.ahead_ms = 0
        path.write_bytes(struct.pack("=q", 0))
        self.file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        loaded = [str(CLOCK_LIBRARY), *wyze.env.get("LD_PRELOAD", "").split()]
        wyze.env.update(LD_PRELOAD=" ".join(loaded), WZ_CLOCK_FILE=str(path),
                        ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0")

    def set(self, hours):
        """Sets it so far ahead of the right time; negative: behind it."""
        self.ahead_ms = int(hours * 3_600_000)
        os.pwrite(self.file, struct.pack("=q", self.ahead_ms), 0)

    def now_ms(self):
        """What wyze's clock shows."""
        return time.time() * 1000 + self.ahead_ms

    def close(self):
        os.close(self.file)
