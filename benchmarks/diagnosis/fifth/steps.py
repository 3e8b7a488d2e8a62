"""Generator updates of a run, by script."""

STEPS = {
    "tutorial_flags": 110,
    "wganclip_rings": 150,
    "simgd_rings": 200,
    "stability_squares": 160,
    "stargan_flags": 60,
    "pixhd_flags": 80,
    "melgan_chirps": 80,
    "infogan_digits": 120,
    "acgan_digits": 120,
    "esrgan_flags": 70,
    "gumbel_words": 120,
    "timegan_walks": 120,
    "diffusion_squares": 180,
    "lecam_digits": 120,
    "sagan_flags": 70,
    "scaler_squares": 120,
}
