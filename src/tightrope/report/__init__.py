"""The report of a run: one HTML file without scripts or network, and the same as text for the terminal."""

from __future__ import annotations
