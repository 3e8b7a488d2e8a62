"""Elements of SVG and HTML, escaped by construction."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """A text without what neither XML nor a terminal takes: control characters and halves of surrogate pairs."""
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def tag(name: str, *inside: str, **attributes: object) -> Markup:
    """One element; what is inside and every attribute is escaped, but for ``Markup``.

    Args:
        name: Of the element.
        *inside: Texts and elements; an element without any closes itself.
        **attributes: In order; ``cls`` is the class, underscores are hyphens, and None leaves one out.
    """
    written = "".join(
        f' {"class" if key == "cls" else key.replace("_", "-")}="{_safe(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    body = "".join(map(_safe, inside))
    return Markup(f"<{name}{written}>{body}</{name}>" if body else f"<{name}{written}/>")


def _safe(value: object) -> str:
    return value if isinstance(value, Markup) else escape(clean(str(value)))
