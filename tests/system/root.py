# SPDX-License-Identifier: Apache-2.0
"""What only root may do: root does it itself, everybody else by sudo, which must not ask for a
password here."""

import os
import subprocess

# An ordinary user's PATH may lack where Debian keeps what administrators call.
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
ENV = {**os.environ, "PATH": PATH}


def as_root(*command):
    """The command as root is to be given it."""
    return list(command) if os.geteuid() == 0 else ["sudo", "-n", "--", *command]


def run(*command):
    """Runs a command; what it says is in the failure, and what it may lack."""
    try:
        done = subprocess.run(command, env=ENV, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, timeout=60)
    except (FileNotFoundError, PermissionError):
        raise AssertionError(f"{command[0]} is not there; this test needs root, or sudo") from None
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))}: {done.stderr.strip()} (this test needs root, or sudo that "
        f"asks for no password: \"sudo -v\" before it; and ext4 on loop devices where it mounts)")
    return done.stdout.strip()


def run_as_root(*command):
    return run(*as_root(*command))
