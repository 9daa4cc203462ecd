"""Figures that one chapter needs and that are too long for a cell; one module a topic.

How stored and new figures are compared by the tests is in :mod:`segbook.course.figure_regression`.
"""
