# SPDX-License-Identifier: Apache-2.0
"""Hostile scripts for test_sandbox.py, and what they are run on: a wyze of root's or of an ordinary
user's, with a script that answers and a device that measures how long acks take meanwhile."""

import json
import os
import pathlib
import re
import shutil
import statistics
import tempfile
import threading
import time
import urllib.request

from conftest import SANITIZED, SEED_MAPPING, WYZE, Wyze, until

# The user "nobody" of Debian.
ORDINARY = 65534

# How long a message may take: where scripts have to come to an end by themselves, and where they hang,
# so that this is found soon.
PATIENT = "60s"
HASTY = "6s" if SANITIZED else "2s"

# The answering script: the lamp is told what it said. It prints, so that script-log is open.
ANSWERING = """
def init(context):
    print("ready")
def handle_input(msg, context):
    context.emit('bedroom.light.brightness.output', {'value': int(msg['value'])})
"""

# What every hostile script begins with. `outcome` gives the name of the error of a call, or "done".
# `system` makes a system call by its number, past everything that Python does.
PRELUDE = r"""
import ctypes, errno, json, os, platform, signal, socket, sqlite3, threading
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
PID = os.getpid()
PARENT = os.getppid()
MACHINE = platform.machine()
NUMBERS = {NUMBERS}

def system(name, *args):
    ctypes.set_errno(0)
    number = name if isinstance(name, int) else NUMBERS[name][MACHINE == 'aarch64']
    padded = [ctypes.c_long(a) if isinstance(a, int) else a for a in (*args, *[0] * (6 - len(args)))]
    result = LIBC.syscall(ctypes.c_long(number), *padded)
    if os.getpid() != PID:
        os._exit(0)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result

def outcome(call):
    try:
        call()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except BaseException as error:
        return f'{type(error).__name__}: {error}'
    return 'done'
"""

# name: the number on x86_64, on aarch64 (-1: there is no such call).
NUMBERS = {
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200),
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, -1), "vfork": (58, -1),
    "clone": (56, 220), "clone3": (435, 435), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "io_uring_setup": (425, 425), "io_setup": (206, 0),
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "chroot": (161, 51), "pivot_root": (155, 41), "open_tree": (428, 428), "fsopen": (430, 430),
    "move_mount": (429, 429), "mount_setattr": (442, 442), "bpf": (321, 280),
    "perf_event_open": (298, 241), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "userfaultfd": (323, 282), "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444), "landlock_restrict_self": (446, 446),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "inotify_init1": (294, 26),
    "fanotify_init": (300, 262), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "reboot": (169, 142),
    "swapon": (167, 224), "sethostname": (170, 161), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "setuid": (105, 146),
    "setresuid": (117, 147), "setgid": (106, 144), "setgroups": (116, 159), "capset": (126, 91),
    "setpriority": (141, 140), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122), "ioprio_set": (251, 30), "setrlimit": (160, 164),
    "fchmodat": (268, 53), "fchmod": (91, 52), "fchownat": (260, 54), "fchown": (93, 55),
    "utimensat": (280, 88), "setxattr": (188, 5), "fsetxattr": (190, 7), "truncate": (76, 45),
    "mknodat": (259, 33), "symlinkat": (266, 36), "linkat": (265, 37), "unlinkat": (263, 35),
    "mkdirat": (258, 34), "renameat2": (316, 276), "sync": (162, 81), "syslog": (103, 116),
    "quotactl": (179, 60), "acct": (163, 89), "personality": (135, 92), "setsid": (112, 157),
    "setpgid": (109, 154), "set_mempolicy": (238, 237), "mlock": (149, 228),
    "mlockall": (151, 230), "vmsplice": (278, 75), "splice": (275, 76), "tee": (276, 77),
    "timer_create": (222, 107), "mq_open": (240, 180), "shmget": (29, 194), "semget": (64, 190),
    "msgget": (68, 186), "chdir": (80, 49), "fchdir": (81, 50), "statfs": (137, 43),
    "wait4": (61, 260), "getpgid": (121, 155), "openat2": (437, 437), "prlimit64": (302, 261),
    "prctl": (157, 167), "ioctl": (16, 29), "fcntl": (72, 25), "openat": (257, 56),
    "rseq": (334, 293), "lookup_dcookie": (212, 18), "iopl": (172, -1), "ioperm": (173, -1),
    "modify_ldt": (154, -1), "arch_prctl": (158, -1), "creat": (85, -1),
}


def prelude():
    return PRELUDE.replace("{NUMBERS}", repr(NUMBERS))


def probes_script(probes):
    """A script that makes each probe (name: an expression) and emits the names with their outcomes."""
    calls = ",\n".join(f"    {name!r}: lambda: {code}" for name, code in probes.items())
    return (prelude() + f"PROBES = {{\n{calls}\n}}\n"
            "def handle_input(msg, context):\n"
            "    context.emit(f'outcome.{context.script}',\n"
            "                 {name: outcome(call) for name, call in PROBES.items()})\n")


class Target:
    """A wyze with the answering script, that belongs to root or to an ordinary user."""

    def __init__(self, ordinary=False, message_time=PATIENT, flags=(), wrapper=()):
        self.ordinary = ordinary
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wyze-sandbox-"))
        self.secret = self.folder / "secret"
        self.secret.write_text("not for scripts")
        wrapper = list(wrapper)
        if ordinary:
            wrapper = self._become_ordinary() + wrapper
        self.wyze = Wyze(self.folder / "data", env={"SECRET_OF_THE_PARENT": "1"})
        self.wyze.start(f"--scripts-max-message-time={message_time}", "--scripts-retry-delay=1ms",
                        *flags, wrapper=wrapper)
        self.wyze.env["WYZE_URL"] = self.wyze.url("")

    def _become_ordinary(self):
        """The programs are copied to where that user can reach them."""
        for program in (WYZE, WYZE.parent / "worker" / "wyze-python"):
            shutil.copy(program, self.folder)
        for path in (self.folder, self.secret):
            os.chown(path, ORDINARY, ORDINARY)
        return ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", "--",
                "sh", "-c", 'program=$0; shift; exec "$program" "$@"', self.folder / "wyze"]

    def stop(self):
        try:
            code = self.wyze.stop()
            assert code == 0, self.log()
        finally:
            shutil.rmtree(self.folder)

    def log(self):
        """What wyze has logged but for what scripts print."""
        return "\n".join(line for line in self.wyze.log().splitlines() if " script.log " not in line)

    @property
    def pid(self):
        return self.wyze.process.pid

    def request(self, method, path, body=None):
        request = urllib.request.Request(self.wyze.url("/api/v1" + path), method=method,
                                         data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            self.revision = int((answer.headers["ETag"] or '"0"').strip('"'))
            return json.loads(answer.read() or b"null")

    def put(self, name, code, topic=None, **members):
        """Saves a script that listens to try.NAME, and waits until wyze has seen it."""
        bindings = [{"stream": "raw", "pattern": topic or f"try.{name}"}]
        self.request("PUT", f"/scripts/{name}", {"code": code, "bindings": bindings, **members})
        revision = self.revision
        until(lambda: self.live(name).get("revision", 0) >= revision, 30, f"{name} is not seen")

    def live(self, name):
        return self.request("GET", f"/scripts/{name}").get("live", {})

    def wait_status(self, name, *statuses, seconds=20):
        """Waits until a script has one of the statuses; returns what is said of it."""
        def there():
            live = self.live(name)
            return live if live.get("status") in statuses else None
        return until(there, seconds, f"{name} is not {statuses}")

    def run(self, name, code, **members):
        self.put(name, code, **members)
        live = self.wait_status(name, "running", "invalid")
        assert live["status"] == "running", live

    def tell(self, name, body):
        self.request("POST", "/publish", {"exchange": "ingress", "topic": f"try.{name}",
                                          "body": body})

    def outcome(self, name, body=None, seconds=30):
        """Gives a running script a message and returns the body of its next answer."""
        pattern = f"outcome.{name}"
        before = len(self.wyze.records("processed-stream", pattern))
        self.tell(name, body or {})

        def answers():
            live = self.live(name)
            assert live.get("errors", 0) == 0 and live.get("quarantined", 0) == 0, (live, self.log())
            return self.wyze.records("processed-stream", pattern)[before:]
        return until(answers, seconds, f"{name} gives no answer")[0]["body"]

    def probe(self, name, probes, **members):
        """What becomes of each probe, in a script of that name."""
        self.run(name, probes_script(probes), **members)
        outcome = self.outcome(name)
        self.remove(name)
        return {probe: outcome[probe] for probe in probes}

    def remove(self, name):
        """Deletes a script and waits until its process is gone."""
        self.request("DELETE", f"/scripts/{name}")
        until(lambda: not self.has(name), 30, f"the process of {name} does not go")

    def has(self, name):
        return any(command[1:2] == [name] for command in self.workers().values())

    def workers(self):
        """The processes that wyze has started: their ids and command lines."""
        found = {}
        for folder in pathlib.Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.pid:
                    found[int(folder.name)] = (folder / "cmdline").read_text().split("\0")[:-1]
            except OSError:
                continue
        return found

    def settled(self):
        """The ids of the workers, when none has ended without being taken note of."""
        def all_alive():
            workers = self.workers()
            return workers if all(workers.values()) else None
        return set(until(all_alive, 30, "a process that has ended is left"))

    def descriptors(self):
        """What wyze has open, by what it is: pipes, sockets, and each file of the data folder (a
        stream that goes on to its next segment opens another file instead)."""
        folder = pathlib.Path(f"/proc/{self.pid}/fd")
        return sorted(_open_file(path) for path in folder.iterdir())


def _open_file(path):
    """The kind of a descriptor: a segment's number says nothing."""
    try:
        name = os.readlink(path)
    except FileNotFoundError:
        return "closed"
    return re.sub(r"\d{8,}|:\[\d+\]", "N", name)


class Traffic:
    """A lamp that says something every few milliseconds at QoS 1 and hears what the answering script
    tells it; from the first to the last line of a `with`."""

    # No ack may take longer than this, whatever scripts do; half of them a tenth of it.
    MOST_S = 10.0 if SANITIZED else 2.0

    def __init__(self, target):
        self.target = target
        self.latencies = []
        self.failure = None
        self.stopping = threading.Event()

    def __enter__(self):
        self.client = self.target.wyze.client(f"lamp-{time.monotonic_ns()}")
        self.client.subscribe("mesh/b5ea3f/42/M/command", 0)
        self.thread = threading.Thread(target=self._talk)
        self.thread.start()
        return self

    def _talk(self):
        try:
            while not self.stopping.is_set():
                start = time.monotonic()
                self.client.publish("mesh/b5ea3f/42/M/status", str(len(self.latencies)))
                self.latencies.append(time.monotonic() - start)
                self.stopping.wait(0.01)
        except BaseException as failure:
            self.failure = failure

    def __exit__(self, kind, value, trace):
        if kind is None:
            until(lambda: self.failure or len(self.latencies) > 5, 30, "hardly anything is acked")
        self.stopping.set()
        self.thread.join(60)
        try:
            if kind is None:
                self.check()
        finally:
            self.client.close()

    def check(self):
        assert self.failure is None, self.failure
        self.client.wait_for(len(self.latencies), 20)
        heard = [json.loads(message.payload)["value"] for message in self.client.got]
        assert heard == list(range(len(self.latencies)))
        assert max(self.latencies) < self.MOST_S, max(self.latencies)
        assert statistics.median(self.latencies) < self.MOST_S / 10, statistics.median(self.latencies)


def make_target(**options):
    target = Target(**options)
    try:
        target.wyze.import_mapping(SEED_MAPPING)
        target.put("answering", ANSWERING, topic="bedroom.light.brightness")
        target.wait_status("answering", "running")
        with Traffic(target):  # what wyze opens when it is first needed is open now
            target.probe("first", {"nothing": "None"})
    except BaseException:
        target.stop()
        raise
    return target
