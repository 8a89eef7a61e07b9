"""Feature stores shared by a team, as in docs/sharing.md: in a folder, over SSH, and in a shared cache.

The owner extracts and pushes; a colleague adds, replaces and removes clips. The tests of this file share the clones
and run in order.
"""

import getpass
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from imports import ROOT
from project import copy_project, sh

from benchmarks.kill import digests, finish, start, stop
from mocliplite.store.stores import open_store

STORES = ("features/motion", "features/keyframes")
CLASSES = ("StarSpinning", "BallSliding", "RingSpinning")


@pytest.fixture(scope="module")
def shared_folder():
    """A folder that every user of the machine can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def team(project, shared_folder):
    """A folder with a git hub, a DVC remote, and the clone `owner`, in which 36 clips were extracted and pushed."""
    owner = copy_project(shared_folder / "owner")
    for source in sorted((project / "sample/data/clips").glob("*/*_g0[1-6]_c0[12].avi")):
        if source.parent.name in CLASSES:
            (owner / "clips" / source.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(source, owner / "clips" / source.parent.name)
    shutil.copytree(project / "sample/data/clip", owner / "clip")
    for old, new in (("sample/data/clips ", "clips "), ("lists: sample/data/lists", "lists: configs/none")):
        sh(owner, f"sed -i 's#{old}#{new}#' params.yaml")
    sh(owner, "sed -i 's#sample/data/clip #clip #' params.yaml")
    sh(owner, "dvc add -q clips clip && dvc repro -q motion keyframes")
    sh(owner, f"dvc remote add -q -d team {shared_folder}/remote && git add -A && git commit -qm 'first clips'")
    sh(shared_folder, "git clone -q --bare owner hub && git -C owner remote add origin ../hub && git -C owner fetch -q")
    assert "files pushed" in sh(owner, "dvc push clips.dvc clip.dvc index motion keyframes")
    return shared_folder


def clone(team, name, source="hub"):
    sh(team, f"git clone -q {source} {name}")
    sh(team / name, "git config user.name x && git config user.email x@example.org")
    return team / name


@pytest.fixture(scope="module")
def colleague(team):
    """A clone with the videos, CLIP and both stores."""
    folder = clone(team, "colleague")
    sh(folder, "dvc pull -q clips.dvc clip.dvc index motion keyframes")
    return folder


def stores(folder):
    return {name: digests(folder / name) for name in STORES}


def changed(before, after):
    """Return the names of the files that differ, by store."""
    return {
        store: {name for name in before[store] | after[store] if before[store].get(name) != after[store].get(name)}
        for store in STORES
    }


def repro(folder, *stages):
    """Run stages with DVC; return how many clips each stage computed."""
    output = sh(folder, f"dvc add -q clips && dvc repro {' '.join(stages)}").replace("\r", "\n")
    counts = {}
    for stage in stages:
        found = re.findall(rf"^{stage}: 100%.*computed=(\d+)", output, re.MULTILINE)
        counts[stage] = int(found[-1]) if found else 0
    return counts


def add_clips(folder, project, count):
    source = project / "sample/data/clips/StarSpinning/v_StarSpinning_g08_c01.avi"
    content = source.read_bytes()
    for number in range(count):
        # The same frames in different files: decoders do not read beyond the index.
        (folder / f"clips/StarSpinning/v_StarSpinning_g09_c{number:02d}.avi").write_bytes(content + b"JUNK%d" % number)


def test_ten_new_clips_are_computed_alone_and_only_their_shards_are_pushed_and_pulled(team, colleague, project):
    before = stores(colleague)
    sh(colleague, "dvc unprotect clips")
    add_clips(colleague, project, 10)
    assert repro(colleague, "motion", "keyframes") == {"motion": 10, "keyframes": 10}
    changes = changed(before, stores(colleague))
    shards = {folder: len(names) for folder, names in changes.items()}
    assert 1 <= shards["features/motion"] <= 10
    assert 1 <= shards["features/keyframes"] <= 10

    sh(colleague, "git add -A && git commit -qm 'ten clips'")
    pushed = sh(colleague, "dvc push clips.dvc motion keyframes")
    # The clips, the shards, and the file list of each of the three folders.
    assert f"{10 + sum(shards.values()) + 3} files pushed" in pushed
    sh(colleague, "git push -q origin HEAD")
    sh(team / "owner", "git pull -q origin HEAD")
    pulled = sh(team / "owner", "dvc pull motion keyframes")
    (fetched,) = re.findall(r"(\d+) files fetched", pulled)
    assert sum(shards.values()) <= int(fetched) <= sum(shards.values()) + 2
    assert stores(team / "owner") == stores(colleague)


def test_two_people_who_add_clips_at_once_end_with_the_clips_of_both(team, colleague, project):
    owner, theirs, mine = team / "owner", "v_StarSpinning_g10_c01.avi", "v_StarSpinning_g11_c01.avi"
    source = project / "sample/data/clips/StarSpinning/v_StarSpinning_g08_c01.avi"
    for folder, name in ((owner, theirs), (colleague, mine)):
        sh(folder, "dvc pull -q clips.dvc && dvc unprotect clips")
        (folder / "clips/StarSpinning" / name).write_bytes(source.read_bytes() + name.encode())
        assert repro(folder, "motion", "keyframes") == {"motion": 1, "keyframes": 1}
        sh(folder, "git add -A && git commit -qm 'one clip'")
    sh(owner, "dvc push -q clips.dvc index motion keyframes && git push -q origin HEAD")

    sh(team, f"mkdir new && cp colleague/clips/StarSpinning/{mine} new")
    assert "fix conflicts" in sh(colleague, "git pull --no-rebase origin HEAD || true")
    sh(colleague, "git checkout MERGE_HEAD -- clips.dvc dvc.lock metrics plots && dvc pull -q --allow-missing")
    assert not (colleague / "clips/StarSpinning" / mine).exists()
    sh(colleague, "cp ../new/*.avi clips/StarSpinning")
    assert repro(colleague, "motion", "keyframes") == {"motion": 1, "keyframes": 1}
    assert {f"StarSpinning__{name[:-4]}" for name in (theirs, mine)} < set(
        open_store(colleague / "features/keyframes").ids
    )
    sh(colleague, "git add -A && git commit -qm 'clips of both' && dvc push -q clips.dvc index motion keyframes")
    sh(colleague, "git push -q origin HEAD")
    sh(owner, "git pull -q origin HEAD && dvc pull -q --allow-missing")
    assert stores(owner) == stores(colleague)


def test_a_replaced_clip_is_computed_alone_and_a_removed_one_is_dropped(colleague):
    clips = colleague / "clips/StarSpinning"
    (clips / "v_StarSpinning_g01_c01.avi").write_bytes((clips / "v_StarSpinning_g02_c01.avi").read_bytes())
    assert repro(colleague, "motion", "keyframes") == {"motion": 1, "keyframes": 1}
    (clips / "v_StarSpinning_g09_c00.avi").unlink()
    assert repro(colleague, "motion", "keyframes") == {"motion": 0, "keyframes": 0}
    ids = set(open_store(colleague / "features/motion").ids)
    assert "StarSpinning__v_StarSpinning_g09_c01" in ids
    assert "StarSpinning__v_StarSpinning_g09_c00" not in ids


@pytest.mark.parametrize(("workers", "stages"), [(1, ["motion"]), (4, ["motion", "keyframes"])])
def test_an_extended_store_has_the_bytes_of_one_computed_at_once_by_any_number_of_workers(colleague, workers, stages):
    expected = stores(colleague)
    sh(colleague, f"sed -i 's/  workers: [0-9]*/  workers: {workers}/' params.yaml")
    for stage in stages:
        sh(colleague, f"rm -r features/{stage} && python -m stages.{stage}")
    sh(colleague, "git checkout -q params.yaml")
    assert stores(colleague) == expected


@pytest.mark.parametrize(
    ("stage", "after", "number", "group"),
    [
        ("motion", 1.2, signal.SIGKILL, True),
        ("motion", 1.6, signal.SIGTERM, False),
        ("keyframes", 4, signal.SIGKILL, False),
    ],
)
def test_a_run_after_a_stopped_one_completes_the_store_with_the_same_bytes(colleague, stage, after, number, group):
    folder = colleague / "features" / stage
    expected = digests(folder)
    shutil.rmtree(folder)
    process = start(stage, colleague)
    time.sleep(after)
    stop(process, number, group)  # with it, all that it has started ends
    finish(stage, colleague)
    assert digests(folder) == expected


def test_another_project_imports_one_store_and_reads_it(team, colleague):
    other = team / "other"
    other.mkdir()
    sh(other, "git init -q . && dvc init -q")
    sh(other, "dvc import -q ../hub features/keyframes -o imported")
    code = "from mocliplite.store import open_store; s = open_store('imported'); print(s.read(s.ids).shape)"
    assert sh(other, f'PYTHONPATH={ROOT} python -c "{code}"') == "(48, 1, 64)\n"


def test_a_fresh_clone_does_not_compute_what_others_have_pushed(team):
    fresh = clone(team, "fresh")
    output = sh(fresh, "dvc repro --pull --allow-missing motion keyframes")
    assert "Running stage" not in output
    assert not (fresh / "clips").exists()


@pytest.fixture(scope="module")
def ssh_remote(tmp_path_factory):
    """An OpenSSH server on a free port of this machine: the URL, port and key file of a DVC remote."""
    server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not server:
        pytest.skip("sshd is not installed (apt-get install openssh-server)")
    folder = tmp_path_factory.mktemp("ssh")
    for key in ("host", "user"):
        sh(folder, f"ssh-keygen -q -t ed25519 -N '' -f {key}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"PidFile none\nStrictModes no\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([server, "-D", "-e", "-f", folder / "config"], stderr=log)
    wait_for(port)
    yield f"ssh://{getpass.getuser()}@127.0.0.1{folder}/remote", port, folder / "user"
    process.terminate()
    process.wait()


def wait_for(port):
    for _ in range(100):
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise AssertionError(f"no server answers on port {port}")


def test_stores_are_pushed_and_pulled_over_ssh(team, colleague, ssh_remote):
    url, port, key = ssh_remote
    add_remote = f"dvc remote add -q --local ssh {url} && dvc remote modify --local ssh port {port} && "
    add_remote += f"dvc remote modify --local ssh keyfile {key}"
    sh(colleague, add_remote)
    expected = stores(colleague)
    files = len({digest for store in expected.values() for digest in store.values()}) + 2
    assert f"{files} files pushed" in sh(
        colleague, "dvc commit -q -f motion keyframes && dvc push -r ssh motion keyframes"
    )
    assert "Everything is up to date" in sh(colleague, "dvc push -r ssh motion keyframes")
    sh(colleague, "git add -A && git commit -q --allow-empty -m changed")
    far = clone(team, "far", "colleague")
    sh(far, add_remote + " && dvc pull -q -r ssh motion keyframes")
    assert stores(far) == expected


def test_a_file_that_was_changed_in_a_remote_is_not_pulled_where_hashes_are_verified(team):
    trusting, deceived, checking = (clone(team, name) for name in ("trusting", "deceived", "checking"))
    sh(trusting, "dvc pull -q keyframes")
    shard = (trusting / "features/keyframes/0003.h5").read_bytes()
    (stored,) = [path for path in (team / "remote").rglob("*") if path.is_file() and path.read_bytes() == shard]
    stored.chmod(0o644)
    stored.write_bytes(shard[:-1] + bytes([shard[-1] ^ 1]))
    try:
        sh(deceived, "dvc pull -q keyframes")
        assert stores(deceived) != stores(trusting)
        sh(checking, "dvc remote modify team verify true && ! dvc pull -q keyframes")
        assert not (checking / "features/keyframes").exists()
    finally:
        stored.write_bytes(shard)


OTHER = "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search"


def as_other(folder, command):
    """Run a command as another user, who may read every file but has no other privileges."""
    return sh(folder, f"HOME={folder} {OTHER} -- bash -c {shlex.quote('umask 002; ' + command)}")


def test_two_users_of_a_shared_cache_of_read_only_links(team, project):
    if os.geteuid() != 0 or subprocess.run(f"{OTHER} true", shell=True, capture_output=True).returncode:
        pytest.skip("only root can run commands as another user")
    shared, mine, theirs = team / "cache", clone(team, "mine"), clone(team, "theirs")
    sh(team, f"mkdir {shared} && chgrp 65534 {shared} && chmod g+rws {shared}")
    for folder in (mine, theirs):
        settings = (
            f"cache.dir {shared}",
            "cache.shared group",
            "cache.type symlink",
            f"core.site_cache_dir {folder}/site",
        )
        sh(folder, " && ".join(f"dvc config --local {setting}" for setting in settings))
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
    assert all((path.read_bytes(), path.stat().st_mode) == before for path, before in objects.items())
    assert (theirs / "features/motion/0000.h5").is_symlink()
    assert stores(mine) == stores(team / "owner")
    sh(mine, "python -m mocliplite verify features/motion features/keyframes")
    as_other(theirs, "python -m mocliplite verify features/motion features/keyframes && python -m mocliplite doctor")
