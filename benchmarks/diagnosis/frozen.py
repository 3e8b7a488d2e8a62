"""What the test set is made of, as one number: ``python -m benchmarks.diagnosis.frozen``."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
FILES = ("plan", "data", "networks", "job", "faults", "bases", "planted_test", "healthy", "sets", "watch")


def content_hash() -> str:
    """SHA-256 over the sources that decide the test set's runs and what counts as their right name."""
    paths = [*(HERE / f"{name}.py" for name in FILES), *sorted((HERE / "loops").glob("*.py"))]
    digest = sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_text(encoding="utf-8").encode() + b"\0")
    return digest.hexdigest()


if __name__ == "__main__":
    print(content_hash())
