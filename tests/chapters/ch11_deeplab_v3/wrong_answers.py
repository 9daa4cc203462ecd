"""Plausible wrong answers to the exercises of chapter 11, each with a pattern that the message must match."""

WRONG = {
    "mean_taps": [
        (
            "return (1 + 2 * (height - rate) / height) * (1 + 2 * (width - rate) / width)",
            r"mean_taps\(7, 9, 8\)",
        ),
        (
            "return 9 * max(0, height - 2 * rate) * max(0, width - 2 * rate) / (height * width)",
            r"mean_taps\(65, 65, 24\)",
        ),
        (
            "along = [1 + 2 * max(0, side - rate) / side for side in (height, width)]\nreturn along[0] * along[1] / 9",
            r"mean_taps\(65, 65, 24\)",
        ),
    ],
    "rates_at": [
        (
            "return [32 // output_stride * unit for unit in multi_grid], [6, 12, 18]",
            r"rates_at\(8, \(1, 2, 4\)\): the rates of the pyramid: expected \[12, 24, 36\]",
        ),
        (
            "return [16 // output_stride * u for u in multi_grid], [16 * r // output_stride for r in (6, 12, 18)]",
            r"the rates of block 4: expected \[2, 4, 8\]",
        ),
        ("return [32 // output_stride * unit for unit in multi_grid]", r"return two lists"),
    ],
    "with_image_vector": [
        (
            "vector = reduce(features).mean((2, 3), keepdim=True)\n"
            "return torch.cat([features, vector.expand(-1, -1, *features.shape[2:])], dim=1)",
            r"pool first",
        ),
        (
            "vector = reduce(features.mean((2, 3), keepdim=True))\n"
            "return torch.cat([vector.expand(-1, -1, *features.shape[2:]), features], dim=1)",
            r"features with the image's vector behind them|pool first",
        ),
        (
            "return reduce(features.mean((2, 3), keepdim=True)).expand(-1, -1, *features.shape[2:])",
            r"the joined map: expected the shape",
        ),
    ],
    "interleave": [
        (
            "n, k, h, w = maps[0, 0].shape\n"
            "fine = maps[0, 0].new_empty(n, k, 2 * h, 2 * w)\n"
            "for (down, right), coarse in maps.items():\n"
            "    fine[..., right::2, down::2] = coarse\n"
            "return fine",
            r"rows and columns are exchanged",
        ),
        (
            "top = torch.cat([maps[0, 0], maps[0, 1]], -1)\n"
            "return torch.cat([top, torch.cat([maps[1, 0], maps[1, 1]], -1)], -2)",
            r"the interleaved map",
        ),
        (
            "return F.interpolate(sum(maps.values()) / 4, scale_factor=2)",
            r"the interleaved map",
        ),
    ],
    "recalibrate": [
        (
            "net.train()\nwith torch.no_grad():\n    for batch in batches:\n        net(batch)\nnet.eval()\nreturn net",
            r"the running mean of the first batch norm",
        ),
        (
            "norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]\n"
            "for norm in norms:\n"
            "    norm.reset_running_stats()\n"
            "    norm.momentum = None\n"
            "    norm.train()\n"
            "with torch.no_grad():\n"
            "    for batch in batches:\n"
            "        net(batch)\n"
            "net.eval()\n"
            "return net",
            r"put the momentum of every batch norm back",
        ),
        (
            "norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]\n"
            "for norm in norms:\n"
            "    norm.reset_running_stats()\n"
            "    norm.momentum = None\n"
            "net.train()\n"
            "with torch.no_grad():\n"
            "    for batch in batches:\n"
            "        net(batch)\n"
            "for norm in norms:\n"
            "    norm.momentum = 0.1\n"
            "return net",
            r"behind the dropout|a part of it is in training mode",
        ),
    ],
}
