"""What the guards let pass, and what they say when they do not."""

import numpy
import pytest

from segbook.guards import one_of, whole


def test_one_of():
    one_of("padding", "same", ("valid", "same"))
    one_of("output_stride", 16, {16: None, 8: None})
    with pytest.raises(ValueError, match=r"^output_stride must be one of 8, 16; got 32$"):
        one_of("output_stride", 32, (8, 16))
    with pytest.raises(ValueError, match=r"^padding must be one of valid, same; got None$"):
        one_of("padding", None, iter(("valid", "same")))


def test_whole():
    whole("levels", 1, 1)
    whole("iterations", numpy.int64(0), 0)
    for value in (0, -3, 2.0, True, "4", None):
        with pytest.raises(ValueError, match=r"^levels must be a whole number of at least 1, got "):
            whole("levels", value, 1)
