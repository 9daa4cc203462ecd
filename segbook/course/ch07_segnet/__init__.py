"""The drawings and the exercise checks of notebook 07_segnet."""
