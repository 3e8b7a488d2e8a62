"""``tightrope evaluate`` as a user meets it: a run, or two folders of anybody's images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tightrope.cli import main
from tightrope.data import open_data
from tightrope.metrics import Measurement, Protocol
from tightrope.runs import GENERATOR_MEASURES


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIGHTROPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    from PIL import Image

    root, values = tmp_path_factory.mktemp("images"), open_data("digits").values[:, 0].numpy()
    sets = {"real": range(300), "fake": range(300, 420), "training": range(420, 700), "few": range(4)}
    for name, rows in sets.items():
        (root / name).mkdir()
        for row in rows:
            Image.fromarray(values[row]).save(root / name / f"{row:04d}.png")
    (root / "big").mkdir()
    for row in range(12):
        Image.fromarray(np.repeat(np.repeat(values[row], 2, 0), 2, 1)).save(root / "big" / f"{row}.png")
    (root / "empty").mkdir()
    (root / "broken").mkdir()
    for row in range(12):
        Image.fromarray(values[row]).save(root / "broken" / f"{row}.png")
    (root / "broken" / "3.png").write_bytes(b"not a picture")
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "ring"
    words = ["--steps", "2", "--batch-size", "8", "--width", "8", "--evaluate-n", "50", "--quiet"]
    assert main(["train", "toy:ring", "--out", str(folder), *words]) == 0
    return folder


def evaluated(capsys, *words) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["evaluate", *map(str, words)]) == 0
    found = capsys.readouterr()
    return found.out, found.err


def test_notes_name_their_source_and_a_split_that_nobody_asked_for_is_not_mentioned(folders, capsys):
    words = ["--real", folders / "real", "--fake", folders / "big", "--resolution", "12", "--metrics", "kernel"]
    _, err = evaluated(capsys, *words)
    assert "held out" not in err
    assert f"note: {folders / 'real'} (train): 270 are smaller than the resolution" in err
    assert f"note: {folders / 'real'} (test): 30 are smaller than the resolution" in err
    _, err = evaluated(capsys, *words, "--split", "test")
    assert "30 of 300 samples are held out" in err


def test_two_folders(folders, capsys):
    words = ["--real", folders / "real", "--fake", folders / "fake"]
    out, err = evaluated(capsys, *words)
    for text in ("frechet", "kernel", "coverage", "120 generated against 300 of all of real (", "150 and 120", "95 %"):
        assert text in out
    assert err.index("takes about") > err.index("random convolutions")
    out, err = evaluated(capsys, *words, "--training", folders / "training", "--metrics", "frechet,prdc", "--json")
    found = [Measurement.from_json(one) for one in json.loads(out)]
    assert [m.name for m in found] == ["frechet", "precision", "recall", "density", "coverage"]
    assert all(m.floor is not None and not any("half" in note for note in m.notes) for m in found)
    assert found[0].value < 3 * found[0].floor


def test_a_zip_of_other_size_is_scaled_where_that_is_asked_for(folders, capsys, tmp_path):
    import shutil

    packed = shutil.make_archive(str(tmp_path / "big"), "zip", folders / "big")
    words = ["--real", folders / "real", "--fake", packed, "--resolution", "8", "--features", "pixels"]
    out, _ = evaluated(capsys, *words, "--metrics", "sliced_wasserstein,kernel")
    assert "Lanczos" in out
    assert "kernel: pixels (" in out


def test_a_run_with_named_metrics(run, capsys, monkeypatch):
    protocol = Protocol("size", "none", "none", 0, 1, "train", 0)
    asked = []

    def size(generator, seed):
        asked.append((generator.shape, seed))
        return [Measurement("size", 2.0, protocol)]

    monkeypatch.setitem(GENERATOR_MEASURES, "size", size)
    out, err = evaluated(capsys, run, "--metrics", "wasserstein1,modes,mode_divergence,size", "--n", 300, "--json")
    assert [one["name"] for one in json.loads(out)] == ["wasserstein1", "modes", "mode_divergence", "size"]
    assert "takes about" in err
    assert asked == [((2,), 0)]
    out, _ = evaluated(capsys, run, "--metrics", "size", "--seed", 4)
    assert asked[1] == ((2,), 4)
    assert out.startswith("size")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "Expected a run folder, or --real and --fake, got neither"),
        ("--real real", "got only --real"),
        ("nowhere --real real", "leave out either nowhere or --real"),
        ("nowhere", "Expected a run folder"),
        ("--real real --fake nowhere", "existing path, got nowhere"),
        ("--real real --fake empty", "an empty folder"),
        ("--real real --fake broken", "3.png"),
        ("--real real --fake big", "images of 8x8 in grey and big images of 16x16 in grey; bring them to one size"),
        ("--real real --fake toy:ring", "two sources of one kind"),
        ("--real real --fake few", "needs at least 6 samples of each set, but there are 300 real and 4 generated"),
        ("--real real --fake fake --n 121", "but there are 120; give a smaller n"),
        ("--real real --fake fake --metrics coverige", "did you mean coverage?"),
        ("--real real --fake fake --metrics ,", "Expected metrics with commas"),
        ("--real real --fake fake --metrics fid", "--features inception:FILE"),
        ("--real real --fake fake --metrics memorisation", "--training"),
        ("--real real --fake fake --metrics wasserstein1", "at most 16 dimensions"),
        ("--real real --fake fake --features inceptoin", "did you mean inception?"),
        ("--real real --fake fake --features inception", "weights/pt_inception-2015-12-05-6726825d.pth"),
        ("--real real --fake fake --features inception:real/0001.png", "SHA-256 that begins with 6726825d"),
        ("--real real --fake fake --features cifar_resnet:real/0001.png", "must be a safetensors file"),
        ("--real real --fake fake --features dinov2:huge", "small, base, large, giant, got 'huge'"),
        ("--real real --fake fake --split half", "Expected the split"),
        ("--real real --fake fake --feature x", "did you mean --features?"),
    ],
)
def test_mistakes_get_one_sentence(folders, capsys, monkeypatch, words, sentence):
    monkeypatch.chdir(folders)
    try:
        status = main(["evaluate", *words.split()])
    except SystemExit as exit:
        status = int(exit.code or 0)
    found = capsys.readouterr()
    assert status == 2, found
    assert found.out == ""
    assert "Traceback" not in found.err
    assert sentence in found.err


def test_broken_images_are_left_out_when_that_is_asked_for(folders, capsys):
    words = ["--real", folders / "real", "--fake", folders / "broken", "--skip-broken", "--metrics", "kernel"]
    assert "11 generated" in evaluated(capsys, *words)[0]
