"""Generator updates of a run, by script."""

STEPS = {
    "mimicry_chevrons": 150,
    "fastgan_crosses": 200,
    "amp_gaits": 250,
    "vaegan_ripples": 250,
    "adaphases_glints": 200,
    "pwg_bells": 180,
    "relgan_phrases": 150,
    "medgan_codes": 250,
    "fabric_tides": 200,
    "projected_checks": 150,
    "notebook_lissajous": 250,
    "torchganish_clover": 200,
    "fgan_wedges": 250,
    "rahinge_knots": 250,
    "state_leaves": 220,
    "quant_returns": 220,
    "hfargs_bows": 220,
    "calo_showers": 180,
}
