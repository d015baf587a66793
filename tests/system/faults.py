# SPDX-License-Identifier: Apache-2.0
"""Disk faults for a wyze, by rules in a file that tests/faults/fault.c reads anew when it changes."""

from conftest import BUILD

FAULT_LIBRARY = BUILD / "tests" / "faults" / "libwz_fault.so"


def preload_faults(wyze, control):
    """Makes the disk fail by the rules in the file CONTROL; there are none at first."""
    assert FAULT_LIBRARY.exists(), f"{FAULT_LIBRARY} is not built"
    set_faults(control)
    wyze.env.update(LD_PRELOAD=str(FAULT_LIBRARY), WZ_FAULT_FILE=str(control),
                    ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0")


def set_faults(control, *rules):
    """Puts RULES in place of those there were."""
    beside = control.with_suffix(".new")
    beside.write_text("\n".join(rules))
    beside.rename(control)
