"""A U-Net whose skips can be turned off, to see what each of them is worth."""

import torch

from segbook.models.unet import UNet


class SkipUNet(UNet):
    """A U-Net in which only the levels in ``skips`` hand their map across, 1 for the full resolution; None means all.

    The others hand across zeros, so that the weights stay as many and fit. The attribute ``skips`` may be changed later, to
    see what a trained net makes of it. The other options are :class:`UNet`'s. Raises ValueError for a level that the net
    does not have.
    """

    def __init__(self, num_classes, *, skips=None, **options):
        super().__init__(num_classes, **options)
        every = range(1, self.levels + 1)
        self.skips = set(every if skips is None else skips)
        if not self.skips <= set(every):
            raise ValueError(f"skips names levels from 1 to {self.levels}, got {tuple(skips)}")

    def decode(self, x, across):
        return super().decode(
            x, [skip if level in self.skips else torch.zeros_like(skip) for level, skip in enumerate(across, start=1)]
        )
