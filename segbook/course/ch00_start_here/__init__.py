"""The drawings and the exercise checks of notebook 00_start_here."""
