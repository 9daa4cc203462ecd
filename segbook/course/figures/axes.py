"""What the drawings of several chapters do to their axes."""


def bare(ax, title="") -> None:
    """Axes for a picture: no ticks, no grid, and the title, if there is one, in the size of a caption."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    if title:
        ax.set_title(title, fontsize=10)
