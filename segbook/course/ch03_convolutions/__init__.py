"""The drawings and the exercise checks of notebook 03_convolutions."""
