"""The drawings and the exercise checks of notebook 05_metrics."""
