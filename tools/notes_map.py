"""From the study notes to the course: where each claim of each section is run, and where the notes are made precise."""

from dataclasses import dataclass

from glossary import heading_anchor

from segbook.course.chapters import find


@dataclass(frozen=True)
class Claim:
    """One claim of the notes: section, words, and the places (chapter number, heading) that turn it into something to run.

    ``correction``: what the course says instead where the notes are imprecise, else empty.
    """

    section: str
    words: str
    places: tuple[tuple[int, str], ...]
    correction: str = ""


CLAIMS = (
    Claim("N1", "machine learning (机器学习回顾)", (
        (1, "What are the parts of a learner?"), (1, "Which way is downhill?"),
        (1, "What if the model is too stiff, or too flexible?"), (1, "Why keep a third set?"),
        (1, "Can a flexible model be kept calm?"),
    )),
    Claim("N2", "deep learning (深度学习回顾)", (
        (2, "A neuron, a layer, a net"), (2, "Who is to blame for the loss?"), (2, "A net that slides"),
    )),
    Claim("N2a", "activation functions (激活函数)", ((2, "Nine activations"), (2, "What arrives at the first layer?"))),
    Claim("N2b", "the convolutions (卷积) that segmentation rests on", (
        (3, "How large is the output?"), (3, "How do you see far without shrinking?"), (3, "What does each one cost?"),
    )),
    Claim("N2b", "“deconvolution” (反卷积)", ((3, "How do you get the size back?"),),
          "a transposed convolution (转置卷积): it enlarges, and it is not the inverse of a convolution"),
    Claim("N3", "a label for every pixel (语义分割)", (
        (4, "What can you ask of one image?"), (4, "Is it really just classification, many times?"),
        (4, "What can be known without understanding?"),
    )),
    Claim("N4", "PA (像素精度): correct pixels of each class over all pixels of that class",
          ((5, "Is the notes' pixel accuracy the papers' pixel accuracy?"),),
          "PA is all correct pixels over all pixels; what the notes print is the accuracy of one class"),
    Claim("N4", "MPA (均像素精度), MIoU (平均交并比), FWIoU (权频交并比)", ((5, "What does one small table know?"),)),
    Claim("N5", "fully connected layers become convolutions; a classifier becomes a heat map (“tabby cat”)", (
        (6, "How does a fully connected layer become a convolution?"), (6, "The heat map"),
    )),
    Claim("N5", "deconvolution up-samples to the input's size; FCN-32s, 16s, 8s", (
        (6, "How do coarse scores become pixels?"), (6, "What does the stride cost?"),
    )),
    Claim("N5", "the skip structure (跳级结构) joins depths", ((6, "Which strides are fused?"), (8, "By hand")),
          "FCN's skip adds scores, U-Net's concatenates features"),
    Claim("N5", "weak points: blurred results, no spatial consistency (空间一致性)", ((6, "Two weaknesses that stay"),)),
    Claim("N6", "SegNet: max-pooling indices (最大池化索引) are kept for un-pooling", (
        (7, "Can you un-pool by hand?"), (7, "Which decoder is best?"), (7, "What does remembering cost?"),
    )),
    Claim("N7", "U-Net: contracting and expansive path (压缩路径, 扩展路径), crop and concatenate, two output maps",
          ((8, "Every size of the figure"), (8, "Assemble"))),
    Claim("N7", "three valid convolutions a block", ((8, "Every size of the figure"),), "two, in every block of the paper"),
    Claim("N7", "hands over whole feature maps, at the price of memory", ((8, "SegNet or U-Net?"),)),
    Claim("N8", "DeepLab v1: a larger receptive field (感受野变大)", (
        (9, "Can you convolve with holes by hand?"), (9, "Is it still the same net?"), (9, "How far does fc6 see?"),
    )),
    Claim("N8", "a fully connected CRF (全连接条件随机场)", (
        (9, "Who should a pixel listen to?"), (9, "A lattice instead of all pairs"), (9, "What does the CRF gain?"),
    )),
    Claim("N9", "ASPP (空洞空间金字塔池化)", ((10, "ASPP by hand"), (10, "Which pyramid?"))),
    Claim("N9", "VGG becomes ResNet", ((10, "From VGG to ResNet"), (10, "VGG or ResNet, at equal budget?"))),
    Claim("N9", "the last max-poolings no longer downsample, atrous convolution instead",
          ((10, "How does a stride become a rate?"),),
          "exact for VGG-16; in a ResNet it is strided convolutions that lose their stride"),
    Claim("N9", "the CRF still brings back detail", ((10, "What is left for the CRF?"),)),
    Claim("N10", "DeepLab v3 (the notes give the name only)", (
        (11, "How many of nine weights are left?"), (11, "Which rates in block 4?"),
        (11, "What does the whole image say?"), (11, "In a row or side by side?"),
        (11, "Trained at 16, tested at 8"), (11, "Does it still need a CRF?"),
    )),
    Claim("N11", "context from a pyramid, sharp edges from a decoder", (
        (12, "What does the decoder do?"), (12, "Is the gain at the borders?"),
    )),
    Claim("N11", "ASPP with four rates and global average pooling", (
        (12, '"ASPP with four rates"'), (11, "How many rates does ASPP have?"),
    ), "one 1×1, three 3×3 at rates 6, 12, 18 (output stride 16; doubled at 8), and image pooling"),
    Claim("N11", "the low-level feature's channels are cut, so that they do not outweigh the encoder's 256",
          ((12, "How little is enough?"),)),
    Claim("N11", "Xception: middle flow 8 → 16, poolings → strided separable convolutions, batch norm and ReLU after each "
          "depthwise 3×3", ((12, "What did they change in Xception?"),),
          "the released code has the ReLU after the depthwise step in the last block only"),
    Claim("N11", "depthwise separable convolution (深度可分离卷积)", (
        (12, "Can a kernel be taken apart?"), (3, "Does every output need every input channel?"),
    )),
)  # fmt: skip


def link(number: int, heading: str, folder: str) -> str:
    """A Markdown link to a heading. Raises ValueError when the chapter is not written."""
    chapter = find(number)
    anchor = heading_anchor(heading).replace("?", "%3F").replace("'", "%27").replace('"', "%22")
    return f"[{number:02d} · {heading}]({folder}{chapter.file}.ipynb#{anchor})"


def markdown(folder: str = "notebooks/") -> str:
    """All claims as a Markdown table; ``folder`` stands before the notebooks' names in the links."""
    lines = ["| notes | what they say | where it is run | made precise |", "|---|---|---|---|"]
    for claim in CLAIMS:
        places = "<br>".join(link(*place, folder) for place in claim.places)
        lines.append(f"| {claim.section} | {claim.words} | {places} | {claim.correction} |")
    return "\n".join(lines)
