"""Plausible wrong answers to the exercises of chapter 04, each with a pattern that the message must match."""

_FIND = """\
height, width = masks.shape[1:]
grey = images.float().mean(1)[:, reach : height - reach, reach : width - reach]
best, place = -1.0, None
for down in range(-reach, reach + 1):
    for right in range(-reach, reach + 1):
        moved = masks[:, reach {sign} down : height - reach {sign} down, reach {sign} right : width - reach {sign} right]
        across = grey.diff(dim=2).abs()[moved.diff(dim=2) != 0]
        along = grey.diff(dim=1).abs()[moved.diff(dim=1) != 0]
        contrast = across.mean() + along.mean()
        if contrast > best:
            best, place = contrast, ({order})
return place"""

WRONG = {
    "class_shares": [
        (
            "counts = torch.bincount(masks.flatten().long(), minlength=num_classes)[:num_classes]\n"
            "return counts / masks.numel()",
            r"must sum to 1 over the labelled pixels; yours sum to 0\.667",
        ),
        (
            "counts = torch.bincount(masks.flatten().long(), minlength=num_classes)\nreturn counts / counts.sum()",
            r"void is not one of them.*expected the shape \[4\], got \[5\]",
        ),
        (
            "valid = masks[masks != ignore_index].long()\nreturn torch.bincount(valid) / len(valid)",
            r"expected the shape \[4\], got \[3\]",
        ),
    ],
    "split_ids": [
        ("return ids // 1000, torch.where(ids >= 1000, ids, 0)", r"the classes.*expected"),
        (
            "return torch.where(ids >= 1000, ids // 1000, ids), torch.where(ids >= 1000, ids % 1000, 0)",
            r"car 0 and 'no thing' look the same",
        ),
        ("return torch.where(ids >= 1000, ids // 1000, ids), ids", r"the things.*expected"),
    ],
    "voc_palette": [
        (
            "return [tuple((label >> bit & 1) * 128 for bit in range(3)) for label in range(count)]",
            r"the colour of label 8: expected \(64, 0, 0\), got \(0, 0, 0\)",
        ),
        (
            "colours = []\n"
            "for label in range(count):\n"
            "    colour = [0, 0, 0]\n"
            "    for bit in range(8):\n"
            "        colour[bit // 3] |= (label >> bit & 1) << (7 - bit % 3)\n"
            "    colours.append(tuple(colour))\n"
            "return colours",
            r"the colour of label 2: expected \(0, 128, 0\), got \(64, 0, 0\)",
        ),
        (
            "colours = []\n"
            "for label in range(count):\n"
            "    colour = [0, 0, 0]\n"
            "    for bit in range(6):\n"
            "        colour[bit % 3] |= (label >> bit & 1) << (7 - bit // 3)\n"
            "    colours.append(tuple(colour))\n"
            "return colours",
            r"the colour of label 255: expected \(224, 224, 192\), got \(192, 192, 192\)",
        ),
    ],
    "move": [
        (
            "return image.roll((down, right), (1, 2)), mask.roll((down, right), (0, 1))",
            r"comes back in on the other",
        ),
        (
            "new_image, new_mask = torch.zeros_like(image), torch.zeros_like(mask)\n"
            "height, width = mask.shape\n"
            "to = (slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0)))\n"
            "source = (slice(max(-down, 0), height + min(-down, 0)), slice(max(-right, 0), width + min(-right, 0)))\n"
            "new_image[:, *to], new_mask[to] = image[:, *source], mask[source]\n"
            "return new_image, new_mask",
            r"freed places are labelled 0, which is a class",
        ),
        (
            "new_image, new_mask = torch.zeros_like(image), torch.full_like(mask, ignore_index)\n"
            "height, width = mask.shape\n"
            "new_image[:, down:, right:] = image[:, : height - down, : width - right]\n"
            "new_mask[down:, right:] = mask[: height - down, : width - right]\n"
            "return new_image, new_mask",
            r"your code stopped at line",
        ),
    ],
    "fair_prior": [
        (
            "return torch.stack([(masks == k).sum(0) for k in range(num_classes)]).argmax(0)",
            r"this is the plain location prior",
        ),
        (
            "counts = torch.stack([(masks == k).sum(0) for k in range(num_classes)]).double()\n"
            "return (counts / counts.sum((1, 2), keepdim=True)).argmax(0)",
            r"class 3 never occurs, yet it is answered",
        ),
        (
            "counts = torch.stack([(masks == k).sum(0) for k in range(num_classes)]).double()\n"
            "return (counts / counts.sum(0, keepdim=True).clamp(min=1)).argmax(0)",
            r"this is the plain location prior",
        ),
    ],
    "find_shift": [
        (_FIND.format(sign="+", order="down, right"), r"right size, wrong direction"),
        (_FIND.format(sign="-", order="right, down"), r"down comes first, then right"),
        (
            _FIND.format(sign="-", order="down, right").replace("contrast > best", "best < 0 or contrast < best"),
            r"the shift \(down, right\) of a data set whose masks must be moved by \(0, 0\)",
        ),
    ],
}
