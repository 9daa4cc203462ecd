"""The drawings and the exercise checks of notebook 14_your_own_data."""
