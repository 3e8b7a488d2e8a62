"""Generator updates of a run, by script."""

STEPS = {
    "accelerate_moons": 110,
    "airl_policy": 130,
    "ctgan_table": 120,
    "cyclegan_shapes": 60,
    "dragan_notebook": 130,
    "hifigan_tones": 60,
    "lightning_shapes": 70,
    "lsgan_soft": 90,
    "pix2pix_shapes": 70,
    "r3gan_spiral": 130,
    "rcgan_series": 100,
    "reversal_pinwheel": 150,
    "sngan_digits": 60,
    "stylegan_shapes": 60,
    "vqgan_digits": 80,
    "wgangp_config": 100,
}
