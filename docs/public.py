"""The public modules, in the order of the API reference: the one list that the reference and the doctests read."""

PUBLIC = {
    "Functions for your own loop": (
        "losses",
        "penalties",
        "constraints",
        "schedules",
        "perturbations",
        "autodiff",
        "linalg",
    ),
    "Diagnostics": ("spectra", "critics", "conditioning", "dynamics", "layers"),
    "Evaluation": ("metrics", "evaluation", "evaluation.features"),
    "Training": (
        "methods",
        "optimizers",
        "networks",
        "data",
        "training",
        "training.distributed",
        "training.seeds",
        "monitor",
        "toys",
    ),
    "Runs": ("runs", "doctor", "report", "studies.statistics"),
}


def modules() -> list[str]:
    """Dotted names of all public modules, the package itself first."""
    return ["tightrope", *(f"tightrope.{name}" for names in PUBLIC.values() for name in names)]
