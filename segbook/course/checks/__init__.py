"""The exercise checks, one module a chapter; reached as ``sb.check.chapter_NN.exercise(answer)``."""
