"""What other systems and other environments need: nothing that Windows lacks, and all packages declared."""

import ast
import mmap
import re
from pathlib import Path, PurePosixPath

import pytest
import yaml
from declared import EXTRAS, PROJECT, distributions, imported_modules
from imports import ROOT
from windows import refuse_open_files

# By Python's documentation, these are absent on Windows.
MODULES = {
    *("crypt", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource", "spwd", "syslog", "termios"),
    *("tty", "select", "selectors"),  # the last two wait for sockets there, not for pipes
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
# rename fails where the target exists, chmod knows one bit, a process cannot be forked, and asyncio waits neither for
# signals nor for pipes.
DIFFERENT = {
    *("kill", "symlink", "link", "symlink_to", "hardlink_to", "rename", "chmod", "lchmod"),
    *("add_signal_handler", "add_reader", "add_writer", "connect_read_pipe", "connect_write_pipe"),
}
# Opening a folder as a file raises PermissionError there.
ERRORS = {"IsADirectoryError"}
ALLOWED = {
    ("mocliplite/files.py", "os.kill"): "not called on Windows",
    ("mocliplite/large_arrays.py", "os.posix_fallocate"): "called where it exists",
    ("mocliplite/store/structures.py", "os.pread"): "called where it exists",
    ("mocliplite/interrupts.py", "signal.SIG_BLOCK"): "given where it exists",
    ("mocliplite/interrupts.py", "signal.SIG_SETMASK"): "given where it exists",
    ("mocliplite/interrupts.py", "signal.SIG_UNBLOCK"): "given where it exists",
    ("mocliplite/interrupts.py", "signal.pthread_kill"): "called where it exists",
    ("mocliplite/interrupts.py", "signal.pthread_sigmask"): "called where it exists",
    ("mocliplite/serving/server.py", "signal.SIGHUP"): "named where it exists",
    ("mocliplite/serving/connections.py", "resource"): "imported where it exists",
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
        elif isinstance(node, ast.Name) and node.id in ERRORS:
            found.add(node.id)
        elif isinstance(node, ast.Call):
            found |= left_to_the_system(node)
    return found


def left_to_the_system(call):
    """Return what the system decides in a call: encodings, line endings, how processes start."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    receiver = getattr(getattr(call.func, "value", None), "id", None)
    given = {keyword.arg for keyword in call.keywords}
    wanted = set()
    if name == "open" and isinstance(call.func, ast.Attribute) and is_text_mode(call.args):
        wanted = {"encoding", "newline"}
    elif name in ("read_text", "write_text") and isinstance(call.func, ast.Attribute) and receiver != "files":
        wanted = {"encoding"} if name == "read_text" else {"encoding", "newline"}
    elif receiver == "subprocess" and given & {"text", "universal_newlines"}:
        wanted = {"encoding"}
    elif name == "ProcessPoolExecutor" and len(call.args) < 2:
        wanted = {"mp_context"}
    return {f"{name} without {one}" for one in wanted - given}


def is_text_mode(arguments):
    """Return whether these are arguments of Path.open for a text file; other methods called open take no mode first."""
    modes = [one.value if isinstance(one, ast.Constant) else None for one in arguments[:1]] or ["r"]
    return isinstance(modes[0], str) and set(modes[0]) <= set("rwax+t")


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
        ("import select", "select"),
        ("loop.add_signal_handler(signal.SIGINT, stop)", "add_signal_handler"),
        ("try:\n    f()\nexcept IsADirectoryError:\n    g()", "IsADirectoryError"),
        ("path.open(newline='')", "open without encoding"),
        ("path.open('a', encoding='utf-8')", "open without newline"),
        ("path.read_text()", "read_text without encoding"),
        ("path.write_text(text, newline='\\n')", "write_text without encoding"),
        ("subprocess.run(words, text=True)", "run without encoding"),
        ("ProcessPoolExecutor(2)", "ProcessPoolExecutor without mp_context"),
    ],
)
def test_what_windows_lacks_is_found(code, name):
    assert what_windows_lacks(code) == {name}


def test_an_open_file_is_neither_replaced_nor_deleted_as_on_windows(folder, monkeypatch):
    if not Path("/proc/self/maps").is_file():
        pytest.skip("only Linux tells which files are open")
    refuse_open_files(monkeypatch)
    Path("a").write_bytes(b"1")
    Path("b").write_bytes(b"2")
    with Path("b").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with pytest.raises(PermissionError):
            Path("b").unlink()
    with pytest.raises(PermissionError):
        Path("a").replace("b")
    mapped.close()
    Path("a").replace("b")
    Path("b").unlink()
    assert list(Path().iterdir()) == []


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
    assert max(map(len, names)) < 100  # of the 260 characters of a whole path


@pytest.mark.parametrize("file", ["dvc.yaml", "sample/dvc.yaml"])
def test_the_commands_of_stages_need_no_particular_shell(file):
    stages = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["stages"]
    assert stages
    assert [stage["cmd"] for stage in stages.values() if not re.fullmatch(r"python -m [\w.]+", stage["cmd"])] == []


# Declared for what other packages import, or for its command.
NOT_IMPORTED = {"dvc", "onnxscript", "s3fs", "sshfs", "gcsfs"}


def test_every_package_that_is_imported_is_declared_and_the_other_way_round():
    declared = distributions([*PROJECT["dependencies"], *(package for extra in EXTRAS.values() for package in extra)])
    imported = imported_modules("mocliplite", "stages").keys()
    assert len(imported) > 15
    # `make demo` installs gradio into an environment of its own.
    assert sorted(imported - {"gradio"}) == sorted(declared - NOT_IMPORTED)
