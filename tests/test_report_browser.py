"""The report in a real headless browser: no console error, no request, no overflow on a phone, dark when asked."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from run_folders import CONFIG, evaluation, make_run, write_rows
from tightrope.report import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=3000",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on PATH"),
]


class Requests(SimpleHTTPRequestHandler):
    """Serves a folder and notes what is asked for."""

    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return write_report(make_run(tmp_path_factory.mktemp("runs") / "digits-r1"))


def browse(tmp_path: Path, address: str, *flags: str) -> tuple[str, str]:
    """What the browser prints on opening an address: the document, and the lines of its log that tell of an error."""
    done = subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *flags, address],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    wrong = [line for line in done.stderr.splitlines() if re.search(r"CONSOLE|Uncaught|ERROR:CONSOLE|Refused to", line)]
    return done.stdout, "\n".join(wrong)


@pytest.fixture
def served(report) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = functools.partial(type("Noting", (Requests,), {"asked": asked}), directory=report.parent)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_opens_from_a_file_without_an_error(report, tmp_path):
    document, wrong = browse(tmp_path, report.as_uri(), "--dump-dom")
    assert wrong == ""
    assert "2.0× its train-versus-test floor" in document
    assert document.count("<svg") > 20 and document.count("<img") == 8
    assert document.rstrip().endswith("</html>")


def test_a_broken_run_with_nasty_texts_opens_without_an_error(tmp_path):
    run = make_run(tmp_path / "run", steps=80, pictures=False)
    (run / "config.json").write_text(str(CONFIG).replace("digits", "<img src=x onerror=alert(1)>"))
    (run / "metrics.jsonl").write_text((run / "metrics.jsonl").read_text()[:-30])
    one = evaluation(80, 80)
    one["measurements"][0]["notes"] = ["<script>console.error('no')</script><img src=x onerror=console.error(1)>"]
    write_rows(run / "evaluations.jsonl", [one])
    (run / "status.json").unlink()
    document, wrong = browse(tmp_path, write_report(run).as_uri(), "--dump-dom")
    assert wrong == "" and "<script" not in document and "<img" not in document


def test_the_log_of_the_browser_would_show_an_error(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<script>console.error('seen')</script>")
    assert "seen" in browse(tmp_path, page.as_uri(), "--dump-dom")[1]


@pytest.mark.parametrize("width", [320, 900])
def test_nothing_is_wider_than_the_screen_and_nothing_else_is_loaded(report, served, tmp_path, width):
    address, asked = served
    (report.parent / "frame.html").write_text(
        f"""<iframe src="report.html" style="border:0;width:{width}px;height:800px"></iframe><p id="found"></p><script>
        addEventListener("load", () => {{
          const page = document.querySelector("iframe").contentDocument, wide = [];
          for (const part of page.querySelectorAll("body *:not(svg *)"))
            if (part.getBoundingClientRect().right > {width} + 0.5) wide.push(part.tagName + "." + part.className);
          found.textContent = page.documentElement.scrollWidth + " wide:" + wide.join(" ") + ".";
        }});</script>"""
    )
    document, wrong = browse(tmp_path, f"{address}/frame.html", "--window-size=1400,900", "--dump-dom")
    assert "Failed to load" not in wrong or "favicon" in wrong  # of the page around it
    assert re.search(r'<p id="found">(.*?)</p>', document).group(1) == f"{width} wide:."
    assert set(asked) - {"/favicon.ico"} == {"/frame.html", "/report.html"}


def test_dark_when_the_reader_asks_for_it_and_light_otherwise(report, tmp_path):
    corners = []
    for name, flags in (("light.png", ()), ("dark.png", ("--force-dark-mode",))):
        shot = tmp_path / name
        browse(tmp_path, report.as_uri(), "--window-size=800,600", f"--screenshot={shot}", *flags)
        pytest.importorskip("PIL.Image", reason="needs Pillow: pip install 'tightrope[images]'")
        from PIL import Image

        with Image.open(shot) as picture:
            corners.append(picture.convert("RGB").getpixel((2, 2)))
    assert corners[0] == (255, 255, 255)
    assert max(corners[1]) < 60


def test_prints_to_a_few_pages(report, tmp_path):
    out = tmp_path / "report.pdf"
    _, wrong = browse(tmp_path, report.as_uri(), "--no-pdf-header-footer", f"--print-to-pdf={out}", "--force-dark-mode")
    assert wrong == ""
    pages = len(re.findall(rb"/Type\s*/Page\b", out.read_bytes()))
    assert 3 <= pages <= 9
