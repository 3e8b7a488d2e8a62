"""Generator updates of a run, by script."""

STEPS = {
    "enumerate_crescents": 240,
    "trainerclass_patients": 160,
    "closures_clip_lattice": 150,
    "projection_digits": 140,
    "lazyreg_roll": 220,
    "autocast_star": 180,
    "lstm_beats": 200,
    "microbatch_tetra": 180,
    "pac_crescents": 220,
    "ensemble_tetra": 180,
    "inpaint_digits": 150,
    "deque_lattice": 240,
    "groups_graphs": 160,
    "compiled_digits": 120,
    "student_star": 200,
}
