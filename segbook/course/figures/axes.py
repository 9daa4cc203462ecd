"""What the drawings of several chapters do to their axes."""


def bare(ax, title="", *, lines: bool = True) -> None:
    """Axes for a picture: no ticks, no grid, and the title, if there is one, in the size of a caption.

    ``lines=False`` leaves out the axis lines too, for pictures that have an edge of their own.
    """
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    if not lines:
        ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title, fontsize=10)
