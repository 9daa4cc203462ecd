"""What stands in a Street scene: cars, people, cyclists, trees, poles, signs and clutter, each as a few lit polygons.

Every function puts one thing on a `Stage` at a ground position (x, z) in metres. Lengths are metres, colours RGB 0..255 under
full light. ``heading`` is the unit ground vector (hx, hz) in which a thing looks or drives.
"""

from itertools import pairwise

from segbook.data import street_texture as texture
from segbook.data.street_render import Stage, Thing

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST, VOID = range(12)

# cos and sin of twelve directions: circles without calls into a mathematics library.
_H, _S = 0.5, 0.8660254037844386
CIRCLE = (
    (1, 0),
    (_S, _H),
    (_H, _S),
    (0, 1),
    (-_H, _S),
    (-_S, _H),
    (-1, 0),
    (-_S, -_H),
    (-_H, -_S),
    (0, -1),
    (_H, -_S),
    (_S, -_H),
)


class Draw:
    """Random choices from one stream of uniform numbers, so that they are the same on every machine."""

    def __init__(self, rng):
        self._rng, self._values = rng, []

    def __call__(self, low: float = 0.0, high: float = 1.0) -> float:
        if not self._values:
            self._values = self._rng.random(1024).tolist()
        return low + (high - low) * self._values.pop()

    def chance(self, probability: float) -> bool:
        return self() < probability

    def pick(self, options):
        return options[int(self() * len(options))]

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int(self() * (high - low + 1))

    def near(self, rgb, amount: float = 12.0):
        """A colour near `rgb`: a common change of brightness and a smaller one of hue."""
        common = self(-amount, amount)
        return tuple(min(max(c + common + self(-0.4, 0.4) * amount, 4.0), 250.0) for c in rgb)


def cast(stage: Stage, x: float, z: float, outline, darkness: int = 255) -> None:
    """Sun shadow of something upright and roughly round. outline: [(half width, height), …] from the foot up."""
    sx, sy, sz = stage.light.sun
    if not stage.light.shines:
        return
    length = (sx * sx + sz * sz) ** 0.5
    ax, az = -sz / length, sx / length
    left = [(x - h * sx / sy + r * ax, 0.0, z - h * sz / sy + r * az) for r, h in outline]
    right = [(x - h * sx / sy - r * ax, 0.0, z - h * sz / sy - r * az) for r, h in outline]
    stage.shadows.append((left + right[::-1], darkness))


def contact(stage: Stage, x: float, z: float, radius: float, darkness: int = 110) -> None:
    """The dim patch under anything that stands on the ground, in any light."""
    stage.shadows.append(([(x + radius * c, 0.0, z + radius * 0.8 * s) for c, s in CIRCLE], darkness))


# Cars ----------------------------------------------------------------------------------------------------------------

# Side outlines from the front bumper over the roof to the rear bumper: (metres ahead of the middle, height, kind of the
# strip that follows). Windows: outlines of the side panes.
_CARS = {
    "hatchback": (
        ((2.0, 0.28, "front"), (2.02, 0.62, "front"), (1.88, 0.8, "body"), (0.95, 0.95, "glass"), (0.2, 1.42, "body"), (-1.25, 1.45, "glass"), (-1.85, 1.0, "rear"), (-1.98, 0.62, "rear"), (-1.95, 0.28, "")),
        (((0.75, 0.98), (0.15, 1.35), (-0.42, 1.38), (-0.42, 0.98)), ((-0.52, 0.98), (-0.52, 1.38), (-1.2, 1.37), (-1.6, 1.02))),
        1.78, 0.31, 1.28,
    ),
    "saloon": (
        ((2.3, 0.28, "front"), (2.32, 0.6, "front"), (2.2, 0.78, "body"), (1.05, 0.93, "glass"), (0.3, 1.4, "body"), (-0.95, 1.41, "glass"), (-1.6, 1.02, "body"), (-2.22, 0.95, "rear"), (-2.3, 0.6, "rear"), (-2.28, 0.28, "")),
        (((0.85, 0.96), (0.25, 1.33), (-0.3, 1.34), (-0.3, 0.96)), ((-0.4, 0.96), (-0.4, 1.34), (-0.92, 1.33), (-1.4, 1.0))),
        1.82, 0.32, 1.42,
    ),
    "estate": (
        ((2.25, 0.32, "front"), (2.27, 0.75, "front"), (2.1, 0.98, "body"), (1.05, 1.12, "glass"), (0.4, 1.66, "body"), (-1.75, 1.68, "glass"), (-2.15, 1.1, "rear"), (-2.22, 0.7, "rear"), (-2.2, 0.32, "")),
        (((0.85, 1.14), (0.35, 1.58), (-0.35, 1.6), (-0.35, 1.14)), ((-0.45, 1.14), (-0.45, 1.6), (-1.15, 1.6), (-1.15, 1.14)), ((-1.25, 1.14), (-1.25, 1.6), (-1.65, 1.58), (-1.9, 1.16))),
        1.86, 0.36, 1.4,
    ),
    "van": (
        ((2.6, 0.35, "front"), (2.62, 0.85, "front"), (2.45, 1.08, "body"), (2.0, 1.2, "glass"), (1.35, 2.0, "body"), (-2.5, 2.12, "rear"), (-2.56, 1.0, "rear"), (-2.55, 0.35, "")),
        (((1.85, 1.2), (1.35, 1.8), (0.7, 1.84), (0.7, 1.2)),),
        1.98, 0.35, 1.6,
    ),
    "bus": (
        ((5.4, 0.35, "front"), (5.45, 1.15, "glass"), (5.3, 2.6, "front"), (5.2, 3.05, "body"), (-5.3, 3.05, "rear"), (-5.4, 1.1, "rear"), (-5.4, 0.35, "")),
        (((5.0, 1.2), (4.95, 2.5), (2.1, 2.5), (2.1, 1.2)), ((1.95, 1.2), (1.95, 2.5), (-1.4, 2.5), (-1.4, 1.2)), ((-1.55, 1.2), (-1.55, 2.5), (-4.9, 2.5), (-4.9, 1.2))),
        2.5, 0.48, 3.3,
    ),
}  # fmt: skip
_PAINT = (
    (232, 232, 230), (190, 194, 198), (120, 124, 130), (62, 64, 70), (34, 35, 40), (150, 30, 34), (36, 62, 120), (70, 100, 140),
    (120, 96, 74), (186, 170, 140), (60, 84, 70), (196, 150, 60), (170, 80, 56), (140, 150, 156),
)  # fmt: skip


def car(stage: Stage, d: Draw, x: float, z: float, heading, kind: str | None = None) -> None:
    """A car, van or bus from any side: the side outline, drawn out to the car's width."""
    kind = kind or d.pick(("hatchback", "hatchback", "saloon", "saloon", "estate", "estate", "van"))
    outline, panes, width, radius, axle = _CARS[kind]
    paint = d.near(d.pick(_PAINT), 14)
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
            if close:  # heads behind the pane
                for s in (-0.36, 0.36):
                    mid = (f0 + f1) / 2
                    thing.add(
                        [
                            at(mid + 0.13 * c * 0.2, min(y0, y1) + 0.2 + 0.12 * w, s * half * 1.1 + 0.13 * c)
                            for c, w in CIRCLE[::2]
                        ],
                        (40, 42, 46),
                        lit=lit,
                    )
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


# People --------------------------------------------------------------------------------------------------------------

_CLOTHES = (
    (40, 44, 58), (28, 28, 32), (92, 94, 98), (150, 146, 138), (206, 202, 192), (120, 36, 40), (44, 70, 116), (72, 90, 60),
    (150, 112, 70), (96, 70, 52), (176, 60, 48), (60, 110, 120), (120, 90, 130), (190, 160, 90), (224, 220, 216), (84, 84, 78),
)  # fmt: skip
_SKIN = ((226, 184, 156), (198, 150, 118), (150, 104, 76), (98, 66, 48), (236, 200, 176))
_HAIR = ((40, 30, 26), (24, 22, 22), (92, 62, 38), (176, 140, 84), (130, 126, 122))


class _Figure:
    """Limbs between joints (ahead, up, aside), drawn in the plane that faces the camera."""

    def __init__(self, stage: Stage, thing: Thing, x: float, z: float, heading):
        self.thing, self.x, self.z = thing, x, z
        self.rx, self.rz = stage.camera.cos, -stage.camera.sin
        self.along = heading[0] * self.rx + heading[1] * self.rz
        self.across = heading[1] * self.rx - heading[0] * self.rz

    def flat(self, joint):
        return joint[0] * self.along + joint[2] * self.across, joint[1]

    def polygon(self, points, rgb, **how):
        self.thing.add([(self.x + a * self.rx, y, self.z + a * self.rz) for a, y in points], rgb, **how)

    def limb(self, p, q, r0, r1, rgb):
        (a, b), (c, e) = self.flat(p), self.flat(q)
        dx, dy = c - a, e - b
        length = max((dx * dx + dy * dy) ** 0.5, 1e-3)
        dx, dy = dx / length, dy / length
        self.polygon(
            [
                (a - dy * r0, b + dx * r0),
                (c - dy * r1, e + dx * r1),
                (c + dx * r1 * 0.7, e + dy * r1 * 0.7),
                (c + dy * r1, e - dx * r1),
                (a + dy * r0, b - dx * r0),
                (a - dx * r0 * 0.7, b - dy * r0 * 0.7),
            ],
            rgb,
        )

    def disc(self, joint, ra, ry, rgb, **how):
        a, y = self.flat(joint)
        self.polygon([(a + ra * c, y + ry * s) for c, s in CIRCLE], rgb, **how)


def pedestrian(stage: Stage, d: Draw, x: float, z: float, heading, scale: float = 1.0) -> None:
    """A walking or standing person with legs, arms, clothes, at times a bag or an umbrella."""
    h = d(1.55, 1.9) * scale
    thing = stage.thing(PEDESTRIAN, x, z, countable=True, scale=90)
    f = _Figure(stage, thing, x, z, heading)
    top, trousers, skin, hair, shoes = (
        d.near(d.pick(_CLOTHES), 16),
        d.near(d.pick(_CLOTHES), 14),
        d.near(d.pick(_SKIN), 8),
        d.near(d.pick(_HAIR), 8),
        d.near((40, 36, 34), 16),
    )
    stride = d.pick((0.04, d(0.12, 0.3)))
    stride *= h / 1.75
    style = d.pick(("trousers", "trousers", "trousers", "coat", "skirt", "shorts"))
    stout = d(0.9, 1.2)
    hip, knee, shoulder = 0.52 * h, 0.28 * h, 0.815 * h
    turned = 1 if f.across > 0 else -1
    contact(stage, x, z, 0.28)
    cast(stage, x, z, ((0.1, 0), (0.17, 0.45 * h), (0.22, 0.8 * h), (0.07, 0.85 * h), (0.09, 0.93 * h), (0.03, h)))

    def leg(side, swing, tone):
        colour = tuple(c * tone for c in trousers)
        foot = (swing, 0.05 * h, side * 0.08)
        mid = (swing * 0.5 + 0.04, knee, side * 0.08)
        lower = skin if style in ("shorts", "skirt") else colour
        f.limb(mid, foot, 0.052 * stout, 0.04, tuple(c * tone for c in lower))
        f.limb((0, hip, side * 0.085), mid, 0.085 * stout, 0.058 * stout, colour)
        f.limb((foot[0] - 0.03, 0.03 * h, foot[2]), (foot[0] + 0.13, 0.022 * h, foot[2]), 0.042, 0.034, shoes)

    def arm(side, swing, tone):
        colour = tuple(c * tone for c in top)
        elbow = (swing * 0.3, 0.64 * h, side * 0.23 * stout)
        hand = (swing * 0.9 + 0.06, 0.5 * h, side * 0.22 * stout)
        f.limb((0, 0.8 * h, side * 0.185 * stout), elbow, 0.052 * stout, 0.045, colour)
        f.limb(elbow, hand, 0.044, 0.034, colour)
        f.limb(hand, (hand[0] + 0.02, hand[1] - 0.05, hand[2]), 0.036, 0.03, skin)

    near = 1 if f.across >= 0 else -1
    arm(-near, stride, 0.75)
    leg(-near, -stride, 0.78)
    leg(near, stride, 1.0)
    wide = (0.2 * abs(f.across) + 0.115 * abs(f.along)) * stout
    waist, seat = wide * 0.86, wide * 0.88
    hem, flare = {"coat": (0.36 * h, 1.15), "skirt": (0.48 * h, 1.0)}.get(style, (0.49 * h, 1.0))
    if style == "skirt":
        f.polygon(
            [(-seat, 0.56 * h), (seat, 0.56 * h), (seat * 1.45, 0.33 * h), (-seat * 1.45, 0.33 * h)],
            trousers,
            tile=texture.BLOTCH,
            contrast=0.25,
        )
    f.polygon(
        [(-wide * 0.45, 0.85 * h), (-wide * 0.95, shoulder), (-wide, 0.76 * h), (-waist, 0.62 * h), (-seat * flare, hem), (seat * flare, hem), (waist, 0.62 * h), (wide, 0.76 * h), (wide * 0.95, shoulder), (wide * 0.45, 0.85 * h)],
        top, tile=texture.BLOTCH, contrast=0.28,
    )  # fmt: skip
    if d.chance(0.25):  # a backpack or a satchel
        bag = d.near(d.pick(_CLOTHES), 14)
        if abs(f.along) > 0.5:
            f.limb((-0.17, 0.79 * h, 0), (-0.17, 0.6 * h, 0), 0.09, 0.1, bag)
        else:
            f.limb((0, 0.56 * h, 0.24), (0, 0.46 * h, 0.25), 0.09, 0.1, bag)
    arm(near, -stride, 1.0)
    f.limb((0, 0.83 * h, 0), (0.02, 0.89 * h, 0), 0.05, 0.045, skin)
    f.disc((0.02, 0.93 * h, 0), 0.078, 0.068 * h, skin)
    back = -0.025 if abs(f.along) > 0.4 else 0.0
    f.disc((back, 0.955 * h, 0), 0.085, 0.047 * h, hair)
    if turned < 0 and abs(f.along) < 0.6 and d.chance(0.5):
        f.disc((0, 0.935 * h, 0), 0.082, 0.062 * h, hair)  # the back of a head
    if d.chance(0.05):
        y, colour = 1.12 * h, d.near(d.pick(_CLOTHES), 14)
        f.limb((0.1, 0.62 * h, 0.1), (0.1, y + 0.12, 0.1), 0.014, 0.014, (40, 40, 40))
        f.polygon(
            [
                (-0.5, y),
                (-0.38, y + 0.2),
                (-0.1, y + 0.32),
                (0.15, y + 0.32),
                (0.42, y + 0.2),
                (0.54, y),
                (0.02, y + 0.06),
            ],
            colour,
            contrast=0.3,
            tile=texture.BLOTCH,
        )


def bicyclist(stage: Stage, d: Draw, x: float, z: float, heading) -> None:
    """Someone on a bicycle; the spaces between the spokes are labelled bicyclist too, as annotators do."""
    thing = stage.thing(BICYCLIST, x, z, countable=True, scale=90)
    f = _Figure(stage, thing, x, z, heading)
    top, trousers, skin = d.near(d.pick(_CLOTHES), 16), d.near(d.pick(_CLOTHES), 14), d.near(d.pick(_SKIN), 8)
    frame = d.near(d.pick(((30, 30, 34), (150, 30, 30), (40, 80, 130), (190, 190, 190), (60, 110, 70))), 12)
    contact(stage, x, z, 0.45, 90)
    cast(stage, x, z, ((0.3, 0), (0.3, 0.7), (0.2, 0.9), (0.24, 1.4), (0.1, 1.55), (0.12, 1.65), (0.04, 1.8)))
    r = 0.34
    wheel = r * abs(f.along) + 0.025
    rim = max(wheel - 0.045, wheel * 0.3)
    front, rear, crank, saddle, bar = (0.54, r, 0), (-0.5, r, 0), (-0.02, 0.3, 0), (-0.2, 0.92, 0), (0.36, 1.0, 0)
    for hub in (rear, front):
        a, y = f.flat(hub)
        outer = [(a + wheel * c, y + r * s) for c, s in CIRCLE]
        inner = [(a + rim * c, y + (r - 0.05) * s) for c, s in CIRCLE]
        f.polygon(outer, frame, screen=True)
        f.polygon(outer + outer[:1] + inner[:1] + inner[:0:-1] + inner[:1], (26, 26, 28))
    near = 1 if f.across >= 0 else -1
    phase = d(-0.16, 0.16)
    hip, shoulder = (-0.18, 0.98, 0), (0.16 + d(0, 0.14), 1.44, 0)

    def leg(side, lift, tone):
        colour = tuple(c * tone for c in trousers)
        pedal = (crank[0] + 0.1 * (1 if lift > 0 else -1), 0.3 + lift, side * 0.1)
        knee = (0.2, 0.66 + 0.5 * lift, side * 0.1)
        f.limb((hip[0], 0.94, side * 0.09), knee, 0.085, 0.062, colour)
        f.limb(knee, pedal, 0.058, 0.042, colour)
        f.limb(pedal, (pedal[0] + 0.12, pedal[1] - 0.03, pedal[2]), 0.04, 0.035, (36, 34, 34))

    leg(-near, -phase, 0.75)
    for p, q in ((rear, crank), (rear, saddle), (crank, saddle), (crank, bar), (saddle, bar), (bar, front)):
        f.limb(p, q, 0.022, 0.022, frame)
    f.limb((bar[0] + 0.05, bar[1] + 0.04, -0.26), (bar[0] + 0.05, bar[1] + 0.04, 0.26), 0.02, 0.02, (30, 30, 30))
    leg(near, phase, 1.0)
    wide = 0.19 * abs(f.across) + 0.13 * abs(f.along)
    (a, y), (c, e) = f.flat(hip), f.flat(shoulder)
    f.polygon(
        [
            (a - wide * 0.8, y - 0.04),
            (c - wide, e - 0.06),
            (c - wide * 0.5, e + 0.04),
            (c + wide * 0.5, e + 0.04),
            (c + wide, e - 0.06),
            (a + wide * 0.8, y - 0.04),
        ],
        top,
        tile=texture.BLOTCH,
        contrast=0.28,
    )
    for side in (-near, near):
        elbow = (shoulder[0] + 0.14, 1.2, side * 0.25)
        f.limb((shoulder[0], 1.4, side * 0.18), elbow, 0.052, 0.045, top)
        f.limb(elbow, (bar[0] + 0.05, bar[1] + 0.06, side * 0.22), 0.042, 0.034, skin if d.chance(0.5) else top)
    head = (shoulder[0] + 0.08, 1.62, 0)
    f.disc(head, 0.085, 0.11, skin)
    f.disc(
        (head[0] - 0.01, head[1] + 0.05, 0),
        0.1,
        0.075,
        d.near(d.pick(((220, 220, 220), (30, 30, 34), (60, 44, 34), (170, 40, 40), (60, 90, 150))), 10),
    )


# Plants --------------------------------------------------------------------------------------------------------------

_LEAVES = ((74, 104, 44), (58, 90, 42), (92, 112, 50), (48, 74, 44), (110, 118, 54), (84, 92, 58))
_AUTUMN = ((168, 110, 44), (150, 78, 40), (176, 140, 60), (120, 96, 60))


def tree(stage: Stage, d: Draw, x: float, z: float, autumn: bool = False, height: float | None = None) -> None:
    """A trunk, branches and a crown of three layers of leaves: shade, body and the side in the light."""
    height = height or d(4.5, 11)
    conifer = d.chance(0.18)
    leaves = d.near(d.pick(_AUTUMN if autumn and not conifer else _LEAVES), 14)
    if conifer:
        leaves = d.near((44, 72, 48), 10)
    bark = d.near((86, 72, 58), 16)
    thing = stage.thing(TREE, x, z, scale=26)
    rx, rz = stage.camera.cos, -stage.camera.sin
    foot = 0.13 + 0.018 * height
    wide = height * (d(0.2, 0.26) if conifer else d(0.28, 0.42))
    low = height * (0.1 if conifer else d(0.22, 0.36))
    lean = d(-0.05, 0.05) * height
    sun_right = stage.light.sun[0] * rx + stage.light.sun[2] * rz

    def flat(points, rgb, **how):
        thing.add([(x + a * rx, y, z + a * rz) for a, y in points], rgb, **how)

    side = -0.25 if sun_right > 0 else 0.25
    flat(
        [(-foot, 0), (-foot * 0.6, low + 0.8), (foot * 0.6 + lean * 0.3, low + 0.8), (foot, 0)],
        bark,
        tile=texture.BLOTCH,
        contrast=0.5,
    )
    flat(
        [
            (foot * side * 4 if side < 0 else 0, 0),
            (foot * 0.1, low + 0.8),
            (foot * 0.5, low + 0.8),
            (foot * 0.95 if side > 0 else 0, 0),
        ],
        tuple(c * 0.6 for c in bark),
    )
    if not conifer:
        for end in (-0.5, 0.45, 0.05):
            flat(
                [
                    (-foot * 0.4, low * 0.9),
                    (end * wide, low + 0.42 * (height - low)),
                    (end * wide + 0.08, low + 0.42 * (height - low)),
                    (foot * 0.5, low * 0.9),
                ],
                bark,
            )
    middle, tall = (low + height) / 2, (height - low) / 2

    def leaf(stamp, a, y, ra, ry, tone, contrast=0.75):
        flat(
            [(a - ra, y - ry), (a + ra, y + ry)],
            tuple(c * tone for c in leaves),
            tile=texture.FOLIAGE,
            contrast=contrast,
            stamp=stamp,
        )

    kinds = texture.CONIFERS if conifer else texture.CROWNS
    shift = 0.16 * wide * (1 if sun_right > 0 else -1)
    leaf(d.pick(kinds), lean, middle, wide, tall * 1.05, 0.66)
    if conifer:
        leaf(d.pick(texture.SPRAYS), lean + shift, middle - 0.1 * tall, wide * 0.62, tall * 0.9, 1.0)
    else:
        for _ in range(2):
            leaf(
                d.pick(kinds),
                lean + d(-0.4, 0.4) * wide,
                middle + d(-0.35, 0.3) * tall,
                wide * d(0.45, 0.65),
                tall * d(0.4, 0.6),
                d(0.72, 0.9),
            )
        leaf(d.pick(texture.SPRAYS), lean + shift, middle + 0.2 * tall, wide * 0.9, tall * 0.85, 1.0)
        leaf(d.pick(texture.SPRAYS), lean + 1.6 * shift, middle + 0.38 * tall, wide * 0.66, tall * 0.58, 1.22)
    contact(stage, x, z, 0.5 + foot, 90)
    cast(
        stage,
        x,
        z,
        (
            (foot, 0),
            (foot * 0.7, low),
            (wide * 0.7, low + 0.2 * tall),
            (wide, middle),
            (wide * 0.75, height - 0.4 * tall),
            (wide * 0.3, height),
        ),
        225,
    )


def bush(stage: Stage, d: Draw, x: float, z: float, wide: float | None = None, tall: float | None = None) -> None:
    """Low green: labelled tree, like all vegetation."""
    wide, tall = wide or d(0.5, 1.6), tall or d(0.6, 1.7)
    leaves = d.near(d.pick(_LEAVES), 14)
    thing = stage.thing(TREE, x, z, scale=34)
    rx, rz = stage.camera.cos, -stage.camera.sin
    for tone, grow in ((0.7, 1.0), (1.0, 0.72)):
        stamp = d.pick(texture.BUSHES)
        thing.add(
            [
                (x - wide * grow * rx, 0.0, z - wide * grow * rz),
                (x + wide * grow * rx, tall * (0.6 + 0.4 * grow), z + wide * grow * rz),
            ],
            tuple(c * tone for c in leaves),
            texture.FOLIAGE,
            0.75,
            stamp=stamp,
        )
    contact(stage, x, z, wide * 0.9, 120)
    cast(stage, x, z, ((wide * 0.8, 0), (wide * 0.9, tall * 0.5), (wide * 0.4, tall)), 235)


# Poles, signs, clutter -----------------------------------------------------------------------------------------------


def _sheet(stage: Stage, thing: Thing, x: float, z: float):
    """A function that adds polygons in the camera-facing plane through (x, z)."""
    rx, rz = stage.camera.cos, -stage.camera.sin

    def add(points, rgb, **how):
        thing.add([(x + a * rx, y, z + a * rz) for a, y in points], rgb, **how)

    return add


def _shaft(add, radius: float, top: float, rgb, base: float = 0.0) -> None:
    """A round post: its lit side and its shaded side."""
    add([(-radius, base), (-radius, top), (radius, top), (radius, base)], rgb)
    add([(0.15 * radius, base), (0.15 * radius, top), (radius, top), (radius, base)], tuple(c * 0.68 for c in rgb))


_METAL = ((120, 124, 124), (70, 74, 76), (52, 66, 58), (150, 152, 150), (96, 84, 72))


def lamp_post(stage: Stage, d: Draw, x: float, z: float, toward: float) -> None:
    """A street lamp; its arm reaches `toward` the road (-1 left, +1 right)."""
    height = d(4.5, 9)
    thing = stage.thing(POLE, x, z, countable=True)
    add, rgb = _sheet(stage, thing, x, z), d.near(d.pick(_METAL), 14)
    radius = d(0.05, 0.085)
    add([(-radius * 1.6, 0), (-radius * 1.4, 0.9), (radius * 1.4, 0.9), (radius * 1.6, 0)], rgb)
    _shaft(add, radius, height, rgb)
    if d.chance(0.7):
        reach = d(0.9, 2.0)
        ex, _ = x + toward * reach, z
        thing.add([(x, height - 0.1, z), (ex, height + 0.3, z), (ex, height + 0.42, z), (x, height + 0.12, z)], rgb)
        thing.add(
            [
                (ex - 0.1 * toward, height + 0.22, z),
                (ex + 0.5 * toward, height + 0.27, z),
                (ex + 0.5 * toward, height + 0.42, z),
                (ex - 0.1 * toward, height + 0.45, z),
            ],
            (206, 206, 198),
        )
    else:
        add([(-0.16, height), (-0.26, height + 0.5), (0.26, height + 0.5), (0.16, height)], (216, 212, 190))
        add([(-0.3, height + 0.5), (0, height + 0.68), (0.3, height + 0.5)], rgb)
    contact(stage, x, z, 0.25, 90)
    cast(stage, x, z, ((radius, 0), (radius, height)))


def traffic_light(stage: Stage, d: Draw, x: float, z: float) -> None:
    """A pole with a signal head; the head is labelled sign."""
    height = d(2.6, 3.6)
    pole = stage.thing(POLE, x, z, countable=True)
    rgb = d.near(d.pick(_METAL), 14)
    _shaft(_sheet(stage, pole, x, z), 0.07, height, rgb)
    head = stage.thing(SIGN, x, z, countable=True, depth=pole.depth - 0.05)
    add = _sheet(stage, head, x, z)
    add([(-0.24, height - 0.75), (-0.24, height + 0.35), (0.24, height + 0.35), (0.24, height - 0.75)], (30, 32, 32))
    on = d.between(0, 2)
    for i, lamp in enumerate(((226, 48, 40), (236, 170, 40), (60, 200, 110))):
        y = height + 0.14 - 0.34 * i
        lit = (1.15, 1.15, 1.15, 0.0) if i == on else None
        add([(0.13 * c, y + 0.13 * s) for c, s in CIRCLE], lamp if i == on else tuple(c * 0.25 for c in lamp), lit=lit)
    contact(stage, x, z, 0.22, 90)
    cast(stage, x, z, ((0.07, 0), (0.07, height - 0.7), (0.22, height - 0.7), (0.22, height + 0.3)))


def sign_post(stage: Stage, d: Draw, x: float, z: float) -> None:
    """A traffic sign on a thin post: disc, triangle, octagon-like or board."""
    height, size = d(2.1, 2.9), d(0.32, 0.46)
    pole = stage.thing(POLE, x, z, countable=True)
    rgb = d.near((140, 142, 142), 18)
    _shaft(_sheet(stage, pole, x, z), 0.05, height, rgb)
    plate = stage.thing(SIGN, x, z, countable=True, depth=pole.depth - 0.05)
    add = _sheet(stage, plate, x, z)
    red, white, blue = d.near((190, 34, 38), 12), d.near((232, 230, 224), 8), d.near((36, 84, 160), 12)
    kind = d.between(0, 5)

    def disc(radius, colour, y=height):
        add([(radius * c, y + radius * s) for c, s in CIRCLE], colour)

    if kind == 5 or d.chance(0.12):  # the plain back of a sign
        disc(size, d.near((128, 130, 130), 14))
    elif kind == 0:
        disc(size, red)
        disc(size * 0.74, white)
        add(
            [
                (-size * 0.3, height - 0.12),
                (-size * 0.3, height + 0.12),
                (size * 0.3, height + 0.12),
                (size * 0.3, height - 0.12),
            ],
            (40, 40, 40),
        )
    elif kind == 1:
        s = size * 1.15
        add([(-s, height - 0.6 * s), (0, height + 1.1 * s), (s, height - 0.6 * s)], red)
        add([(-0.66 * s, height - 0.4 * s), (0, height + 0.7 * s), (0.66 * s, height - 0.4 * s)], white)
    elif kind == 2:
        disc(size, blue)
        add(
            [
                (-0.06, height - size * 0.6),
                (-0.06, height + size * 0.3),
                (0, height + size * 0.7),
                (0.06, height + size * 0.3),
                (0.06, height - size * 0.6),
            ],
            white,
        )
    elif kind == 3:
        disc(size, red)
        add(
            [
                (-size * 0.7, height - 0.07),
                (-size * 0.7, height + 0.07),
                (size * 0.7, height + 0.07),
                (size * 0.7, height - 0.07),
            ],
            white,
        )
    else:
        board = d.pick((blue, d.near((40, 110, 70), 12), white, d.near((226, 176, 40), 12)))
        w, h = size * d(1.0, 2.2), size * d(0.7, 1.2)
        add([(-w, height - h), (-w, height + h), (w, height + h), (w, height - h)], board)
        for y in (-0.35, 0.25):
            add(
                [
                    (-w * 0.8, height + y * h),
                    (-w * 0.8, height + (y + 0.22) * h),
                    (w * 0.6, height + (y + 0.22) * h),
                    (w * 0.6, height + y * h),
                ],
                white if board is not white else (60, 60, 64),
            )
    contact(stage, x, z, 0.2, 80)
    cast(stage, x, z, ((0.05, 0), (0.05, height - size), (size, height), (0.05, height + size)))


def bollard(stage: Stage, d: Draw, x: float, z: float) -> None:
    """A short post at the kerb: a pole."""
    thing = stage.thing(POLE, x, z, countable=True)
    add, rgb = _sheet(stage, thing, x, z), d.near(d.pick(((50, 52, 54), (140, 138, 132), (110, 60, 50))), 12)
    _shaft(add, 0.09, d(0.8, 1.05), rgb)
    contact(stage, x, z, 0.2, 90)
    cast(stage, x, z, ((0.09, 0), (0.09, 0.95)))


def clutter(stage: Stage, d: Draw, x: float, z: float) -> None:
    """A litter bin, a crate or a switch box: void, as no class fits."""
    thing = stage.thing(VOID, x, z)
    add = _sheet(stage, thing, x, z)
    kind, w = d.between(0, 2), d(0.25, 0.45)
    rgb = d.near(d.pick(((60, 80, 60), (90, 92, 94), (60, 62, 66), (130, 120, 96), (150, 90, 50))), 14)
    h = (1.05, 0.75, 1.4)[kind]
    add([(-w, 0), (-w * 1.08, h), (w * 1.08, h), (w, 0)], rgb, tile=texture.BLOTCH, contrast=0.2)
    add([(0.3 * w, 0), (0.3 * w, h), (w * 1.08, h), (w, 0)], tuple(c * 0.7 for c in rgb))
    if kind == 0:
        add([(-w * 1.2, h), (-w * 0.9, h + 0.14), (w * 0.9, h + 0.14), (w * 1.2, h)], tuple(c * 0.6 for c in rgb))
    contact(stage, x, z, w + 0.12, 120)
    cast(stage, x, z, ((w, 0), (w, h)))
