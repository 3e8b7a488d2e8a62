"""NumPy's file formats, read so that a header cannot ask for more than its file holds, and nothing is unpickled."""

from __future__ import annotations

import math
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tightrope._plumbing.errors import UserError
from tightrope.data.archive import KNOWN
from tightrope.data.files import damaged, require_memory, require_written

__all__ = ["Array", "array_readers"]

Array = npt.NDArray[Any]

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_AXES = 32


def array_readers(path: Path) -> dict[str, Callable[[], Array]]:
    """Name -> reader of every array in an ``.npz`` file; the array of an ``.npy`` file is called ``arr_0``.

    Raises:
        UserError: here or by the readers, if the file or the array is damaged, larger than memory, or of objects.
    """
    with damaged(_broken(path)), path.open("rb") as file:
        if file.read(2) != b"PK":
            return {"arr_0": lambda: _mapped(path)}
        archive = zipfile.ZipFile(path)
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        twice, times = Counter(info.filename for info in members).most_common(1)[0] if members else ("", 1)
        if times > 1:
            raise UserError(f"Expected one array of each name in {path}, got {twice} twice; save the file again.")
        return {info.filename.removesuffix(".npy"): _member_reader(path, archive, info) for info in members}


def _member_reader(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], Array]:
    def read() -> Array:
        with damaged(_broken(path)):
            if info.compress_type not in KNOWN:
                raise UserError(f"Expected arrays as NumPy packs them, but {path} is packed otherwise; save it again.")
            require_memory(info.file_size, path)
            with archive.open(info) as file:
                shape, dtype, fortran, size, start = _header(file, path)
                if start + size != info.file_size:
                    raise UserError(_broken(path))
                data = file.read(size)
                if len(data) < size or file.read(1):
                    raise UserError(_broken(path))
            array = np.frombuffer(data, dtype=dtype, count=math.prod(shape))
            return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)

    return read


def _mapped(path: Path) -> Array:
    """The array of an ``.npy`` file, read when used."""
    with damaged(_broken(path)):
        with path.open("rb") as file:
            shape, dtype, fortran, size, start = _header(file, path)
        if path.stat().st_size < start + size:
            raise UserError(_broken(path))
        require_written(path)
        if not size or not shape:
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype=dtype, mode="r", offset=start, shape=shape, order="F" if fortran else "C")


def _header(file: BinaryIO | Any, path: Path) -> tuple[tuple[int, ...], np.dtype[Any], bool, int, int]:
    """Shape, type, whether columns come first, bytes of the array, and where it starts."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise UserError(_broken(path))
    shape, fortran, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise UserError(
            f"Expected arrays of numbers in {path}, got Python objects, which would have to be unpickled and can "
            "run code; save them again with a number type, such as array.astype('float32')."
        )
    if len(shape) > _AXES or any(length < 0 for length in shape) or dtype.subdtype is not None:
        raise UserError(_broken(path))
    return shape, dtype, fortran, math.prod(shape) * dtype.itemsize, file.tell()


def _broken(path: Path) -> str:
    return f"Expected a NumPy file, but {path} is damaged or none; save it again."
