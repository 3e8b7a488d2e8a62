"""Generator updates of a run, by script."""

STEPS = {
    "dcgan_tiles": 200,
    "caogang_swirl": 150,
    "rosinality_blobs": 260,
    "pixmodel_frames": 180,
    "refiner_pupils": 150,
    "bigproj_runes": 150,
    "transgan_beats": 140,
    "info_arcs": 260,
    "ebgan_plumes": 250,
    "ragan_commas": 260,
    "tokenizer_motifs": 250,
    "vocoder_calls": 200,
    "ctgan_orders": 180,
    "unrolled_eights": 200,
    "progressive_stamps": 180,
    "ali_hooks": 300,
    "ignite_hexes": 200,
    "hacks_hearts": 250,
    "studio_saddle": 180,
}
