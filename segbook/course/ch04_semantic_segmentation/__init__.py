"""The drawings and the exercise checks of notebook 04_semantic_segmentation."""
