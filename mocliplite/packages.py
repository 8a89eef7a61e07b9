"""How to install the packages that not every installation has: one table for all commands."""

from pathlib import Path

from mocliplite.errors import UserError

# The extra of pyproject.toml that has a package, by the name under which the package is imported.
_EXTRAS = {
    **dict.fromkeys(("httpx2", "huggingface_hub", "onnxruntime"), "predict"),
    **dict.fromkeys(("starlette", "uvicorn"), "serve"),
    **dict.fromkeys(("onnx", "onnxscript"), "onnx"),
    **dict.fromkeys(("distributed", "psutil"), "dask"),
    **dict.fromkeys(("dvc", "ruamel"), "dvc"),  # ruamel.yaml writes settings of projects, which need DVC
    "s3fs": "s3",
    "sshfs": "sftp",
    "gcsfs": "gs",
    "aiohttp": "https",
}
# Packages of the extra `train` that are all that a command may lack where that extra is not installed.
_ALONE = ("matplotlib", "pyarrow")
_OTHERWISE = "train"


def not_installed(module: str, what: str = "this") -> UserError:
    """Return the error where something needs a module that is not installed. what: a command, a file or a setting."""
    name = module.partition(".")[0]
    return UserError(f"{what} needs {name}, which is not installed; run `pip install {requirement(name)}`.")


def requirement(name: str) -> str:
    """Return what to give to pip for a package: its name, or in quotes an extra of this package."""
    if name in _ALONE:
        return name
    # A wheel has the files of a project; in a checkout, pip does not know the package by its name.
    own = "mocliplite" if Path(__file__).with_name("project").is_dir() else "."
    return f'"{own}[{_EXTRAS.get(name, _OTHERWISE)}]"'
