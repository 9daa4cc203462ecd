"""The drawings and the exercise checks of notebook 10_deeplab_v2."""
