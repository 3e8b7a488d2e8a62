from __future__ import annotations

import json
import math

import msgspec
import pytest
import torch

from tightrope._plumbing.errors import UserError
from tightrope.metrics import Measurement, Protocol

PROTOCOL = Protocol("frechet", "pixels (abc)", "training scale", 397, 1400, "test", 0)


def test_round_trip_through_json():
    full = Measurement("frechet", 1.5, PROTOCOL, interval=(1.0, 2.0), floor=0.5, notes=("a note",))
    bare = Measurement("frechet", 0.1, PROTOCOL)
    for measurement in (full, bare):
        assert Measurement.from_json(json.loads(json.dumps(measurement.to_json(), allow_nan=False))) == measurement


def test_compare_is_the_difference_under_one_protocol():
    assert Measurement("frechet", 3.0, PROTOCOL).compare(Measurement("frechet", 1.0, PROTOCOL)) == 2.0


@pytest.mark.parametrize("field", Protocol.__struct_fields__)
def test_compare_refuses_every_difference_and_names_it(field):
    changed = msgspec.structs.replace(PROTOCOL, **{field: 7 if field in ("n_real", "n_fake", "seed") else "other"})
    others = {key for key in PROTOCOL.to_json() if key != field}
    with pytest.raises(UserError, match=f"{field}: .*measure both again") as caught:
        Measurement("frechet", 3.0, PROTOCOL).compare(Measurement("frechet", 1.0, changed))
    assert not any(f"{other}:" in str(caught.value) for other in others)


def test_compare_refuses_another_metric():
    with pytest.raises(UserError, match="name: 'frechet' and 'modes'"):
        Measurement("frechet", 3.0, PROTOCOL).compare(Measurement("modes", 1.0, PROTOCOL))


def test_non_finite_values_never_enter_a_file():
    for bad in (math.nan, math.inf):
        for keywords in ({"value": bad}, {"value": 0.0, "floor": bad}, {"value": 0.0, "interval": (0.0, bad)}):
            with pytest.raises(ValueError, match="finite numbers"):
                Measurement(name="frechet", protocol=PROTOCOL, **keywords)


def test_a_measurement_of_another_version_is_refused():
    stored = Measurement("frechet", 1.5, PROTOCOL).to_json()
    protocol = stored["protocol"]
    for change, why in (
        ({"protocol": {key: value for key, value in protocol.items() if key != "seed"}}, "seed"),
        ({"protocol": {**protocol, "resize": 299}}, "resize"),
        ({"value": "low"}, r"got `str` - at `\$.value`"),
        ({"value": math.nan}, "finite numbers"),
    ):
        with pytest.raises(UserError, match=f"Expected a stored measurement.*{why}.*measure again"):
            Measurement.from_json(stored | change)
    without = {key: value for key, value in protocol.items() if key != "data"}
    assert Measurement.from_json(stored | {"protocol": without}).protocol == PROTOCOL


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"value": float}, "value as a number, got the class float"),
        ({"value": "1"}, "value as a number, got '1'"),
        ({"value": None}, "value as a number"),
        ({"value": True}, "value as a number"),
        ({"value": torch.tensor(1.0)}, r"value as a number, got a tensor of shape \[\]"),
        ({"floor": int}, "floor as a number"),
        ({"interval": 3}, r"interval as \(lower, upper\), got 3"),
        ({"interval": (1.0,)}, r"interval as \(lower, upper\)"),
        ({"interval": ()}, r"interval as \(lower, upper\)"),
        ({"interval": (2.0, 1.0)}, r"interval as \(lower, upper\), got \(2.0, 1.0\)"),
        ({"interval": (int, float)}, "both ends of the interval as a number"),
        ({"protocol": "p"}, "protocol as a Protocol"),
        ({"name": 3}, "name as text"),
        ({"notes": "hey"}, "notes as a tuple of sentences"),
        ({"notes": (1,)}, "notes as a tuple of sentences"),
    ],
)
def test_fields_of_another_kind_are_refused(changed, said):
    fields = {"name": "frechet", "value": 1.0, "protocol": PROTOCOL} | changed
    with pytest.raises(UserError, match=f"^Expected {said}.*; "):
        Measurement(**fields)


def test_a_number_beyond_floats_is_no_finite_one():
    with pytest.raises(UserError, match="holds finite numbers"):
        Measurement("frechet", 10**400, PROTOCOL)


@pytest.mark.parametrize("field", Protocol.__struct_fields__)
@pytest.mark.parametrize("wrong", [float, None, 1.5, ("a",)])
def test_a_protocol_of_other_things_is_refused(field, wrong):
    with pytest.raises(UserError, match=f"^Expected {field} as .*; pass "):
        Protocol(**(PROTOCOL.to_json() | {field: wrong}))
