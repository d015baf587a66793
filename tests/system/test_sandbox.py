# SPDX-License-Identifier: Apache-2.0
"""Hostile scripts: what they cannot do, and that nobody else notices that they try. All of it as root
(where that is who runs the tests) and as an ordinary user."""

import collections
import ctypes
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import uuid

import pytest

from conftest import ROOT, SANITIZED, WYZE, until
from sandbox import HASTY, NUMBERS, Target, Traffic, make_target, prelude, probes_script

ARM = os.uname().machine == "aarch64"
USERS = ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]
if SANITIZED:  # slow, and the kernel is the same
    del USERS[1:]

# In the names of all that a script tries to make: nothing of that name may be there afterwards.
MARK = f"wyze-mark-{uuid.uuid4().hex}"


@pytest.fixture(scope="module", params=USERS)
def target(request):
    made = make_target(ordinary=request.param == "ordinary" and os.geteuid() == 0)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def hasty(target):
    """Another one of the same user's, where what hangs is ended soon."""
    made = make_target(ordinary=target.ordinary, message_time=HASTY)
    yield made
    made.stop()


def refused(outcomes, *errors):
    """All probes must have come to one of the errors."""
    wrong = {name: outcome for name, outcome in outcomes.items() if outcome not in errors}
    assert not wrong, wrong


# System calls that no script needs, with arguments of zero: all end at the filter.
FORBIDDEN = """socketpair connect bind execve execveat fork vfork clone ptrace process_vm_readv
process_vm_writev process_madvise kcmp pidfd_open pidfd_send_signal pidfd_getfd rt_sigqueueinfo
rt_tgsigqueueinfo memfd_create memfd_secret io_uring_setup io_setup unshare setns mount umount2 chroot
pivot_root open_tree fsopen move_mount mount_setattr bpf perf_event_open keyctl add_key request_key
userfaultfd seccomp landlock_create_ruleset landlock_restrict_self name_to_handle_at open_by_handle_at
inotify_init1 fanotify_init init_module finit_module delete_module kexec_load reboot swapon sethostname
settimeofday clock_settime adjtimex setuid setresuid setgid setgroups capset setpriority
sched_setscheduler sched_setattr sched_setaffinity ioprio_set setrlimit fchmodat fchmod fchownat fchown
utimensat setxattr fsetxattr truncate mknodat symlinkat linkat unlinkat mkdirat renameat2 sync syslog
quotactl acct personality setsid setpgid set_mempolicy mlock mlockall vmsplice splice tee timer_create
mq_open shmget semget msgget chdir fchdir statfs wait4 getpgid iopl ioperm modify_ldt arch_prctl
creat""".split()


def test_calls_that_no_script_needs_are_refused(target):
    probes = {name: f"system({name!r})" for name in FORBIDDEN if NUMBERS[name][ARM] >= 0}
    refused(target.probe("calls", probes), "EPERM")
    new = {name: f"system({name!r})" for name in ("clone3", "openat2")}
    refused(target.probe("newcalls", new), "ENOSYS")


def test_other_processes_cannot_be_reached(target):
    probes = {
        "kill the parent": "os.kill(PARENT, signal.SIGKILL)",
        "look for the parent": "os.kill(PARENT, 0)",
        "stop the parent": "os.kill(PARENT, signal.SIGSTOP)",
        "kill all": "os.kill(-1, 0)",
        "kill the group": "system('kill', -os.getpgrp(), 9)",
        "kill by group 0": "system('kill', 0, 0)",
        "tgkill the parent": "system('tgkill', PARENT, PARENT, 9)",
        "tgkill without a group": "system('tgkill', -1, PARENT, 9)",
        "tkill the parent": "system('tkill', PARENT, 9)",
        "a parent in 64 bits": "system('kill', PARENT + (1 << 32), 9)",
        "attach": "system('ptrace', 16, PARENT)",
        "seize": "system('ptrace', 0x4206, PARENT)",
        "trace me": "system('ptrace', 0)",
        "read memory": "system('process_vm_readv', PARENT, ctypes.create_string_buffer(16), 1)",
        "limit the parent": "system('prlimit64', PARENT, 7, ctypes.create_string_buffer(16))",
        "the parent's limits": "system('prlimit64', PARENT, 7, 0, ctypes.create_string_buffer(16))",
        "raise a limit": "system('prlimit64', 0, 7, ctypes.create_string_buffer(b'\\xff' * 16))",
        "slow all down": "system('setpriority', 2, 0, 0)",
        "own the pipe's signals": "system('fcntl', 3, 8, PARENT)",
        "own them by ioctl": "system('ioctl', 3, 0x8901, ctypes.byref(ctypes.c_int(PARENT)))",
        "choose the signal": "system('fcntl', 3, 10, 9)",
        "a lease": "system('fcntl', 3, 1024, 0)",
        "a thread": "system('clone', 0x50f00)",
        "a child in namespaces": "system('clone', 0x7e020000 | 17)",
        "subprocess": "__import__('subprocess').run(['/bin/true'])",
        "posix_spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    }
    outcomes = target.probe("others", probes)
    assert target.wyze.process.poll() is None
    refused(outcomes, "EPERM")


def test_prctl_and_ioctl_change_nothing(target):
    names = {"dumpable": 4, "pdeathsig": 1, "ptracer": 0x59616d61, "bounding set": 24, "mm": 35,
             "securebits": 28, "seccomp": 22, "subreaper": 36, "timing": 14, "keepcaps": 8,
             "speculation": 53, "ambient": 47}
    probes = {name: f"system('prctl', {number}, 1)" for name, number in names.items()}
    probes |= {f"TIOCSTI {fd}": f"system('ioctl', {fd}, 0x5412, b'x')" for fd in range(4)}
    probes |= {"TIOCSTI in 64 bits": "system('ioctl', 0, 0x5412 | 1 << 32, b'x')",
               "TIOCSCTTY": "system('ioctl', 0, 0x540E, 1)", "SIOCGIFCONF": "system('ioctl', 3, 0x8912)",
               "FICLONE": "system('ioctl', 3, 0x40049409, 0)"}
    refused(target.probe("settings", probes), "EPERM")


def test_files_cannot_be_read(target):
    pid = target.pid
    store = target.wyze.data / "store.db"
    paths = {
        "the store": store, "the data folder": target.wyze.data, "the log": target.wyze.log_path,
        "a secret": target.secret, "passwd": "/etc/passwd", "shadow": "/etc/shadow", "root": "/",
        "tmp": "/tmp", "home": "/root", "etc": "/etc", "keys": "/etc/ssl/private", "run": "/run",
        "the program": WYZE, "bin": "/bin/true", "sys": "/sys/kernel", "proc": "/proc",
        "own memory": "/proc/self/mem", "own descriptors": "/proc/self/fd",
        "own pipe": "/proc/self/fd/3", "own environment": "/proc/self/environ",
        "own root": "/proc/self/root/etc/passwd", "own directory": "/proc/self/cwd/etc/passwd",
        "the parent's environment": f"/proc/{pid}/environ", "its memory": f"/proc/{pid}/mem",
        "its descriptors": f"/proc/{pid}/fd", "its root": f"/proc/{pid}/root{store}",
        "its directory": f"/proc/{pid}/cwd", "its maps": f"/proc/{pid}/maps",
        "its command": f"/proc/{pid}/cmdline", "the kernel's memory": "/proc/kcore",
        "the kernel's log": "/dev/kmsg", "memory": "/dev/mem", "terminals": "/dev/ptmx",
        "a way around": "/usr/lib/../../etc/passwd", "dots in proc": "/dev/fd/3",
        "sysrq": "/proc/sysrq-trigger", "core": "/proc/sys/kernel/core_pattern",
    }
    probes = {f"{name}: {path}": f"os.open({str(path)!r}, os.O_RDONLY)"
              for name, path in paths.items() if os.path.lexists(path)}
    probes |= {f"write {name}: {path}": f"os.open({str(path)!r}, os.O_WRONLY)"
               for name, path in paths.items() if os.path.isfile(path)}
    folder = "os.open('/', os.O_PATH)"
    probes |= {
        "list": "os.listdir('/')",
        "from a folder opened as a path": f"os.open('etc/passwd', os.O_RDONLY, dir_fd={folder})",
        "make a path readable": f"os.open('/dev/fd/%d' % {folder}, os.O_RDONLY)",
        "past the cache": f"os.open({str(store)!r}, os.O_RDONLY | os.O_DIRECT)",
    }
    assert f"the store: {store}" in probes and f"its memory: /proc/{pid}/mem" in probes
    refused(target.probe("reader", probes), "EACCES", "EPERM", "ENOENT", "ENXIO",
            "ETXTBSY")
    outcomes = target.probe("libraries", {"load": f"ctypes.CDLL({str(target.secret)!r})"})
    assert "Permission denied" in outcomes["load"]


def test_nothing_can_be_written(target):
    folders = ["/tmp", "/var/tmp", "/dev/shm", "/", "/usr/lib", "/usr/lib/python3/dist-packages",
               "/usr/local/lib", target.wyze.data, target.folder, "."]
    probes = {}
    for folder in folders:
        path = f"{folder}/{MARK}"
        probes |= {
            f"make in {folder}": f"os.open({path!r}, os.O_CREAT | os.O_WRONLY)",
            f"mkdir in {folder}": f"os.mkdir({path!r})",
            f"link in {folder}": f"os.symlink('/etc/passwd', {path!r})",
            f"fifo in {folder}": f"os.mkfifo({path!r})",
            f"nameless in {folder}": f"os.open({str(folder)!r}, os.O_TMPFILE | os.O_RDWR, 0o600)",
        }
    victim = target.folder / "victim"  # nothing of the machine's: a sandbox with a hole is tried, too
    victim.mkdir(exist_ok=True)
    shutil.chown(victim, target.folder.owner(), target.folder.group())
    file = target.secret
    probes |= {
        "shm_open": f"__import__('_posixshmem').shm_open('/{MARK}', os.O_CREAT | os.O_RDWR, 0o600)",
        "mq_open": f"system('mq_open', b'{MARK}', 0x42, 0o600, 0)",
        "rename": f"os.rename('{victim}', '{victim}{MARK}')",
        "remove": f"os.rmdir('{victim}')",
        "unlink": f"os.unlink('{file}')",
        "chmod": f"os.chmod('{file}', 0o777)",
        "chown": f"os.chown('{file}', os.getuid(), os.getgid())",
        "times": f"os.utime('{file}')",
        "truncate": f"os.truncate('{file}', 0)",
        "truncate by opening": f"os.open('{file}', os.O_RDONLY | os.O_TRUNC)",
        "execute what was loaded": "os.execv('/lib64/ld-linux-x86-64.so.2', ['x'])",
        "memfd": f"os.memfd_create({MARK!r})",
        "fexecve": "os.execve(os.open('/usr/lib', os.O_PATH), ['x'], {})",
    }
    outcomes = target.probe("writer", probes)
    left = [folder for folder in folders if os.path.lexists(f"{folder}/{MARK}")]
    for path in (pathlib.Path(folder, MARK) for folder in left):  # of a sandbox with a hole
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    refused(outcomes, "EACCES", "EPERM", "EROFS", "ENOENT")
    assert not left and victim.is_dir() and file.read_text() == "not for scripts"
    database = target.probe("database", {
        "file": f"sqlite3.connect('/tmp/{MARK}').execute('create table t(a)')",
        "memory": "sqlite3.connect(':memory:').execute('create table t(a)')"})
    assert database == {"file": "OperationalError: unable to open database file", "memory": "done"}
    assert not [folder for folder in folders if os.path.lexists(f"{folder}/{MARK}")]


def test_sockets_cannot_be_opened(target):
    probes = {f"{domain} {kind}": f"socket.socket({domain}, {kind})"
              for domain in (1, 2, 10, 16, 17, 38, 40) for kind in (1, 2, 3, 5)}
    probes |= {"a pair": "socket.socketpair()",
               "a lookup": "socket.create_connection(('127.0.0.1', 1883))",
               "the pipe as a socket": "socket.socket(fileno=3).sendmsg([b''])"}
    refused(target.probe("sockets", probes), "EPERM")


def test_a_script_reads_nothing_of_what_another_wrote(target):
    granted = target.folder / "granted"
    granted.mkdir(exist_ok=True)
    shutil.chown(granted, target.folder.owner(), target.folder.group())
    path = f"{granted}/{MARK}"
    try:
        first = target.probe("first", {"write": f"open({path!r}, 'w').write('x')"},
                             grants={"write": [str(granted)]})
        assert first == {"write": "done"}
        assert pathlib.Path(path).read_text() == "x"
        refused(target.probe("second", {"read": f"open({path!r}).read()",
                                        "remove": f"os.unlink({path!r})",
                                        "list": f"os.listdir({str(granted)!r})"}), "EACCES", "EPERM")
    finally:
        shutil.rmtree(granted)


def test_the_process_has_no_rights_and_narrow_limits(target):
    [worker] = [pid for pid, command in target.workers().items() if command[1:2] == ["answering"]]
    status = dict(line.split(":\t", 1) for line in
                  pathlib.Path(f"/proc/{worker}/status").read_text().splitlines())
    assert [status[name].strip() for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == ["0" * 16] * 4
    if USERS[0] == "root" and os.stat(f"/proc/{target.pid}").st_uid == 0:
        assert status["CapBnd"].strip() == "0" * 16
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
    limits = pathlib.Path(f"/proc/{worker}/limits").read_text().splitlines()
    got = {line[:25].strip(): line[26:].split()[1] for line in limits[1:]}
    assert got["Max open files"] == "64" and got["Max processes"] == "0"
    assert {got[f"Max {name}"] for name in ("file size", "core file size", "locked memory",
                                            "msgqueue size")} == {"0"}
    if not SANITIZED:
        assert got["Max address space"] == str(512 << 20)


def test_a_worker_comes_behind_wyze(target):
    def stat(pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return {"group": int(fields[2]), "session": int(fields[3]), "nice": int(fields[16])}

    wyze, workers = stat(target.pid), target.workers()
    assert workers
    for worker in workers:
        # Where each session gets the same share of the processors, a priority counts within one only.
        assert stat(worker) == {"group": worker, "session": wyze["session"],
                                "nice": min(wyze["nice"] + 10, 19)}


# What a script needs that is no enemy.
USEFUL = """
import array, base64, bisect, bz2, calendar, collections, contextlib, csv, dataclasses, datetime, decimal
import email.message, enum, fractions, functools, gzip, hashlib, heapq, hmac, html, io, ipaddress
import itertools, json, logging, lzma, math, mimetypes, operator, os, pickle, platform, pprint, random, re
import secrets, sqlite3, ssl, statistics, string, struct, tempfile, textwrap, threading, time, timeit
import unicodedata, urllib.request, uuid, xml.etree.ElementTree, zipfile, zlib, zoneinfo, ctypes
import asyncio, concurrent.futures, multiprocessing, socket, subprocess, resource, locale, signal
"""


def test_what_ordinary_scripts_need_works(target):
    probes = {
        "time zones": "__import__('zoneinfo').ZoneInfo('Europe/Berlin').key",
        "hashes": "__import__('hashlib').new('sha512', b'x').hexdigest()",
        "random": "__import__('secrets').token_bytes(16) + os.urandom(16)",
        "sleep": "__import__('time').sleep(0.001)",
        "types of files": "__import__('mimetypes').guess_type('a.html')",
        "nowhere": "open('/dev/null', 'w').write('x')",
        "a call back": "ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 3)()",
        "own signal": "os.kill(PID, 0) or signal.raise_signal(signal.SIGCHLD)",
        "an alarm": "signal.setitimer(signal.ITIMER_REAL, 0)",
        "pipes": "os.pipe()",
        "the machine": "platform.platform() and os.cpu_count() and __import__('uuid').uuid1()",
        "own limits": "__import__('resource').getrlimit(7)",
        "packages": "__import__('pytest')",
        "compression": "__import__('lzma').decompress(__import__('lzma').compress(b'x' * 100000))",
    }
    outcomes = target.probe("useful", probes | {"imports": f"exec({USEFUL!r}, {{}})"})
    assert set(outcomes.values()) == {"done"}, outcomes


# What goes on for a message: the code, and what comes of it. "dies": its worker is ended, three times,
# and the message is given up. Else the expression holds for the "value" of its answer.
RAMPAGES = {
    "fork bomb": ("sum(outcome(os.fork) != 'EPERM' for _ in range(20000))", "value == 0"),
    "clone bomb": ("sum(outcome(lambda: system('clone', 17)) != 'EPERM' for _ in range(20000))",
                   "value == 0"),
    "thread bomb": ("sum(outcome(threading.Thread(target=print).start)[:12] != 'RuntimeError'"
                    " for _ in range(2000))", "value == 0"),
    "descriptor bomb": ("sum(outcome(lambda: os.open('/dev/null', 0)) == 'done' for _ in range(9999))",
                        "value < 64"),
    "memory bomb": ("fill_memory()", "value < 128"),
    "unseen memory bomb": ("map_memory()", "value < 512"),
    "print 10 GB": ("[print('x' * (1 << 20)) for _ in range(10240)]", "dies"),
    "write 10 GB": ("[b := bytes(1 << 20), sum(os.write(1 + n % 2, b) for n in range(10240))][1] >> 20",
                    "value == 10240"),
    "loop": ("[None for _ in iter(int, 1)]", "dies"),
    "exit": ("os._exit(0)", "dies"),
    "segfault": ("ctypes.string_at(8)", "dies"),
    "abort": ("os.abort()", "dies"),
    "kill itself": ("os.kill(PID, signal.SIGKILL)", "dies"),
    "stop itself": ("os.kill(PID, signal.SIGSTOP)", "dies"),
    "sleep": ("__import__('time').sleep(1000)", "dies"),
    "deaf to signals": ("[signal.pthread_sigmask(0, range(1, 65)), __import__('time').sleep(999)]",
                        "dies"),
    "close the pipe": ("os.close(3)", "dies"),
    "garbage in the pipe": ("os.write(3, b'\\xff' * 100000)", "dies"),
    "an endless frame": ("[os.write(3, b'\\x01\\x7f\\xff\\xff\\x44' + bytes(1 << 20)), signal.pause()]",
                         "dies"),
    "an answer that was not asked for": ("os.write(3, bytes([0, 0, 0, 4, 70, 0, 0, 0, 0]))", "any"),
    "read the pipe empty": ("[os.read(3, 1 << 20) for _ in iter(int, 1)]", "dies"),
}
if not ARM:
    RAMPAGES |= {
        "calls of another table": ("system(0x40000000 + 39)", "dies"),
        "calls of 32 bits": ("int80()", "dies"),
    }

TOOLS = r"""
import mmap

def fill_memory():
    held = []
    try:
        while True:
            held.append(bytearray(1 << 20))
    except MemoryError:
        return len(held)

def map_memory():
    held = []
    try:
        while True:
            held.append(mmap.mmap(-1, 1 << 20, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))
    except OSError:
        return len(held)

def int80():
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b'\xb8\x14\x00\x00\x00\xcd\x80\xc3')  # getpid of 32-bit programs
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()

def handle_input(msg, context):
    context.emit(f'outcome.{context.script}', {'value': WHAT})
"""

# The kernel takes its time to give a bomb the default on a busy machine.
MEMBERS = {"memory bomb": {"limits": {"memory": "128MiB"}}}

# Without a limit of memory, which the sanitizers do not let us have, these two end with the machine.
UNLIMITED = {"memory bomb", "unseen memory bomb"} if SANITIZED else set()


def more_than(before, now):
    """What is open more often than before."""
    return collections.Counter(now) - collections.Counter(before)


def undisturbed(target, workers, descriptors):
    """The processes and descriptors are what they were: the others' processes are the same ones."""
    until(lambda: len(target.workers()) <= len(workers), 30, "processes are left")
    assert target.settled() == workers, target.log()
    until(lambda: not more_than(descriptors, target.descriptors()), 30,
          lambda: f"left open: {more_than(descriptors, target.descriptors())}")


@pytest.mark.parametrize("name", [name for name in RAMPAGES if name not in UNLIMITED])
def test_a_rampage_is_noticed_by_nobody(request, target, name):
    code, expected = RAMPAGES[name]
    if expected == "dies":
        target = request.getfixturevalue("hasty")
    script = name.replace(" ", "-")
    target.wait_status("answering", "running")
    before = target.settled()
    descriptors = target.descriptors()
    try:
        with Traffic(target):
            target.run(script, prelude() + TOOLS.replace("WHAT", code), **MEMBERS.get(name, {}))
            if expected == "dies":
                target.tell(script, {})
                until(lambda: target.live(script).get("quarantined") == 1, 60,
                      "its message is not given up")
            elif expected == "any":
                target.tell(script, {})
                until(lambda: target.live(script).get("in"), 60)
            else:
                value = target.outcome(script, seconds=60)["value"]
                assert eval(expected, {"value": value}), value
    finally:
        target.remove(script)
    undisturbed(target, before, descriptors)


def test_all_rampages_at_once_are_noticed_by_nobody(hasty):
    before = hasty.settled()
    descriptors = hasty.descriptors()
    scripts = {name.replace(" ", "-"): code for name, (code, _) in RAMPAGES.items()
               if name not in UNLIMITED}
    try:
        with Traffic(hasty):
            for script, code in scripts.items():
                hasty.put(script, prelude() + TOOLS.replace("WHAT", code))
            for script in scripts:
                hasty.wait_status(script, "running", seconds=60)
                hasty.tell(script, {})
            for script in scripts:
                until(lambda: hasty.live(script).get("in"), 90, f"{script} does not end")
    finally:
        for script in scripts:
            hasty.remove(script)
    undisturbed(hasty, before, descriptors)


class Server:
    """A listener of TCP that greets."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._greet, daemon=True).start()

    def _greet(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client:
                client.sendall(b"hello")

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.socket.close()


def greet(port):
    return f"socket.create_connection(('localhost', {port}), 5).recv(5) == b'hello' or 1 / 0"


NETWORK_REFUSED = {
    "listen": "socket.create_server(('127.0.0.1', 0))",
    "unix": "socket.socket(socket.AF_UNIX)",
    "raw": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "mptcp": "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)",
    "another kind of socket": "socket.socket().setsockopt(6, 31, b'smc')",
    "connect later": "socket.socket().setsockopt(6, 30, 1)",
    "a filter": "socket.socket().setsockopt(1, 26, bytes(16))",
    "urgent": "socket.socket(fileno=os.dup(3)).send(b'x', socket.MSG_OOB)",
    "a pair of datagrams": "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
}


def test_network_is_there_when_it_is_granted(target):
    with Server() as server:
        works = {"tcp": greet(server.port),
                 "udp": "socket.socket(2, 2).sendto(b'x', ('127.0.0.1', 9))",
                 "options": "[socket.socket().setsockopt(*option) for option in"
                            " ((6, 1, 1), (1, 9, 1), (1, 2, 1), (6, 18, 1000))]",
                 "a timeout": "socket.socket().settimeout(1)",
                 "names": "socket.getaddrinfo('localhost', 80)",
                 "asyncio": "__import__('asyncio').run(__import__('asyncio').sleep(0))",
                 "tls": "__import__('ssl').create_default_context()"}
        outcomes = target.probe("client", works | NETWORK_REFUSED, grants={"network": True})
    assert {outcomes[name] for name in works} == {"done"}, outcomes
    refused({name: outcomes[name] for name in NETWORK_REFUSED}, "EPERM", "EACCES")
    secret = {"read": f"open({str(target.secret)!r}).read()", "exec": "os.execv('/bin/true', ['x'])"}
    refused(target.probe("client", secret, grants={"network": True}), "EPERM", "EACCES")


def test_only_the_ports_that_are_granted_are_there(target):
    with Server() as server, Server() as other:
        fast = "socket.socket(2, 1).sendto(b'x', 0x20000000, ('127.0.0.1', %d))"
        probes = {"other": greet(other.port), "wyze": greet(target.wyze.http_port),
                  "fast": fast % other.port}
        outcomes = target.probe("client", {"granted": greet(server.port)} | probes | NETWORK_REFUSED,
                                grants={"network": [server.port]})
    assert outcomes.pop("granted") == "done"
    refused(outcomes, "EPERM", "EACCES")


def test_a_folder_is_there_when_it_is_granted(target):
    readable = target.folder / "readable"
    writable = target.folder / "writable"
    for folder in (readable, writable):
        folder.mkdir(exist_ok=True)
        (folder / "given").write_text("given")
        for path in (folder, folder / "given"):
            shutil.chown(path, target.folder.owner(), target.folder.group())
    works = {
        "read": f"open('{readable}/given').read() == 'given' or 1 / 0",
        "list": f"os.listdir('{readable}')",
        "write": f"open('{writable}/made', 'w').write('x')",
        "append": f"open('{writable}/given', 'a').write('x')",
        "move": f"os.rename('{writable}/made', '{writable}/moved')",
        "folder": f"os.makedirs('{writable}/a/b')",
        "remove": f"os.rmdir('{writable}/a/b')",
        "database": f"sqlite3.connect('{writable}/db').executescript("
                    "'pragma journal_mode=wal; create table t(a); insert into t values (1)')",
        "truncate": f"open('{writable}/given', 'w').close()",
    }
    not_there = {
        "write the readable": f"open('{readable}/given', 'a')",
        "make in the readable": f"open('{readable}/made', 'w')",
        "truncate the readable": f"os.open('{readable}/given', os.O_RDONLY | os.O_TRUNC)",
        "remove the readable": f"os.unlink('{readable}/given')",
        "leave by dots": f"open('{writable}/../secret')",
        "leave by a link": f"os.symlink('/etc/passwd', '{writable}/link')",
        "a second name": f"os.link('{writable}/given', '{writable}/twice')",
        "a socket": f"system('mknodat', -100, b'{writable}/node', 0o140600, 0)",
        "a program that runs as its owner": f"os.open('{writable}/suid', os.O_CREAT | os.O_WRONLY, 0o4755)",
        "of a group": f"os.open('{writable}/sgid', os.O_CREAT | os.O_RDWR, 0o2755)",
        "chmod": f"os.chmod('{writable}/given', 0o4755)",
        "run": f"os.execv('{writable}/given', ['x'])",
        "other files": f"open({str(target.secret)!r})",
        "the store": f"open('{target.wyze.data}/store.db', 'r+b')",
    }
    outcomes = target.probe("files", works | not_there,
                            grants={"read": [str(readable)], "write": [str(writable)]})
    assert {outcomes[name] for name in works} == {"done"}, outcomes
    refused({name: outcomes[name] for name in not_there}, "EPERM", "EACCES")
    long = target.probe("files", {"2 GiB": f"os.truncate(os.open('{writable}/l', os.O_CREAT | os.O_RDWR)"
                                           ", 1 << 31)"}, grants={"write": [str(writable)]})
    assert long == {"2 GiB": "EFBIG"}


def test_threads_are_there_when_they_are_granted(target):
    probes = {"thread": "[t := threading.Thread(target=int), t.start(), t.join()]",
              "fork": "os.fork()", "clone": "system('clone', 17)",
              "a thread in a namespace": "system('clone', 0x50f00 | 0x20000)",
              "thread's signal": "signal.pthread_kill(threading.get_ident(), 0)"}
    outcomes = target.probe("threads", probes, grants={"threads": True})
    assert outcomes["thread"] == outcomes["thread's signal"] == "done", outcomes
    refused({name: outcomes[name] for name in ("fork", "clone", "a thread in a namespace")}, "EPERM")


@pytest.mark.skipif(SANITIZED, reason="the sanitizers reserve more than any limit of memory")
def test_memory_has_the_limit_of_the_document(target):
    for text, mib in (("100MiB", 100), (268435456, 256)):
        target.run("limited", prelude() + TOOLS.replace("WHAT", "fill_memory()"),
                   limits={"memory": text})
        held = target.outcome("limited")["value"]
        assert mib * 0.3 < held < mib, held
    target.remove("limited")


def test_a_grant_that_cannot_be_had_is_said(target):
    target.put("wrong", "def handle_input(m, c): pass", grants={"read": ["/nowhere/at/all"]})
    live = target.wait_status("wrong", "invalid")
    assert live["remark"] == 'the folder "/nowhere/at/all" cannot be granted: No such file or directory'
    target.remove("wrong")


def test_a_wrong_grant_is_refused_when_it_is_saved(target):
    for members in ({"grants": {"read": ["/"]}}, {"grants": {"exec": True}}, {"limits": {"memory": 1}},
                    {"grants": {"write": ["/proc"]}}, {"grants": {"network": [0]}}):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            target.put("wrong", "def handle_input(m, c): pass", **members)
        problem = json.loads(refusal.value.read())
        assert refusal.value.code == 422 and problem["code"] == "WYZ-5001"
        [(member, values)] = members.items()
        assert member in problem["detail"] and next(iter(values)) in problem["detail"], problem


def test_grants_stay_when_new_code_is_deployed(target):
    file = target.folder / "kept.py"
    file.write_text("# wyze: on raw:try.kept\n" + probes_script({"thread": "[t := threading.Thread("
                    "target=int), t.start(), t.join()]"}))
    target.wyze.cli("script", "deploy", str(file))
    assert target.outcome("kept") != {"thread": "done"}
    done = subprocess.run(["curl", "-s", "-f", "-X", "PATCH", target.wyze.url("/api/v1/scripts/kept"),
                           "-d", '{"grants": {"threads": true}, "limits": {"memory": "1GiB"}}'],
                          capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["limits"] == {"memory": "1GiB"}
    file.write_text(file.read_text() + "# more\n")
    target.wyze.cli("script", "deploy", str(file))
    assert target.outcome("kept")["thread"] == "done"
    target.remove("kept")


def test_no_worker_outlives_wyze():
    target = Target()
    try:
        target.run("clinging", prelude() + TOOLS.replace(
            "WHAT", "[outcome(lambda: system('prctl', 1, 0)), outcome(os.setsid),"
            " signal.pthread_sigmask(0, range(1, 65)), __import__('time').sleep(99)]"))
        target.tell("clinging", {})
        [worker] = target.workers()
        until(lambda: "SigBlk:\tfffffffe" in
              pathlib.Path(f"/proc/{worker}/status").read_text(), 30, "it does not cling")
        target.wyze.kill()
        until(lambda: not os.path.exists(f"/proc/{worker}"), 30, "a worker is left")
    finally:
        shutil.rmtree(target.folder)


@pytest.mark.skipif(SANITIZED, reason="the sanitizers start slowly")
def test_a_worker_starts_quickly(tmp_path):
    """From fork to READY, of twelve the fastest: the others share the machine with other tests."""
    took = []
    for _ in range(12):
        ours, theirs = socket.socketpair()
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os.dup2(theirs.fileno(), 3)
            os.execve(WYZE.parent / "worker" / "wyze-python", ["x", "t", str(os.getppid())], {})
        theirs.close()
        code = b"def handle_input(msg, context): pass"
        ours.sendall(struct.pack(">IBBHII", 12 + len(code), 1, 0, 1, len(code), 0) + b"t" + code)
        assert ours.recv(5) == struct.pack(">IB", 0, 65)
        took.append(time.monotonic() - start)
        ours.close()
        os.waitpid(pid, 0)
    assert min(took) < 0.15, took


class Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte),
                ("k", ctypes.c_uint32)]


class Filter(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("instructions", ctypes.POINTER(Instruction))]


def take_landlock_away():
    """Makes this process and its children find no Landlock, as on an older kernel."""
    code = [(0x20, 0, 0, 0),          # the number of the call
            (0x35, 0, 2, 444),        # landlock_create_ruleset and
            (0x25, 1, 0, 446),        # the two behind it
            (0x06, 0, 0, 0x50026),    # fail with ENOSYS
            (0x06, 0, 0, 0x7fff0000)]
    array = (Instruction * len(code))(*code)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(Filter(len(code), array)), 0, 0) == 0


WITHOUT_LANDLOCK = [sys.executable, "-c", "import os, sys; sys.path.insert(0, sys.argv[1]); "
                    "from test_sandbox import take_landlock_away; take_landlock_away(); "
                    "os.execv(sys.argv[2], sys.argv[2:])", str(ROOT / "tests" / "system")]


def test_without_landlock_scripts_are_refused(tmp_path):
    target = Target(wrapper=WITHOUT_LANDLOCK)
    try:
        target.put("plain", "def handle_input(m, c): pass")
        live = target.wait_status("plain", "invalid")
        assert "this kernel has no Landlock" in live["remark"]
        assert "set scripts.sandbox to without-landlock" in live["remark"]
        until(lambda: not target.workers(), 30, "a process is left")
    finally:
        target.stop()


def test_without_landlock_the_operator_can_have_scripts_run(tmp_path):
    target = Target(wrapper=WITHOUT_LANDLOCK, flags=["--scripts-sandbox=without-landlock"])
    try:
        outcomes = target.probe("bare", {
            "read": f"open({str(target.secret)!r}).read()",
            "write": f"os.open({str(target.secret)!r}, os.O_WRONLY)",
            "make": f"os.open('/tmp/{MARK}', os.O_CREAT | os.O_RDONLY, 0o600)",
            "truncate": f"os.open({str(target.secret)!r}, os.O_RDONLY | os.O_TRUNC)",
            "remove": f"os.unlink({str(target.secret)!r})",
            "fork": "os.fork()", "socket": "socket.socket()", "kill": "os.kill(PARENT, 9)"})
        assert outcomes.pop("read") == "done"  # so the refusals before were Landlock's
        refused(outcomes, "EPERM")
        target.put("granted", "def handle_input(m, c): pass", grants={"read": [str(target.folder)]})
        live = target.wait_status("granted", "invalid")
        assert "a folder cannot be granted without it" in live["remark"]
    finally:
        target.stop()
