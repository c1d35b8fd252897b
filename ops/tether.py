"""Becomes another program that ends when the process that started it does, where the system offers that.

Run as `python -I -S tether.py PARENT USER PROGRAM ARGUMENTS...`: a program of its own, because Python code
between fork and exec is not safe beside threads. An empty USER keeps the user. Linux ends the program also
when only the *thread* that started it ends: start it from the thread of the event loop.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def become(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def end_with(parent: int) -> None:
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL):
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("the process that started this one has ended already")


def main() -> None:
    parent, user, *command = sys.argv[1:]
    if user:
        become(user)
    end_with(int(parent))  # after the change of user, which would undo it
    os.execv(command[0], command)  # noqa: S606 - becoming the program that the parent names is all this is for


if __name__ == "__main__":
    main()
