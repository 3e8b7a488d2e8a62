"""Runs on disk: configuration, checkpoints, records, resume, and the trained generator."""

from tightrope._plumbing.door import keep_door
from tightrope.runs.assemble import Assembled, assemble
from tightrope.runs.begin import begin, resume
from tightrope.runs.checkpoint import checkpoint_paths, load_newest, restore, save_checkpoint
from tightrope.runs.conditioning import GENERATOR_MEASURES
from tightrope.runs.config import (
    Config,
    DataSettings,
    MethodSettings,
    NetworkSettings,
    TrainingSettings,
    read_config,
    write_config,
)
from tightrope.runs.fit import Outcome, fit
from tightrope.runs.hub import push_to_hub
from tightrope.runs.lock import locked
from tightrope.runs.resolve import resolve
from tightrope.runs.trained import TrainedGenerator, load
from tightrope.runs.wishes import Wishes

__all__ = [
    "GENERATOR_MEASURES",
    "Assembled",
    "Config",
    "DataSettings",
    "MethodSettings",
    "NetworkSettings",
    "Outcome",
    "TrainedGenerator",
    "TrainingSettings",
    "Wishes",
    "assemble",
    "begin",
    "checkpoint_paths",
    "fit",
    "load",
    "load_newest",
    "locked",
    "push_to_hub",
    "read_config",
    "resolve",
    "restore",
    "resume",
    "save_checkpoint",
    "write_config",
]

keep_door(__name__, __all__, first=True)
