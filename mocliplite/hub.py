"""The Hugging Face hub: files of a repository there, from the local cache or the network. Nothing that is read is run.

The only module that imports huggingface_hub, which takes half a second, so inside of functions.
"""

import errno
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from mocliplite.errors import UserError, writing

Kind = Literal["model", "dataset"]
CHECK_LOGIN = "check the name, or log in with `hf auth login`"
# What the system says of a cache that is full or not writable; other errors are those of the network.
_NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN to a token that may write"


class NotOnHubError(Exception):
    """The hub has no such repository, or not this revision of it, or does not show it to this user."""


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a repository, such as owner/name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return True


def check_owner_and_name(text: str) -> None:
    """Raise UserError unless a text is the name of a repository with its owner."""
    if text.count("/") != 1 or not is_name(text):
        raise UserError(f"{text!r} is not the name of a repository on the hub; give it as owner/name.")


def cached(name: str, revision: str | None) -> Path | None:
    """Return the folder of a model's revision in the local cache, which may lack files; None if it is not cached."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import IncompleteSnapshotError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except IncompleteSnapshotError as error:
        # So the hub's client calls a folder that lacks any file of the hub's, also one that was not asked for.
        return Path(error.snapshot_path)
    except LocalEntryNotFoundError:
        return None


def file_names(name: str, revision: str | None) -> set[str] | None:
    """Return the names of a model's files on the hub; None if the hub cannot be reached. Raises NotOnHubError."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        # Asked once before the download, which would knock five times at a hub that cannot be reached.
        files = HfApi().model_info(name, revision=revision, timeout=10).siblings or []
        return {file.rfilename for file in files}
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise NotOnHubError from None
    except (HTTPError, OSError, ValueError):
        return None


def download(name: str, revision: str | None, patterns: Sequence[str]) -> Path | None:
    """Return the folder in the local cache with the files of a model that match; None if it cannot be downloaded.

    Raises NotOnHubError, and MachineError if the local cache cannot be written.
    """
    from httpx2 import HTTPError
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise NotOnHubError from None
    # ValueError: what answered is no hub, such as a hotel's log-in page, or it names a file outside of the cache.
    except (HTTPError, OSError, ValueError) as error:
        if getattr(error, "errno", None) not in _NOT_WRITABLE:
            return None
        with writing(constants.HF_HUB_CACHE):
            raise


def card(metadata: Mapping[str, object], text: str) -> str:
    """Return the text of a repository's README.md: the hub reads the metadata, people read the text."""
    import yaml

    return f"---\n{yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True)}---\n\n{text}"


def push(name: str, kind: Kind, files: Mapping[str, Path | bytes], is_own: Collection[str]) -> str:
    """Make a commit after which a repository has these files, by their path in it; return the address of the commit.

    A repository that does not exist is created, and is private.
    is_own: patterns of the files that may be replaced or removed.

    Raises UserError where the repository has other files, and where the hub refuses or cannot be reached.
    """
    from httpx2 import HTTPError
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.utils import disable_progress_bars

    check_owner_and_name(name)
    disable_progress_bars()
    api = HfApi()
    try:
        api.create_repo(name, repo_type=kind, private=True, exist_ok=True)
        old = set(api.list_repo_files(name, repo_type=kind)) - {".gitattributes"}
        _refuse_other_files(name, old, is_own)
        added = [CommitOperationAdd(path, source) for path, source in sorted(files.items())]
        removed = [CommitOperationDelete(path) for path in sorted(old - files.keys())]
        return str(api.create_commit(name, [*added, *removed], commit_message="Upload", repo_type=kind).commit_url)
    except (HTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name} cannot be written on the hub ({reason}); {_LOG_IN}.") from None


def _refuse_other_files(name: str, files: Collection[str], is_own: Collection[str]) -> None:
    """Raise UserError if a file matches none of the patterns: it would be lost."""
    # `*` does not stand for folders.
    other = sorted(
        file
        for file in files
        if not any(fnmatchcase(file, own) and file.count("/") == own.count("/") for own in is_own)
    )
    if other:
        raise UserError(f"{name} on the hub has other files, such as {other[0]}; choose another name.")
