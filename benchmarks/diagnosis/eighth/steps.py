"""Generator updates of a run, by script."""

STEPS = {
    "dcgan_tiles": 220,
    "caogang_swirl": 160,
    "rosinality_blobs": 260,
    "pixmodel_frames": 180,
    "refiner_pupils": 180,
    "bigproj_runes": 200,
    "transgan_beats": 160,
    "info_arcs": 260,
    "ebgan_plumes": 250,
    "ragan_commas": 260,
}
