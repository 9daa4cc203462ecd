"""Σ_j k(f_i, f_j) values_j for every pixel i, with k(f_i, f_j) = exp(−|f_i − f_j|²/2): by definition, and fast.

Both classes take features [N, d], N pixels of d numbers (each already divided by its standard deviation), and are then
functions values [N, K] -> [N, K]. This is the message passing of :mod:`segbook.crf`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


class AllPairs:
    """The exact sum over all N² pairs. Worked off in blocks of rows, 1 MB each: memory grows with N, time with N².

    ``query`` and ``key`` [N, d+2] are made so that query_i · key_j = −|f_i − f_j|²/2. The sum is thus attention without the
    softmax's division: ``F.scaled_dot_product_attention(query, key, values, scale=1)`` is it over the sum for ones.
    """

    def __init__(self, features: Tensor):
        features = features - features.mean(dim=0)  # small numbers: less is lost when the squares cancel
        half_square, one = features.square().sum(dim=1, keepdim=True) / -2, torch.ones_like(features[:, :1])
        self.query, self.key = torch.cat([features, half_square, one], 1), torch.cat([features, one, half_square], 1)

    def normalize_(self, columns: Tensor, rows: Tensor) -> None:
        """From now on multiply what pixel j sends by columns[j] and what pixel i receives by rows[i], both [N]."""
        self.key[:, -1] += columns.log()
        self.query[:, -2] += rows.log()

    def __call__(self, values: Tensor) -> Tensor:
        rows = max(1, 2**18 // len(self.key))
        # e^-60 stands in for all that is less: computing with numbers near the smallest float is slow.
        return torch.cat([(block @ self.key.T).clamp_(min=-60).exp_() @ values for block in self.query.split(rows)])


TOO_FINE = "the features span too many cells of the lattice: use a larger sigma_xy or sigma_rgb"


class PermutohedralLattice:
    """Nearly a constant times the sum of :class:`AllPairs`, in time N·d²; the constant cancels when it is normalised.

    The lattice tiles the space of the features with simplices of d+1 vertices. A pixel hands its values to the vertices
    around it (splat), the M vertices that got something mix with their neighbours (blur), and the pixel reads its sum
    back (slice). Each step sums a few weighted rows of a table, for which PyTorch has ``embedding_bag``.
    Raises ValueError when the features span too many cells to number. Source: Adams, Baek and Davis, "Fast
    High-Dimensional Filtering Using the Permutohedral Lattice" (Computer Graphics Forum, 2010).
    """

    def __init__(self, features: Tensor):
        cell, weights, axes = self._embed(features)
        numbers, steps = self._number_vertices(cell, axes)
        vertices = self._share_vertices(numbers, weights)
        self._link_neighbors(vertices, steps)
        self.blur_weights = features.new_tensor([0.5, 1, 0.5]).repeat(len(vertices) + 1, 1)

    @staticmethod
    def _embed(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where the pixels lie in the lattice: the simplex around each, and its place in it.

        Gives a vertex [d+1, N], in multiples of d+1, from which one comes to the other vertices by steps along the
        ``axes`` [d+1, N], smallest remainder first; and the barycentric weights [d+1, N] of the vertices in that order.
        """
        d = features.shape[1]
        # Lift the features onto the plane Σ = 0 of d+1 dimensions, where the lattice is regular.
        elevated, total = [], torch.zeros_like(features[:, 0])
        for j in range(d, 0, -1):
            x = features[:, j - 1] * ((d + 1) * math.sqrt(2 / 3) / math.sqrt(j * (j + 1)))
            elevated.insert(0, total - j * x)
            total = total + x
        elevated = torch.stack([total, *elevated])  # [d+1, N]
        # The simplex around a pixel: a vertex nearby, of coordinates divisible by d+1, and the ranks of the remainders.
        cell = (elevated / (d + 1)).round()
        if not (d + 1) * (cell.amax(dim=1) - cell.amin(dim=1)).max() < 2**18:
            raise ValueError(TOO_FINE)
        rest, rank = elevated - (d + 1) * cell, cell.sum(dim=0).repeat(d + 1, 1)
        for i in range(d + 1):
            for j in range(i + 1, d + 1):
                rank[i] += rest[i] < rest[j]
                rank[j] += rest[i] >= rest[j]
        # Where rounding left the plane, ranks lie outside 0..d: shift to a vertex on it.
        wrap = (rank / (d + 1)).floor()
        cell, rank = cell - wrap, (rank - (d + 1) * wrap).long()
        axes = torch.arange(d + 1, device=rank.device)[:, None].expand_as(rank)
        axes = torch.empty_like(rank).scatter_(0, d - rank, axes)
        rest = (elevated - (d + 1) * cell).gather(0, axes) / (d + 1)
        weights = rest - rest.roll(1, dims=0)  # the pixel as a mean of its d+1 vertices
        weights[0] += 1
        return cell, weights, axes

    @staticmethod
    def _number_vertices(cell: Tensor, axes: Tensor) -> tuple[Tensor, Tensor]:
        """A number for each vertex of each pixel [d+1, N], so that a step along axis i adds steps[i] to the number."""
        d = len(cell) - 1
        corner = (d + 1) * (cell[:d] - cell[:d].amin(dim=1, keepdim=True) + 2)
        spans = [int(span) for span in (corner.amax(dim=1) + 3 * (d + 1)).tolist()]  # of coordinates, with room outside
        if math.prod(spans) >= 2**62:
            raise ValueError(TOO_FINE)
        strides = [math.prod(spans[:i]) for i in range(d)]
        steps = torch.tensor([sum(strides) - (d + 1) * stride for stride in [*strides, 0]], device=axes.device)
        first = sum(coordinate.long() * stride for coordinate, stride in zip(corner, strides))
        # From vertex to vertex of a simplex one goes along every axis once.
        return torch.cat([first[None], first + steps[axes[:-1]].cumsum(dim=0)]), steps

    def _share_vertices(self, numbers: Tensor, weights: Tensor) -> Tensor:
        """Bring the pixels of a vertex together, for splat, and remember each pixel's vertices, for slice.

        Gives the numbers [M] of the vertices that have pixels, in ascending order.
        """
        d = len(numbers) - 1
        numbers, order = numbers.T.flatten().sort()
        weights = weights.T.contiguous()  # [N, d+1], as the numbers were before
        begins = F.pad(numbers[1:] != numbers[:-1], (1, 0), value=True)  # a vertex begins where the number changes
        starts, vertex = begins.nonzero().flatten(), begins.cumsum(0) - 1
        self.splat_pixels = (order // (d + 1)).int()
        self.splat_weights = weights.flatten().index_select(0, order)
        self.splat_starts = F.pad(starts, (0, 1), value=len(order)).int()
        self.slice_vertices = torch.empty_like(order).scatter_(0, order, vertex).view(-1, d + 1).int()
        self.slice_weights = weights / (1 + 2.0**-d)
        return numbers[starts]

    def _link_neighbors(self, vertices: Tensor, steps: Tensor) -> None:
        """For each axis and vertex: (the vertex before, itself, the vertex after); M, the last, stands for missing ones."""
        missing, device = len(vertices), vertices.device
        self.neighbors = torch.full((len(steps), missing + 1, 3), missing, dtype=torch.int32, device=device)
        itself = torch.arange(missing, dtype=torch.int32, device=device)
        for neighbors, step in zip(self.neighbors, steps):
            after = torch.searchsorted(vertices, vertices + step).clamp_(max=missing - 1)
            after = after.where(vertices.index_select(0, after) == vertices + step, missing)
            neighbors[:-1, 1], neighbors[:-1, 2] = itself, after
            neighbors[:, 0].scatter_(0, after, itself)  # whose neighbour after I am, that one is my neighbour before
        self.neighbors[:, missing] = missing

    def normalize_(self, columns: Tensor, rows: Tensor) -> None:
        """From now on multiply what pixel j sends by columns[j] and what pixel i receives by rows[i], both [N]."""
        self.splat_weights = self.splat_weights * columns.index_select(0, self.splat_pixels)
        self.slice_weights = self.slice_weights * rows[:, None]

    def splat(self, values: Tensor) -> Tensor:
        """Values of the pixels [N, K] -> values of the vertices [M+1, K], the last of which is empty."""
        weights = self.splat_weights
        return F.embedding_bag(self.splat_pixels, values, self.splat_starts, mode="sum", per_sample_weights=weights)

    def blur(self, table: Tensor) -> Tensor:
        """Along each of the d+1 axes add half of both neighbours: [M+1, K] -> [M+1, K]."""
        for neighbors in self.neighbors:
            table = F.embedding_bag(neighbors, table, mode="sum", per_sample_weights=self.blur_weights)
        return table

    def slice(self, table: Tensor) -> Tensor:
        """Values of the vertices [M+1, K] -> values of the pixels [N, K]."""
        return F.embedding_bag(self.slice_vertices, table, mode="sum", per_sample_weights=self.slice_weights)

    def __call__(self, values: Tensor) -> Tensor:
        return self.slice(self.blur(self.splat(values)))
