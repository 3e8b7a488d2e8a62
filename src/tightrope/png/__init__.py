"""Sample pictures as PNG files, with nothing but NumPy and zlib: a run needs no image library to show itself."""

from __future__ import annotations

from tightrope.png.codec import decode_png, encode_png
from tightrope.png.draw import write_grid, write_lines, write_scatter

__all__ = ["decode_png", "encode_png", "write_grid", "write_lines", "write_scatter"]
