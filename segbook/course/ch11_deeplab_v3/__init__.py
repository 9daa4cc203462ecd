"""The drawings and the exercise checks of notebook 11_deeplab_v3."""
