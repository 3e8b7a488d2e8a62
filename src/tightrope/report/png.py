"""Another path to `tightrope.png`."""

from __future__ import annotations

from tightrope.png import decode_png, encode_png, write_grid, write_lines, write_scatter

__all__ = ["decode_png", "encode_png", "write_grid", "write_lines", "write_scatter"]
