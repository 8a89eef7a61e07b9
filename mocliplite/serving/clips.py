"""The clip of a request: the body, saved as a temporary file, or a file below the folder that the server may read."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request

from mocliplite.serving.batches import UnavailableError

PARAMETERS = ("name", "path", "top")  # of the address /predict


@dataclass(frozen=True)
class Settings:
    """What the server accepts."""

    root: Path | None  # folder of the files that requests may name; none without it
    token: str | None  # that requests must have; none is asked for without it
    max_size: int  # bytes of an upload
    time_limit: int  # seconds of an upload, and of a connection without a request
    queue: int  # requests at a time
    connections: int  # open at a time


@dataclass(frozen=True)
class Clip:
    """A file to classify, and how the request and its answer call it."""

    path: str
    name: str


@asynccontextmanager
async def clip_of(request: Request, settings: Settings, uploads: Path) -> AsyncIterator[Clip]:
    """Yield the clip of a request. An upload is saved in the folder `uploads` and deleted at the end.

    Raises HTTPException for a request that is not allowed, and UnavailableError if the disk is full.
    """
    path = request.query_params.get("path")
    if path is not None:
        yield Clip(path_below(settings.root, path), path)
        return
    name = request.query_params.get("name", "clip")
    # FFmpeg recognises some formats by the ending of the name.
    ending = PurePosixPath(name).suffix
    upload = uploads / f"{uuid4().hex}{ending if re.fullmatch(r'[.][A-Za-z0-9]{1,9}', ending) else ''}"
    try:
        async with asyncio.timeout(settings.time_limit):
            await _save(request, upload, settings.max_size)
        yield Clip(str(upload), name)
    except TimeoutError:
        raise HTTPException(408, f"the upload took longer than {settings.time_limit} s; send a smaller clip.") from None
    finally:
        upload.unlink(missing_ok=True)


def path_below(root: Path | None, path: str) -> str:
    """Return the real path of a file below root, a resolved folder.

    Raises HTTPException for a path that leads elsewhere, also by a link, or where there is no root.
    """
    if root is None:
        raise HTTPException(403, "this server reads no files; upload the clip, or start it with --root FOLDER.")
    no_file = HTTPException(422, f"{path} is not a file; check the path.")
    try:
        real = Path(root, path).resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, or a null character
        raise no_file from None
    if not real.is_relative_to(root):
        raise HTTPException(403, f"{path} is not in the folder of this server; give a path relative to that folder.")
    if not os.path.isfile(real):  # noqa: PTH113  unlike Path.is_file, False for a name that is too long
        raise no_file
    return str(real)


async def _save(request: Request, upload: Path, max_size: int) -> None:
    """Write the body of a request to a file, chunk by chunk."""
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise HTTPException(415, "the body is a form; send the clip alone, such as by curl --data-binary @my.mp4.")
    too_large = HTTPException(413, f"the clip is larger than {max_size >> 20} MiB; send a smaller one.")
    if int(request.headers.get("content-length", 0)) > max_size:
        raise too_large
    size = 0
    with upload.open("xb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > max_size:
                raise too_large
            try:
                file.write(chunk)
            except OSError as error:
                raise UnavailableError(f"the upload was not saved ({error.strerror}); try again later.") from None
    if not size:
        raise HTTPException(400, "the body is empty; send the bytes of a clip, or name a file with ?path=.")
