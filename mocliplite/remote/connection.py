"""The file system behind an address, opened by fsspec, and what its errors mean.

Credentials come from the environment, such as AWS_ACCESS_KEY_ID or an SSH agent, never from the settings.
"""

from importlib.util import find_spec
from typing import Any
from urllib.parse import quote

from mocliplite import packages
from mocliplite.errors import UserError

CONNECTIONS = 16  # files that are listed or read at the same time
ADVICE = "check the network and the credentials, then run again."
_LIBRARIES = {"s3": "s3fs", "sftp": "sshfs", "ssh": "sshfs", "gs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
_MAX_REASON = 200  # characters of an error message that are shown


def connect(root: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path of the address in it, without a slash at its end.

    Raises UserError for a library that is not installed, and the errors of fsspec if the server does not answer.
    """
    import fsspec

    protocol = protocol_of(root)
    library = _LIBRARIES.get(protocol)
    if library and find_spec(library) is None:
        raise packages.not_installed(library, f"dataset.root {root}")
    try:
        system, top = fsspec.url_to_fs(root, **_options(protocol))
    except (ImportError, ValueError) as error:
        raise UserError(f"dataset.root is {root}, which cannot be opened: {reason_of(error)}.") from None
    if not top.strip("/"):
        raise UserError(f"dataset.root is {root}, which names a server alone; add the path of the clips.")
    return system, top.rstrip("/")


def forget(root: str) -> None:
    """Close the connections to an address, so that the next `connect` opens another instead of a broken one."""
    import fsspec

    # Of a chain such as simplecache::s3, the last one connects.
    fsspec.get_filesystem_class(protocol_of(root).rpartition("::")[2]).clear_instance_cache()


def protocol_of(root: str) -> str:
    """Return the protocol of an address, such as s3."""
    return root.partition("://")[0]


def has_listing(root: str) -> bool:
    """Return whether the server of an address can list its files, which those of http and https cannot."""
    return protocol_of(root) not in ("http", "https")


def path_below(root: str, top: str, path: str) -> str:
    """Return the path in the file system of a path relative to an address whose own path there is `top`."""
    return f"{top}/{path if has_listing(root) else quote(path)}"


def answers(root: str) -> bool:
    """Return whether the server of an address answers, and accepts the credentials. Raises UserError like `connect`."""
    try:
        system, top = connect(root)
        system.info(top)
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001  each file system of fsspec has exceptions of its own
        return is_missing(error) or hasattr(error.__cause__, "status")  # a page of a web server that refuses its root
    return True


def is_missing(error: Exception) -> bool:
    """Return whether an error of fsspec means that there is no such file.

    For http, fsspec also raises FileNotFoundError if the server does not answer, or refuses.
    """
    cause = error.__cause__
    if type(cause).__module__.startswith("aiohttp"):
        return getattr(cause, "status", None) in (404, 410)
    return isinstance(error, FileNotFoundError) and not isinstance(cause, TimeoutError)


def reason_of(error: Exception) -> str:
    """Return the message of an error in one line, without a full stop at its end."""
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    text = " ".join(str(cause or error).split())
    return text[:_MAX_REASON].rstrip(".") or type(error).__name__


def _options(protocol: str) -> dict[str, object]:
    """Return the options with which a server that is gone is noticed, memory is bounded, and SSH checks host keys."""
    if protocol in ("sftp", "ssh"):
        return {"known_hosts": (), "keepalive_interval": 20, "login_timeout": 60}
    if protocol in ("http", "https"):
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(total=None, sock_connect=60, sock_read=60)  # by default 5 minutes for a whole file
        return {"client_kwargs": {"timeout": timeout, "trust_env": True}}
    if protocol == "s3":
        # s3fs tries again five times, too. Otherwise it reads a large file in ten parts of 50 MB at the same time.
        config = {"connect_timeout": 20, "read_timeout": 30, "retries": {"max_attempts": 2}}
        return {"config_kwargs": config, "max_concurrency": 1}
    return {}
