"""The drawings and the exercise checks of notebook 01_machine_learning."""
