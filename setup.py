"""What pyproject.toml cannot say: in a wheel, the stages and the files of a new project are packages of mocliplite."""

import os

from setuptools import find_packages, setup

# The files in a wheel have this time, the first that a zip file can hold, so that the same files give the same bytes.
os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")

setup(
    script_name="setup.py",  # which is then left out of mocliplite.project
    packages=[*find_packages(include=["mocliplite*"]), "mocliplite.stages", "mocliplite.project"],
    package_dir={"mocliplite.stages": "stages", "mocliplite.project": "."},
)
