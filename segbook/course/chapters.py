"""The chapters of the course: the one list that the map, the runner and the links are made from."""

from dataclasses import dataclass
from pathlib import Path

#: The repository root; notebooks and data lie in it.
ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"


@dataclass(frozen=True)
class Chapter:
    """One notebook. ``file`` is its name without the ending, ``notes`` the sections of the study notes it follows.

    ``work``: minutes to plan for reading, changing things and the exercises.
    """

    number: int
    file: str
    title: str
    question: str
    paper: str
    notes: str
    chinese: str
    work: int = 0

    @property
    def path(self) -> Path:
        return NOTEBOOKS / f"{self.file}.ipynb"


CHAPTERS = (
    Chapter(0, "00_start_here", "Start here", "What will I be able to do?", "", "all", "从这里开始", 30),
    Chapter(
        1, "01_machine_learning", "Machine-learning review", "What does it mean to learn?", "", "N1", "机器学习回顾", 45,
    ),
    Chapter(
        2, "02_deep_learning", "Deep-learning review", "Why depth, and what do activations change?", "",
        "N2, N2a", "深度学习回顾 · 激活函数", 90,
    ),
    Chapter(3, "03_convolutions", "Convolutions", "What is in the tool-box of segmentation?", "", "N2b", "卷积", 90),
    Chapter(
        4, "04_semantic_segmentation", "Semantic segmentation", "What is a label for every pixel?", "", "N3", "语义分割", 60,
    ),
    Chapter(5, "05_metrics", "Metrics", "When is a segmentation good?", "", "N4", "评价指标", 60),
    Chapter(
        6, "06_fcn", "FCN", "How does a vector become a map?", "Long, Shelhamer, Darrell 2015, arXiv 1411.4038",
        "N5", "全卷积网络", 120,
    ),
    Chapter(
        7, "07_segnet", "SegNet", "Is it enough to remember where the maximum was?",
        "Badrinarayanan, Kendall, Cipolla 2015, arXiv 1511.00561", "N6", "最大池化索引", 90,
    ),
    Chapter(
        8, "08_unet", "U-Net", "What if everything is handed across?",
        "Ronneberger, Fischer, Brox 2015, arXiv 1505.04597", "N7", "压缩路径 · 扩展路径", 90,
    ),
    Chapter(
        9, "09_deeplab_v1", "DeepLab v1", "Can a net see far without shrinking?",
        "Chen et al. 2015, arXiv 1412.7062", "N8", "空洞卷积 · 全连接条件随机场", 120,
    ),
    Chapter(
        10, "10_deeplab_v2", "DeepLab v2", "Can a net see at many scales?", "Chen et al. 2016, arXiv 1606.00915",
        "N9", "空洞空间金字塔池化", 90,
    ),
    Chapter(
        11, "11_deeplab_v3", "DeepLab v3", "What makes the CRF unnecessary?", "Chen et al. 2017, arXiv 1706.05587",
        "N10", "多网格 · 图像级特征", 90,
    ),
    Chapter(
        12, "12_deeplab_v3plus", "DeepLab v3+", "Context and sharp edges at once?",
        "Chen et al. 2018, arXiv 1802.02611", "N11", "编码器–解码器 · 深度可分离卷积", 90,
    ),
    Chapter(13, "13_side_by_side", "Side by side", "Which one, when?", "", "N5–N11", "对比", 60),
    Chapter(14, "14_your_own_data", "Your own data", "How do I use this in a project?", "", "", "自己的数据", 90),
)  # fmt: skip


def written() -> tuple[Chapter, ...]:
    """The chapters whose notebook exists."""
    return tuple(chapter for chapter in CHAPTERS if chapter.path.exists())


def find(which: str | int) -> Chapter:
    """The chapter with this number ("6", 6, "06") or file name ("06_fcn"). Raises ValueError naming the choices."""
    for chapter in written():
        if (
            str(which).removesuffix(".ipynb") == chapter.file
            or str(which).isascii()
            and str(which).isdecimal()
            and int(which) == chapter.number
        ):
            return chapter
    choices = ", ".join(f"{c.number} ({c.file})" for c in written()) or "none is written yet"
    raise ValueError(f"there is no chapter {which!r}; choose from: {choices}")
