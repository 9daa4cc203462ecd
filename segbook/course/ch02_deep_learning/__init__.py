"""The drawings and the exercise checks of notebook 02_deep_learning."""
