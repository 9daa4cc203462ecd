"""Cars, vans and buses of a Street scene, from any side. Lengths are metres, colours RGB 0..255 under full light."""

from itertools import pairwise

from segbook.data.street import texture as texture
from segbook.data.street.common import CAR, CIRCLE, Draw
from segbook.data.street.render import Stage

# Side outlines from the front bumper over the roof to the rear bumper: (metres ahead of the middle, height, kind of the
# strip that follows). Then the outlines of the side panes, width, wheel radius, and how far the axles lie from the middle.
# fmt: off
_CARS = {
    "hatchback": (
        ((2.0, 0.28, "front"), (2.02, 0.62, "front"), (1.88, 0.8, "body"), (0.95, 0.95, "glass"), (0.2, 1.42, "body"),
         (-1.25, 1.45, "glass"), (-1.85, 1.0, "rear"), (-1.98, 0.62, "rear"), (-1.95, 0.28, "")),
        (((0.75, 0.98), (0.15, 1.35), (-0.42, 1.38), (-0.42, 0.98)),
         ((-0.52, 0.98), (-0.52, 1.38), (-1.2, 1.37), (-1.6, 1.02))),
        1.78, 0.31, 1.28,
    ),
    "saloon": (
        ((2.3, 0.28, "front"), (2.32, 0.6, "front"), (2.2, 0.78, "body"), (1.05, 0.93, "glass"), (0.3, 1.4, "body"),
         (-0.95, 1.41, "glass"), (-1.6, 1.02, "body"), (-2.22, 0.95, "rear"), (-2.3, 0.6, "rear"), (-2.28, 0.28, "")),
        (((0.85, 0.96), (0.25, 1.33), (-0.3, 1.34), (-0.3, 0.96)),
         ((-0.4, 0.96), (-0.4, 1.34), (-0.92, 1.33), (-1.4, 1.0))),
        1.82, 0.32, 1.42,
    ),
    "estate": (
        ((2.25, 0.32, "front"), (2.27, 0.75, "front"), (2.1, 0.98, "body"), (1.05, 1.12, "glass"), (0.4, 1.66, "body"),
         (-1.75, 1.68, "glass"), (-2.15, 1.1, "rear"), (-2.22, 0.7, "rear"), (-2.2, 0.32, "")),
        (((0.85, 1.14), (0.35, 1.58), (-0.35, 1.6), (-0.35, 1.14)),
         ((-0.45, 1.14), (-0.45, 1.6), (-1.15, 1.6), (-1.15, 1.14)),
         ((-1.25, 1.14), (-1.25, 1.6), (-1.65, 1.58), (-1.9, 1.16))),
        1.86, 0.36, 1.4,
    ),
    "van": (
        ((2.6, 0.35, "front"), (2.62, 0.85, "front"), (2.45, 1.08, "body"), (2.0, 1.2, "glass"), (1.35, 2.0, "body"),
         (-2.5, 2.12, "rear"), (-2.56, 1.0, "rear"), (-2.55, 0.35, "")),
        (((1.85, 1.2), (1.35, 1.8), (0.7, 1.84), (0.7, 1.2)),),
        1.98, 0.35, 1.6,
    ),
    "bus": (
        ((5.4, 0.35, "front"), (5.45, 1.15, "glass"), (5.3, 2.6, "front"), (5.2, 3.05, "body"), (-5.3, 3.05, "rear"),
         (-5.4, 1.1, "rear"), (-5.4, 0.35, "")),
        (((5.0, 1.2), (4.95, 2.5), (2.1, 2.5), (2.1, 1.2)), ((1.95, 1.2), (1.95, 2.5), (-1.4, 2.5), (-1.4, 1.2)),
         ((-1.55, 1.2), (-1.55, 2.5), (-4.9, 2.5), (-4.9, 1.2))),
        2.5, 0.48, 3.3,
    ),
}
# fmt: on
PAINT = (
    (232, 232, 230),
    (190, 194, 198),
    (120, 124, 130),
    (62, 64, 70),
    (34, 35, 40),
    (176, 32, 36),
    (36, 74, 150),
    (70, 100, 140),
    (120, 96, 74),
    (186, 170, 140),
    (60, 84, 70),
    (196, 150, 60),
    (170, 80, 56),
    (140, 150, 156),
)  # fmt: skip


def car(stage: Stage, d: Draw, x: float, z: float, heading, kind: str | None = None) -> None:
    """A car, van or bus from any side: the side outline, drawn out to the car's width."""
    if not stage.camera.sees(x, z, 4.0):
        return
    kind = kind or d.pick(("hatchback", "hatchback", "saloon", "saloon", "estate", "estate", "van"))
    outline, panes, width, radius, axle = _CARS[kind]
    paint = d.near(d.pick(PAINT), 14)
    hx, hz = heading
    lx, lz = hz, -hx
    half = width / 2
    top, belt = max(p[1] for p in outline), outline[3][1] if kind != "bus" else 2.6
    away_x, away_z = stage.camera.x - x, -z
    ahead, aside = away_x * hx + away_z * hz, away_x * lx + away_z * lz
    distance = (away_x * away_x + away_z * away_z) ** 0.5
    close, nearby = distance < 16, distance < 34
    side = 1.0 if aside > 0 else -1.0

    def spread(y):  # half the width at this height: the cabin leans inwards
        return half * (1 - 0.16 * max(0.0, (y - belt) / max(top - belt, 0.1))) if kind != "bus" else half

    def at(f, y, s):
        return (x + f * hx + s * lx, y, z + f * hz + s * lz)

    thing = stage.thing(CAR, x, z, countable=True, depth=stage.camera.depth(x, z) - 0.3, scale=40)
    dark = (22, 22, 25)
    glass_tone = d(0.8, 1.25)
    glass = tuple(c * glass_tone for c in (58, 66, 74))
    screen_glass = tuple(c * glass_tone for c in (92, 106, 118))
    front, rear = outline[0][0], outline[-1][0]
    seen_end = 1.0 if ahead > 0 else -1.0
    # Tyres seen from the end, and the dark space between them.
    end = front if ahead > 0 else rear
    low = outline[0][1]
    thing.add(
        [
            at(end * 0.9, 0.12, -half * 0.9),
            at(end * 0.9, low + 0.1, -half * 0.9),
            at(end * 0.9, low + 0.1, half * 0.9),
            at(end * 0.9, 0.12, half * 0.9),
        ],
        (16, 16, 18),
    )
    for f in (-axle * seen_end, axle * seen_end):
        for s0, s1 in ((-half * 0.97, -half * 0.97 + 0.22), (half * 0.97 - 0.22, half * 0.97)):
            g = f + radius * 0.6 * seen_end
            thing.add([at(g, 0, s0), at(g, radius * 1.7, s0), at(g, radius * 1.7, s1), at(g, 0, s1)], dark)
    # Strips over the car's width.
    for (f0, y0, strip), (f1, y1, _) in pairwise(outline):
        nf, ny = y0 - y1, f0 - f1
        nf, ny = -nf, ny
        length = (nf * nf + ny * ny) ** 0.5
        nf, ny = nf / length, ny / length
        if nf * (ahead - f0) + ny * (stage.camera.height - y0) <= 0:
            continue
        lit = stage.light.on(nf * hx, ny, nf * hz)
        corners = [at(f0, y0, -spread(y0)), at(f1, y1, -spread(y1)), at(f1, y1, spread(y1)), at(f0, y0, spread(y0))]
        thing.add(corners, paint, texture.SHEEN, 0.1, lit)
        if strip == "glass":
            inset = [
                at(f0, y0, -spread(y0) * 0.9),
                at(f1, y1, -spread(y1) * 0.86),
                at(f1, y1, spread(y1) * 0.86),
                at(f0, y0, spread(y0) * 0.9),
            ]
            thing.add(inset, screen_glass if ny > 0.2 else glass, texture.SHEEN, 0.35, lit)
            if close:  # head rests behind the pane
                tone, mid, y = (
                    tuple(c * 0.72 for c in (screen_glass if ny > 0.2 else glass)),
                    (f0 + f1) / 2,
                    min(y0, y1),
                )
                for s in (-0.4 * half, 0.4 * half):
                    rest = [
                        at(mid, y + up, s + out) for out, up in ((-0.17, 0.1), (-0.13, 0.27), (0.13, 0.27), (0.17, 0.1))
                    ]
                    thing.add(rest, tone, lit=lit)
    # The end that is seen: lamps, grille, plate, bumper.
    if (ahead > front) or (ahead < rear):
        f = (front + 0.04) if ahead > 0 else (rear - 0.04)
        y = outline[1][1] if ahead > 0 else outline[-2][1]
        lit = stage.light.on(hx * seen_end, 0.0, hz * seen_end)

        def panel(y0, y1, s0, s1, rgb, lit=lit):
            thing.add([at(f, y0, s0), at(f, y1, s0), at(f, y1, s1), at(f, y0, s1)], rgb, lit=lit)

        panel(low, low + 0.16, -half * 0.98, half * 0.98, (48, 48, 52))
        lamp = (240, 238, 220) if ahead > 0 else (176, 22, 24)
        glow = (1.15, 1.15, 1.15, 0.1) if d.chance(0.35) else lit
        size = 0.28 if ahead > 0 else 0.2
        for s in (-1, 1):
            panel(y - 0.06, y + 0.1, s * half * 0.95, s * (half * 0.95 - size), lamp, glow)
        if nearby:
            if ahead > 0:
                panel(y - 0.14, y + 0.02, -half * 0.45, half * 0.45, (30, 30, 34))
            panel(low + 0.14, low + 0.26, -0.26, 0.26, (226, 222, 190) if d.chance(0.4) else (232, 232, 236))
    # The side that is seen.
    if abs(aside) > half:
        lit = stage.light.on(side * lx, 0.0, side * lz)
        thing.add([at(f, y, side * spread(y)) for f, y, _ in outline], paint, texture.SHEEN, 0.22, lit)
        thing.add(
            [
                at(outline[0][0], low, side * half),
                at(outline[0][0] * 0.99, low + 0.12, side * half),
                at(rear * 0.99, low + 0.12, side * half),
                at(rear, low, side * half),
            ],
            tuple(c * 0.55 for c in paint),
            lit=lit,
        )
        for pane in panes:
            thing.add([at(f, y, side * (spread(y) + 0.01)) for f, y in pane], glass, texture.SHEEN, 0.5, lit)
        if close and kind != "bus":
            door = tuple(c * 0.6 for c in paint)
            for f in (0.78, -0.36):
                thing.add(
                    [
                        at(f, 0.42, side * half),
                        at(f, belt, side * half),
                        at(f - 0.03, belt, side * half),
                        at(f - 0.03, 0.42, side * half),
                    ],
                    door,
                    lit=lit,
                )
        for f in (axle, -axle):
            s = side * (half + 0.01)
            if nearby:
                thing.add(
                    [at(f + 1.18 * radius * c, max(radius + 1.18 * radius * w, low), s) for c, w in CIRCLE],
                    (14, 14, 16),
                    lit=lit,
                )
            thing.add([at(f + radius * c, radius + radius * w, s) for c, w in CIRCLE], (30, 30, 32), lit=lit)
            if nearby:
                thing.add(
                    [at(f + 0.62 * radius * c, radius + 0.62 * radius * w, s) for c, w in CIRCLE],
                    (140, 142, 146),
                    lit=lit,
                )
                thing.add(
                    [at(f + 0.2 * radius * c, radius + 0.2 * radius * w, s) for c, w in CIRCLE[::2]],
                    (60, 60, 64),
                    lit=lit,
                )
    # Shadows: the dim ground below, and the body's sun shadow.
    grown = 0.12
    stage.shadows.insert(
        0,
        (
            [
                at(front + grown, 0, half + grown),
                at(rear - grown, 0, half + grown),
                at(rear - grown, 0, -half - grown),
                at(front + grown, 0, -half - grown),
            ],
            215,
        ),
    )
    if stage.light.shines:
        sx, sy, sz = stage.light.sun
        base = [at(f, 0, s) for f, s in ((front, half), (rear, half), (rear, -half), (front, -half))]
        shifts = [(0.0, 1.0), (min(top, belt + 0.05), 1.0), (top, 0.72)]
        for (y0, k0), (y1, k1) in pairwise(shifts):
            lower = [_shifted(x, z, p, k0, y0, sx, sy, sz) for p in base]
            upper = [_shifted(x, z, p, k1, y1, sx, sy, sz) for p in base]
            for i in range(4):
                j = (i + 1) % 4
                stage.shadows.append(([lower[i], lower[j], upper[j], upper[i]], 255))
            stage.shadows.append((upper, 255))


def _shifted(x, z, point, shrink, height, sx, sy, sz):
    """Where the sun throws a point above `point`, after shrinking towards the middle (x, z)."""
    return (x + (point[0] - x) * shrink - height * sx / sy, 0.0, z + (point[2] - z) * shrink - height * sz / sy)
