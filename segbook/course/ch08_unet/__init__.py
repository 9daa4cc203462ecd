"""The drawings and the exercise checks of notebook 08_unet."""
