"""Generator updates of a run, by script."""

STEPS = {
    "kerasport_petals": 240,
    "lucid_glyphs": 120,
    "cycle_hooks": 200,
    "adda_domains": 200,
    "rollout_drives": 150,
    "func_ribbon": 200,
    "deepsets_clouds": 190,
    "wavegan_hums": 220,
    "clip_credit": 200,
    "superres_fabrics": 280,
    "concat_spokes": 240,
    "auxhead_glyphs": 180,
    "oneopt_helix": 220,
    "scaler_vees": 160,
    "litmod_trefoil": 240,
    "aae_glyphs": 200,
    "gru_ticks": 160,
    "localglobal_barcodes": 200,
    "molgraph_chains": 150,
}
