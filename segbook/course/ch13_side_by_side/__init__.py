"""The drawings and the exercise checks of notebook 13_side_by_side."""
