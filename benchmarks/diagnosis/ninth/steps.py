"""Generator updates of a run, by script."""

STEPS = {
    "mimicry_chevrons": 100,
    "fastgan_crosses": 140,
    "amp_gaits": 250,
    "vaegan_ripples": 250,
    "adaphases_glints": 120,
    "pwg_bells": 140,
    "relgan_phrases": 125,
    "medgan_codes": 250,
    "fabric_tides": 150,
    "projected_checks": 110,
    "notebook_lissajous": 250,
    "torchganish_clover": 220,
    "fgan_wedges": 250,
    "rahinge_knots": 250,
    "state_leaves": 220,
    "quant_returns": 150,
    "hfargs_bows": 160,
    "calo_showers": 140,
}
