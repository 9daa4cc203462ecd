"""The drawings and the exercise checks of notebook 06_fcn."""
