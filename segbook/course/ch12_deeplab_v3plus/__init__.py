"""The drawings and the exercise checks of notebook 12_deeplab_v3plus."""
