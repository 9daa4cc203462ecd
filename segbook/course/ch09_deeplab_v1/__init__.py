"""The drawings and the exercise checks of notebook 09_deeplab_v1."""
