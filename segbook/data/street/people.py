"""Pedestrians and cyclists of a Street scene: limbs between joints. Metres, and RGB 0..255 under full light."""

from segbook.data.street import texture as texture
from segbook.data.street.common import BICYCLIST, CIRCLE, PEDESTRIAN, Draw, cast, contact
from segbook.data.street.render import Stage, Thing

_CLOTHES = (
    (40, 44, 58), (28, 28, 32), (92, 94, 98), (150, 146, 138), (206, 202, 192), (120, 36, 40),
    (44, 70, 116), (72, 90, 60), (150, 112, 70), (96, 70, 52), (176, 60, 48), (60, 110, 120),
    (120, 90, 130), (190, 160, 90), (224, 220, 216), (84, 84, 78),
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
    if not stage.camera.sees(x, z, 2.5):
        return
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
        color = tuple(c * tone for c in trousers)
        foot = (swing, 0.05 * h, side * 0.08)
        mid = (swing * 0.5 + 0.04, knee, side * 0.08)
        lower = skin if style in ("shorts", "skirt") else color
        f.limb(mid, foot, 0.052 * stout, 0.04, tuple(c * tone for c in lower))
        f.limb((0, hip, side * 0.085), mid, 0.085 * stout, 0.058 * stout, color)
        f.limb((foot[0] - 0.03, 0.03 * h, foot[2]), (foot[0] + 0.13, 0.022 * h, foot[2]), 0.042, 0.034, shoes)

    def arm(side, swing, tone):
        color = tuple(c * tone for c in top)
        elbow = (swing * 0.3, 0.64 * h, side * 0.23 * stout)
        hand = (swing * 0.9 + 0.06, 0.5 * h, side * 0.22 * stout)
        f.limb((0, 0.8 * h, side * 0.185 * stout), elbow, 0.052 * stout, 0.045, color)
        f.limb(elbow, hand, 0.044, 0.034, color)
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
    right = [(0.45, 0.85 * h), (0.95, shoulder), (1.0, 0.76 * h)]
    right = [(k * wide, y) for k, y in right] + [(waist, 0.62 * h), (seat * flare, hem)]
    f.polygon(right + [(-a, y) for a, y in reversed(right)], top, tile=texture.BLOTCH, contrast=0.28)
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
        y, color = 1.12 * h, d.near(d.pick(_CLOTHES), 14)
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
            color,
            contrast=0.3,
            tile=texture.BLOTCH,
        )


def bicyclist(stage: Stage, d: Draw, x: float, z: float, heading) -> None:
    """Someone on a bicycle; the spaces between the spokes are labelled bicyclist too, as annotators do."""
    if not stage.camera.sees(x, z, 2.5):
        return
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
        color = tuple(c * tone for c in trousers)
        pedal = (crank[0] + 0.1 * (1 if lift > 0 else -1), 0.3 + lift, side * 0.1)
        knee = (0.2, 0.66 + 0.5 * lift, side * 0.1)
        f.limb((hip[0], 0.94, side * 0.09), knee, 0.085, 0.062, color)
        f.limb(knee, pedal, 0.058, 0.042, color)
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
