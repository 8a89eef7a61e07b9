"""What other systems and other environments need: nothing that Windows lacks, and all packages declared."""

import ast
from pathlib import PurePosixPath

import pytest
from declared import EXTRAS, PROJECT, distributions, imported_modules
from imports import ROOT

# By Python's documentation, these are absent on Windows.
MODULES = {
    *("crypt", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource", "spwd", "syslog", "termios"),
    "tty",
}
OS = {
    *("chown", "chroot", "fchmod", "fchown", "fork", "forkpty", "fstatvfs", "getegid", "geteuid", "getgid"),
    *("getgroups", "getloadavg", "getpgid", "getpgrp", "getpriority", "getresuid", "getsid", "getuid", "killpg"),
    *("lchown", "memfd_create", "mkfifo", "mknod", "nice", "openpty", "posix_fadvise", "posix_fallocate"),
    *("posix_spawn", "pread", "pwrite", "register_at_fork", "sched_getaffinity", "sched_setaffinity", "sendfile"),
    *("setpgid", "setpriority", "setsid", "setuid", "statvfs", "sync", "sysconf", "uname", "wait", "wait3", "wait4"),
    *("WEXITSTATUS", "WIFSIGNALED", "WNOHANG", "WTERMSIG", "O_CLOEXEC", "O_DIRECT", "O_NOFOLLOW", "O_SYNC"),
}
SIGNAL = {"alarm", "setitimer", "getitimer", "pause", "pthread_kill", "pthread_sigmask", "siginterrupt", "sigwait"}
SIGNALS_OF_WINDOWS = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIGBREAK", "SIG_IGN", "SIG_DFL"}
KEYWORDS = {"pass_fds", "preexec_fn", "start_new_session"}
# Windows has these, but os.kill ends the process or sends Ctrl-C, links need a privilege or a file system with them,
# rename fails where the target exists, chmod knows one bit, and a process cannot be forked.
DIFFERENT = {"kill", "symlink", "link", "symlink_to", "hardlink_to", "rename", "chmod", "lchmod"}
ALLOWED = {
    ("mocliplite/files.py", "os.kill"): "not called on Windows",
    ("mocliplite/large_arrays.py", "os.posix_fallocate"): "called where it exists",
    ("mocliplite/runtime/subprocess_worker.py", "resource"): "imported where /proc was found",
    ("mocliplite/cli/_doctor.py", "hardlink_to"): "asks whether there are such links",
    ("mocliplite/cli/_doctor.py", "symlink_to"): "asks whether there are such links",
}
FOLDERS = ("mocliplite", "stages", "sample")


def what_windows_lacks(code):
    """Return what the code uses that Windows lacks, or has in another form."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} & MODULES
            found |= {f"{node.module}.{alias.name}" for alias in node.names if lacks(str(node.module), alias.name)}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and lacks(node.value.id, node.attr):
            found.add(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.Attribute) and node.attr in DIFFERENT - {"kill", "link"}:
            found.add(node.attr)
        elif isinstance(node, ast.keyword) and node.arg in KEYWORDS:
            found.add(node.arg)
        elif isinstance(node, ast.Constant) and node.value in ("fork", "forkserver"):
            found.add(node.value)
    return found


def lacks(module, name):
    if module == "signal":
        return name in SIGNAL or (name.startswith("SIG") and name not in SIGNALS_OF_WINDOWS)
    return module == "os" and name in OS | DIFFERENT


def test_nothing_is_used_that_windows_lacks():
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(paths) > 150
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in paths
        for name in what_windows_lacks(path.read_text(encoding="utf-8"))
    }
    assert found == ALLOWED.keys()


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import fcntl", "fcntl"),
        ("from resource import getrusage", "resource"),
        ("import os\nos.geteuid()", "os.geteuid"),
        ("from os import fork", "os.fork"),
        ("import signal\nsignal.signal(signal.SIGALRM, print)", "signal.SIGALRM"),
        ("import signal\nprocess.send_signal(signal.SIGKILL)", "signal.SIGKILL"),
        ("subprocess.Popen(words, pass_fds=(3,))", "pass_fds"),
        ("path.rename(other)", "rename"),
        ("path.symlink_to(other)", "symlink_to"),
        ("multiprocessing.get_context('fork')", "fork"),
    ],
)
def test_what_windows_lacks_is_found(code, name):
    assert what_windows_lacks(code) == {name}


def test_names_of_files_are_allowed_on_windows():
    folders = (*FOLDERS, "tests", "docs", "configs", "prompts", "benchmarks")
    names = [
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if "data" not in path.relative_to(ROOT).parts[1:2] and "__pycache__" not in path.parts
    ]
    assert len(names) > 300
    parts = {part for name in names for part in PurePosixPath(name).parts}
    reserved = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
    bad = [part for part in parts if set(part) & set('<>:"\\|?*') or part[-1] in " ."]
    assert bad + [part for part in parts if part.partition(".")[0].lower() in reserved] == []
    assert len({name.lower() for name in names}) == len(names)


# Declared for what other packages import, or for its command.
NOT_IMPORTED = {"dvc", "onnx", "onnxscript", "s3fs", "sshfs", "gcsfs"}


def test_every_package_that_is_imported_is_declared_and_the_other_way_round():
    declared = distributions([*PROJECT["dependencies"], *(package for extra in EXTRAS.values() for package in extra)])
    imported = imported_modules("mocliplite", "stages").keys()
    assert len(imported) > 15
    # `make demo` installs gradio into an environment of its own.
    assert sorted(imported - {"gradio"}) == sorted(declared - NOT_IMPORTED)
