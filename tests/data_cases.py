"""Small data sets in every format, written to a temporary folder; pixels are known, so readers have an oracle."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"


def real(name):
    """A folder of real data, or a skip."""
    folder = DATA / name
    if not folder.exists():
        pytest.skip(f"real data {name} is not here")
    return folder


def noise(n, height=8, width=8, channels=3, seed=0):
    """Random images ``[n, h, w, c]``; grey ones have one channel."""
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, channels), dtype=np.uint8)


def encoded(pixels, kind="PNG", **options):
    """An image file's bytes from ``[h, w, c]``."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, kind, **options)
    return file.getvalue()


def write_files(root, files):
    """Write ``{relative path: bytes}`` below a folder."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(path, files):
    """The same as a zip file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_parquet(path, images, labels=None, names=None, image="image", group=4, label="label"):
    """The Hugging Face convention: struct{bytes, path}, ClassLabel names in the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(images)]
    columns = {image: pa.array(rows, type=pa.struct([("bytes", pa.binary()), ("path", pa.string())]))}
    features = {image: {"_type": "Image"}}
    if labels is not None:
        columns[label] = pa.array(labels)
    if names is not None:
        features[label] = {"_type": "ClassLabel", "names": names}
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=group)
    return path


def idx(array):
    """An idx file's bytes."""
    sizes = np.array(array.shape, dtype=">u4").tobytes()
    return b"\0\0\x08" + bytes([array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def gz(data):
    """Gzipped bytes."""
    return gzip.compress(data)


def chw(pixels):
    """``[n, h, w, c]`` to ``[n, c, h, w]``."""
    return pixels.transpose(0, 3, 1, 2)
