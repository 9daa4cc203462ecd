"""Figures that one chapter needs and that are too long for a cell; one module a topic."""
