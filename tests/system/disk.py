# SPDX-License-Identifier: Apache-2.0
"""A small disk of a test's own: an ext4 file system in a file, mounted through a loop device. It can
lose its power, and it can be full."""

import fcntl
import os
import pathlib
import stat
import struct
import subprocess

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32)
FREEZE_FIRST = 0  # all that was written reaches the disk
KEEP_JOURNAL = 1  # the journal is written out, what it does not hold is lost
LOSE_ALL = 2  # nothing more reaches the disk: the plug is pulled
LOOP_DEVICES = 8


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))}: {done.stderr.strip()} (this test needs root, loop devices "
        f"and ext4)")
    return done.stdout.strip()


def make_loop_devices():
    """A container may have the driver without its device files."""
    control = pathlib.Path("/dev/loop-control")
    if not control.exists():
        os.mknod(control, stat.S_IFCHR | 0o600, os.makedev(10, 237))
    for number in range(LOOP_DEVICES):
        device = pathlib.Path(f"/dev/loop{number}")
        if not device.exists():
            os.mknod(device, stat.S_IFBLK | 0o600, os.makedev(7, number))


class Disk:
    """Mounted at `path` from the start."""

    def __init__(self, folder, megabytes, options="defaults"):
        self.image = pathlib.Path(folder) / "disk.img"
        self.path = pathlib.Path(folder) / "disk"
        self.options = options
        self.mounted = False
        self.path.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(megabytes * 1024 * 1024)
        run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
        make_loop_devices()
        self.mount()

    def mount(self):
        run("mount", "-o", f"loop,{self.options}", self.image, self.path)
        self.mounted = True

    def cut_power(self, way):
        """From here on nothing more gets on the disk, until it is mounted again."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", way))
        finally:
            os.close(folder)

    def unmount(self):
        if self.mounted:
            run("umount", self.path)
            self.mounted = False

    def free_bytes(self):
        space = os.statvfs(self.path)
        return space.f_bavail * space.f_frsize
