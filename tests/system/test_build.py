# SPDX-License-Identifier: Apache-2.0
"""What make does around the programs: a build folder is kept as long as it fits, and what root makes
in somebody else's tree is theirs."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from conftest import ROOT, WYZE, until
from root import ENV, as_root, run_as_root


class SmallTree:
    """A tree with a program of one line, and scripts/build in it."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "scripts").mkdir(parents=True)
        shutil.copy(ROOT / "scripts/build", folder / "scripts")
        (folder / "meson.build").write_text(
            "project('small', 'c')\nexecutable('small', 'small.c')\n")
        (folder / "meson_options.txt").write_text("option('more', type: 'boolean', value: false)\n")
        (folder / "small.c").write_text("int main(void)\n{\n    return 0;\n}\n")

    def build(self, *options, compiler="gcc"):
        done = subprocess.run([self.folder / "scripts/build", self.folder / "build", *options],
                              env=dict(os.environ, CC=compiler), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def small(tmp_path):
    tree = SmallTree(tmp_path / "small")
    tree.build()
    return tree


def test_an_unchanged_tree_is_not_built_again(small):
    for option in ((), ("-Dmore=false",)):
        said = small.build(*option)
        assert "no work to do" in said and "made anew" not in said
        assert "The Meson build system" not in said


def test_a_changed_file_or_option_leaves_the_rest_of_the_folder(small):
    kept = small.folder / "build/kept"
    kept.touch()
    (small.folder / "small.c").write_text("int main(void)\n{\n    return 1;\n}\n")
    assert "Linking target small" in small.build()
    assert "made anew" not in small.build("-Dmore=true", "-Db_sanitize=address,undefined")
    assert "no work to do" in small.build("-Dmore=true", "-Db_sanitize=address,undefined")
    assert kept.exists()


@pytest.mark.parametrize("change, reason", [
    ("compiler", "it was made for gcc"),
    ("place", "it is of a tree in another place"),
    ("half", "it is half made"),
    ("stamp", "it cannot be read"),
])
def test_a_folder_that_does_not_fit_is_made_anew(small, change, reason):
    compiler = "clang" if change == "compiler" else "gcc"
    if change == "place":
        small.folder = small.folder.rename(small.folder.with_name("moved"))
    elif change == "half":
        (small.folder / "build/build.ninja").unlink()
    elif change == "stamp":
        (small.folder / "build/wyze-made-for.json").write_text("{")
    said = small.build(compiler=compiler)
    assert f"is made anew: {reason}" in said
    assert "Linking target small" in said
    assert "no work to do" in small.build(compiler=compiler)


def test_a_folder_that_is_no_build_folder_is_left_alone(small):
    own = small.folder / "own"
    own.mkdir()
    (own / "letter").touch()
    done = subprocess.run([small.folder / "scripts/build", own], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode != 0 and "is no build folder" in done.stderr
    assert (own / "letter").exists()


NOBODY = 65534


@pytest.fixture
def owned():
    """A tree that is not root's, with the programs built, in a place that its owner can reach."""
    tree = pathlib.Path(tempfile.mkdtemp(prefix="wyze-owned-", dir="/tmp"))
    tree.chmod(0o755)
    for name in ("Makefile", "scripts/as-owner", "scripts/keep-owner", "examples/dice"):
        (tree / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)
    for name in ("scripts/install-deps", "scripts/build"):  # all is installed and built
        (tree / name).write_text("#!/bin/sh\n")
        (tree / name).chmod(0o755)
    for name in ("wyze", "worker/wyze-python"):
        (tree / "build/src" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(WYZE.parent / name, tree / "build/src" / name)
    if os.geteuid() == 0:
        for path in (tree, *tree.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    yield tree
    run_as_root("rm", "-rf", tree)


def is_of_another(path, owner):
    """Whether a file is not OWNER's; wyze may just have removed it."""
    try:
        return path.lstat().st_uid != owner
    except FileNotFoundError:
        return False


def test_what_root_runs_in_somebody_elses_tree_is_theirs(owned, free_port):
    data = owned / "dice-data"
    run_as_root("mkdir", data)
    run_as_root("touch", data / "lock")  # left by root, earlier
    command = ["make", "-C", owned, "run", f"DICE_MQTT_PORT={free_port()}",
               f"DICE_HTTP_PORT={free_port()}"]
    env = {name: value for name, value in ENV.items() if not name.startswith("WYZE_")}
    with (owned / "said").open("wb") as out:
        run = subprocess.Popen(as_root(*command), env=env, stdin=subprocess.DEVNULL, stdout=out,
                               stderr=out, start_new_session=True)
    try:
        def shown():
            said = (owned / "said").read_text()
            assert run.poll() is None, said
            return "game.dice.throw" in said and "lamp  " in said

        until(shown, 30, "the example did not show messages")
        there = [data, *data.rglob("*")]
        assert data / "wyze.sock" in there
        owner = owned.stat().st_uid
        assert [path for path in there if is_of_another(path, owner)] == []
    finally:
        if run.poll() is None:
            run_as_root("kill", str(run.pid))
        run.wait(30)
    until(lambda: not (data / "wyze.sock").exists(), what="wyze outlives make")
    again = subprocess.run(["make", "-C", owned, "clean"], env=env, capture_output=True, text=True,
                           timeout=60, check=True)
    assert "dice-data stays" in again.stdout
    assert (data / "lock").exists() and not (owned / "build").exists()
