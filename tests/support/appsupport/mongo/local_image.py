"""An image for the tests' MongoDB: the one that is asked for, or where none can be pulled, one made here."""

from __future__ import annotations

import re
import subprocess
import tarfile
import tempfile
import warnings
from pathlib import Path

import docker
from docker.errors import APIError, ImageNotFound

from appdb.embedded import find_mongod

LOCAL_IMAGE = "appdb-test-mongod"
_LIBRARY = re.compile(r"(/\S+) \(0x")


def available_image(wanted: str) -> tuple[str, str]:
    """Return an image and what is to be said of it.

    It is *wanted* if the engine has it or can pull it, else one made of this machine's mongod.
    """
    client = docker.from_env(timeout=300)
    try:
        return _available(client, wanted)
    finally:
        client.close()


def _available(client: docker.DockerClient, wanted: str) -> tuple[str, str]:
    if _has(client, wanted):
        return wanted, ""
    try:
        client.images.pull(wanted)
        return wanted, ""
    except APIError as exc:
        problem = str(exc.explanation or exc)
    binary = find_mongod()
    local = f"{LOCAL_IMAGE}:{binary.stat().st_size}"
    if not _has(client, local):
        _make(client, binary, local)
    return local, f", MADE HERE of {binary}, since {wanted} cannot be pulled ({problem})"


def _has(client: docker.DockerClient, image: str) -> bool:
    try:
        client.images.get(image)
    except ImageNotFound:
        return False
    return True


def _make(client: docker.DockerClient, binary: Path, image: str) -> None:
    """Import an image that holds *binary* and the libraries that the loader names, and nothing else."""
    repository, _, tag = image.partition(":")
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        with tarfile.open(fileobj=file, mode="w", dereference=True) as archive:
            archive.add(binary, "bin/mongod")
            for library in _libraries(binary):
                archive.add(library, str(library).lstrip("/"))
            for folder in ("data/db", "tmp"):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o777
                archive.addfile(entry)
        file.flush()
        changes = ['ENTRYPOINT ["/bin/mongod"]', f"EXPOSE {27017}"]
        client.api.import_image_from_file(file.name, repository=repository, tag=tag, changes=changes)
    if not _has(client, image):
        warnings.warn(f"the engine did not keep the image {image}", stacklevel=2)


def _libraries(binary: Path) -> list[Path]:
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout  # noqa: S607
    return [Path(found) for found in _LIBRARY.findall(listed)]
