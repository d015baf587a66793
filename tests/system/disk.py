# SPDX-License-Identifier: Apache-2.0
"""A small disk of a test's own: an ext4 file system in a file, mounted through a loop device. It can
lose its power, and it can be full. Who runs the tests owns what is on it; mounting takes root."""

import os
import pathlib

from root import run, run_as_root

# The file system of a folder stops: EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32).
SHUTDOWN = """
import fcntl, os, struct, sys
folder = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(folder, 0x8004587D, struct.pack("I", int(sys.argv[2])))
"""
FREEZE_FIRST = 0  # all that was written reaches the disk
KEEP_JOURNAL = 1  # the journal is written out, what it does not hold is lost
LOSE_ALL = 2  # nothing more reaches the disk: the plug is pulled
LOOP_DEVICES = 8


def make_loop_devices():
    """A container may have the driver without its device files."""
    devices = {"/dev/loop-control": ("c", 10, 237)}
    devices |= {f"/dev/loop{number}": ("b", 7, number) for number in range(LOOP_DEVICES)}
    for path, (kind, major, minor) in devices.items():
        if not os.path.exists(path):
            run_as_root("mknod", "-m", "600", path, kind, str(major), str(minor))


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
        owner = f"root_owner={os.geteuid()}:{os.getegid()}"
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", owner, self.image)
        make_loop_devices()
        self.mount()

    def mount(self):
        run_as_root("mount", "-o", f"loop,{self.options}", self.image, self.path)
        self.mounted = True

    def cut_power(self, way):
        """From here on nothing more gets on the disk, until it is mounted again."""
        run_as_root("/usr/bin/python3", "-c", SHUTDOWN, self.path, str(way))

    def unmount(self):
        if self.mounted:
            run_as_root("umount", self.path)
            self.mounted = False

    def total_bytes(self):
        space = os.statvfs(self.path)
        return space.f_blocks * space.f_frsize

    def free_bytes(self):
        space = os.statvfs(self.path)
        return space.f_bavail * space.f_frsize
