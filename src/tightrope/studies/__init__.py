"""Studies: a paper's claim as a grid of runs, judged with intervals."""
