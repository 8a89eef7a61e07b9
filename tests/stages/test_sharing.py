"""A team of three and its stores: what docs/sharing.md says, on a folder, over SSH, and in a shared cache.

A extracts and pushes; C adds, replaces and removes clips; B pulls what is new. One set of clips serves all tests of
this file; they run in order.
"""

import getpass
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from imports import ROOT
from project import copy_project, sh

from benchmarks.kill import digests, end_orphans, finish, killed
from mocliplite.store.stores import open_store

STORES = ("features/motion", "features/keyframes")
CLASSES = ("StarSpinning", "BallSliding", "RingSpinning")


@pytest.fixture(scope="module")
def place():
    """A folder that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def team(project, place):
    """Clones of A and C beside a git hub and a DVC remote; A has extracted 36 clips and pushed them."""
    a = copy_project(place / "a")
    for source in sorted((project / "sample/data/clips").glob("*/*_g0[1-6]_c0[12].avi")):
        if source.parent.name in CLASSES:
            (a / "clips" / source.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(source, a / "clips" / source.parent.name)
    shutil.copytree(project / "sample/data/clip", a / "clip")
    for old, new in (("root: sample/data/clips", "root: clips"), ("lists: sample/data/lists", "lists: configs/none")):
        sh(a, f"sed -i 's#{old}#{new}#' params.yaml")
    sh(a, "sed -i 's#sample/data/clip #clip #' params.yaml")
    sh(a, "dvc add -q clips clip && dvc repro -q motion keyframes")
    sh(a, f"dvc remote add -q -d team {place}/remote && git add -A && git commit -qm 'first clips'")
    sh(place, "git clone -q --bare a hub && git -C a remote add origin ../hub && git -C a fetch -q")
    assert "files pushed" in sh(a, "dvc push clips.dvc clip.dvc index motion keyframes")
    return place


def clone(team, name, source="hub"):
    sh(team, f"git clone -q {source} {name}")
    sh(team / name, "git config user.name x && git config user.email x@example.org")
    return team / name


@pytest.fixture(scope="module")
def c(team):
    folder = clone(team, "c")
    sh(folder, "dvc pull -q clips.dvc clip.dvc index motion keyframes")
    return folder


def stores(folder):
    return {name: digests(folder / name) for name in STORES}


def changed(before, after):
    """Names of the files that differ, by store."""
    both = {folder: before[folder] | after[folder] for folder in STORES}
    return {
        folder: {name for name in both[folder] if before[folder].get(name) != after[folder].get(name)}
        for folder in STORES
    }


def repro(folder, *stages):
    """Run stages under DVC; returns how many clips each computed."""
    output = sh(folder, f"dvc add -q clips && dvc repro {' '.join(stages)}").replace("\r", "\n")
    counts = {}
    for stage in stages:
        told = re.findall(rf"^{stage}: 100%.*computed=(\d+)", output, re.MULTILINE)
        counts[stage] = int(told[-1]) if told else 0
    return counts


def add_clips(folder, project, count):
    source = project / "sample/data/clips/StarSpinning/v_StarSpinning_g08_c01.avi"
    content = source.read_bytes()
    for number in range(count):
        # Same pictures, other files: what follows the end of the index is not read.
        (folder / f"clips/StarSpinning/v_StarSpinning_g09_c{number:02d}.avi").write_bytes(content + b"JUNK%d" % number)


def test_of_ten_new_clips_ten_are_computed_and_only_their_shards_are_pushed_and_pulled(team, c, project):
    before = stores(c)
    sh(c, "dvc unprotect clips")
    add_clips(c, project, 10)
    assert repro(c, "motion", "keyframes") == {"motion": 10, "keyframes": 10}
    differ = changed(before, stores(c))
    shards = {folder: len(names) for folder, names in differ.items()}
    assert 1 <= shards["features/motion"] <= 10
    assert 1 <= shards["features/keyframes"] <= 10

    sh(c, "git add -A && git commit -qm 'ten clips'")
    pushed = sh(c, "dvc push clips.dvc motion keyframes")
    # The clips, the shards, and the list of each of the three folders.
    assert f"{10 + sum(shards.values()) + 3} files pushed" in pushed
    sh(c, "git push -q origin HEAD")
    sh(team / "a", "git pull -q origin HEAD")
    pulled = sh(team / "a", "dvc pull motion keyframes")
    (fetched,) = re.findall(r"(\d+) files fetched", pulled)
    assert sum(shards.values()) <= int(fetched) <= sum(shards.values()) + 2
    assert stores(team / "a") == stores(c)


def test_a_replaced_clip_is_computed_alone_and_a_removed_one_leaves_the_store(c):
    clips = c / "clips/StarSpinning"
    (clips / "v_StarSpinning_g01_c01.avi").write_bytes((clips / "v_StarSpinning_g02_c01.avi").read_bytes())
    assert repro(c, "motion", "keyframes") == {"motion": 1, "keyframes": 1}
    (clips / "v_StarSpinning_g09_c00.avi").unlink()
    assert repro(c, "motion", "keyframes") == {"motion": 0, "keyframes": 0}
    ids = set(open_store(c / "features/motion").ids)
    assert "StarSpinning__v_StarSpinning_g09_c01" in ids
    assert "StarSpinning__v_StarSpinning_g09_c00" not in ids


@pytest.mark.parametrize(("workers", "stages"), [(1, ["motion"]), (4, ["motion", "keyframes"])])
def test_stores_that_grew_are_to_the_byte_those_made_from_nothing_by_any_number_of_workers(c, workers, stages):
    wanted = stores(c)
    sh(c, f"sed -i 's/  workers: [0-9]*/  workers: {workers}/' params.yaml")
    for stage in stages:
        sh(c, f"rm -r features/{stage} && python -m stages.{stage}")
    sh(c, "git checkout -q params.yaml")
    assert stores(c) == wanted


@pytest.mark.parametrize(
    ("stage", "after", "group"), [("motion", 1.2, True), ("motion", 1.6, False), ("keyframes", 4, True)]
)
def test_after_kill_9_the_next_run_ends_with_the_same_bytes(c, stage, after, group):
    folder = c / "features" / stage
    wanted = digests(folder)
    shutil.rmtree(folder)
    left = killed(stage, c, after, group)
    finish(stage, c)
    end_orphans(left)
    assert digests(folder) == wanted


def test_another_project_imports_one_store_and_reads_it(team, c):
    other = team / "other"
    other.mkdir()
    sh(other, "git init -q . && dvc init -q")
    sh(other, "dvc import -q ../hub features/keyframes -o clips_seen")
    code = "from mocliplite.store import open_store; s = open_store('clips_seen'); print(s.read(s.ids).shape)"
    assert sh(other, f'PYTHONPATH={ROOT} python -c "{code}"') == "(46, 1, 64)\n"


def test_a_fresh_clone_skips_what_others_have_computed(team):
    fresh = clone(team, "fresh")
    output = sh(fresh, "dvc repro --pull --allow-missing motion keyframes")
    assert "Running stage" not in output
    assert not (fresh / "clips").exists()


@pytest.fixture(scope="module")
def ssh_remote(tmp_path_factory):
    """OpenSSH's own server on a free port of this machine, with keys of its own: URL, port and key of a remote."""
    server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not server:
        pytest.skip("sshd is not installed (apt-get install openssh-server)")
    place = tmp_path_factory.mktemp("ssh")
    for key in ("host", "user"):
        sh(place, f"ssh-keygen -q -t ed25519 -N '' -f {key}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    (place / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/user.pub\n"
        f"PidFile none\nStrictModes no\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    with (place / "log").open("wb") as log:
        process = subprocess.Popen([server, "-D", "-e", "-f", place / "config"], stderr=log)
    wait_for(port)
    yield f"ssh://{getpass.getuser()}@127.0.0.1{place}/remote", port, place / "user"
    process.terminate()
    process.wait()


def wait_for(port):
    for _ in range(100):
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing answers on port {port}")


def test_stores_travel_over_ssh(team, c, ssh_remote):
    url, port, key = ssh_remote
    use = f"dvc remote add -q --local ssh {url} && dvc remote modify --local ssh port {port} && "
    use += f"dvc remote modify --local ssh keyfile {key}"
    sh(c, use)
    wanted = stores(c)
    files = len({digest for found in wanted.values() for digest in found.values()}) + 2
    assert f"{files} files pushed" in sh(c, "dvc commit -q -f motion keyframes && dvc push -r ssh motion keyframes")
    assert "Everything is up to date" in sh(c, "dvc push -r ssh motion keyframes")
    sh(c, "git add -A && git commit -q --allow-empty -m changed")
    far = clone(team, "far", "c")
    sh(far, use + " && dvc pull -q -r ssh motion keyframes")
    assert stores(far) == wanted


OTHER = "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search"


def as_other(folder, command):
    """Run a command as another user, who may read everything (where tests lie) but writes as anybody."""
    return sh(folder, f"HOME={folder} {OTHER} -- bash -c {shlex.quote('umask 002; ' + command)}")


def test_two_users_of_a_shared_cache_of_read_only_links(team, project):
    if os.geteuid() != 0 or subprocess.run(f"{OTHER} true", shell=True, capture_output=True).returncode:
        pytest.skip("only root can act for another user")
    shared, mine, theirs = team / "cache", clone(team, "mine"), clone(team, "theirs")
    sh(team, f"mkdir {shared} && chgrp 65534 {shared} && chmod g+rws {shared}")
    for folder in (mine, theirs):
        own = (f"cache.dir {shared}", "cache.shared group", "cache.type symlink", f"core.site_cache_dir {folder}/site")
        sh(folder, " && ".join(f"dvc config --local {setting}" for setting in own))
    sh(mine, "umask 002 && dvc pull -q clips.dvc clip.dvc index motion keyframes")
    sh(team, "chown -R 65534:65534 theirs")

    as_other(theirs, "dvc checkout -q --allow-missing")
    assert (theirs / "features/motion/0000.h5").is_symlink()
    objects = {path: (path.read_bytes(), path.stat().st_mode) for path in shared.rglob("*") if path.is_file()}
    assert {mode & 0o222 for _, mode in objects.values()} == {0}
    clip = f"{project}/sample/data/clips/StarSpinning/v_StarSpinning_g07_c01.avi"
    add = f"dvc unprotect clips && cp {clip} clips/StarSpinning"
    output = as_other(theirs, f"{add} && dvc add -q clips && dvc repro motion").replace("\r", "\n")
    assert re.findall(r": 100%.*computed=(\d+)", output) == ["1"]
    assert all((path.read_bytes(), path.stat().st_mode) == kept for path, kept in objects.items())
    assert (theirs / "features/motion/0000.h5").is_symlink()
    assert stores(mine) == stores(team / "a")
    sh(mine, "python -m mocliplite verify features/motion features/keyframes")
    as_other(theirs, "python -m mocliplite verify features/motion features/keyframes && python -m mocliplite doctor")
