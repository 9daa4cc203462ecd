"""Plants, poles, signs and clutter of a Street scene.

Every function puts one thing on a `Stage` at a ground position (x, z) in metres. Colours are RGB 0..255 under full light.
"""

from segbook.data.street import texture as texture
from segbook.data.street.common import CIRCLE, POLE, SIGN, TREE, VOID, Draw, cast, contact
from segbook.data.street.render import Stage, Thing

_LEAVES = (
    (74, 104, 44),
    (58, 90, 42),
    (92, 112, 50),
    (48, 74, 44),
    (110, 118, 54),
    (84, 92, 58),
    (92, 84, 62),
    (86, 66, 60),
)
_AUTUMN = ((168, 110, 44), (150, 78, 40), (176, 140, 60), (120, 96, 60))


def tree(stage: Stage, d: Draw, x: float, z: float, autumn: bool = False, height: float | None = None) -> None:
    """A trunk, branches and a crown of three layers of leaves: shade, body and the side in the light."""
    if not stage.camera.sees(x, z, 7.0):
        return
    height = height or d(5.5, 12)
    conifer = d.chance(0.18)
    leaves = d.near(d.pick(_AUTUMN if autumn and not conifer else _LEAVES), 14)
    if conifer:
        leaves = d.near((44, 72, 48), 10)
    bark = d.near((86, 72, 58), 16)
    thing = stage.thing(TREE, x, z, scale=26)
    rx, rz = stage.camera.cos, -stage.camera.sin
    foot = 0.13 + 0.018 * height
    wide = height * (d(0.2, 0.26) if conifer else d(0.32, 0.46))
    low = height * (0.1 if conifer else d(0.22, 0.36))
    lean = d(-0.05, 0.05) * height
    sun_right = stage.light.sun[0] * rx + stage.light.sun[2] * rz

    flat = _sheet(stage, thing, x, z)
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
    close = thing.depth < 32
    if close and not conifer:
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
        for _ in range(2 if close else 0):
            leaf(
                d.pick(kinds),
                lean + d(-0.4, 0.4) * wide,
                middle + d(-0.35, 0.3) * tall,
                wide * d(0.45, 0.65),
                tall * d(0.4, 0.6),
                d(0.72, 0.9),
            )
        leaf(d.pick(texture.SPRAYS), lean + shift, middle + 0.2 * tall, wide * 0.9, tall * 0.85, 1.0)
        if close:
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
    if not stage.camera.sees(x, z, 2.5):
        return
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
    if not stage.camera.sees(x, z, 3.0):
        return
    height = d(4.5, 9)
    thing = stage.thing(POLE, x, z, countable=True)
    add, rgb = _sheet(stage, thing, x, z), d.near(d.pick(_METAL), 14)
    radius = d(0.075, 0.12)
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
    if not stage.camera.sees(x, z, 2.0):
        return
    height = d(2.6, 3.6)
    pole = stage.thing(POLE, x, z, countable=True)
    rgb = d.near(d.pick(_METAL), 14)
    _shaft(_sheet(stage, pole, x, z), 0.085, height, rgb)
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
    if not stage.camera.sees(x, z, 2.0):
        return
    height, size = d(2.1, 2.9), d(0.38, 0.55)
    pole = stage.thing(POLE, x, z, countable=True)
    rgb = d.near((140, 142, 142), 18)
    _shaft(_sheet(stage, pole, x, z), 0.06, height, rgb)
    plate = stage.thing(SIGN, x, z, countable=True, depth=pole.depth - 0.05)
    add = _sheet(stage, plate, x, z)
    red, white, blue = d.near((190, 34, 38), 12), d.near((232, 230, 224), 8), d.near((36, 84, 160), 12)
    kind = d.between(0, 5)

    def disc(radius, color, y=height):
        add([(radius * c, y + radius * s) for c, s in CIRCLE], color)

    if kind == 5 or d.chance(0.2):  # the plain back of a sign
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


def shop_sign(stage: Stage, d: Draw, x: float, z: float) -> None:
    """A board that juts out from a house over the pavement."""
    thing = stage.thing(SIGN, x, z, countable=True)
    y, tall = d(2.7, 3.6), d(0.5, 1.3)
    rgb = d.near(d.pick(((170, 40, 44), (40, 90, 150), (226, 222, 210), (50, 100, 70), (40, 40, 44))), 14)
    ink = (235, 230, 216) if rgb[0] + rgb[1] < 380 else (50, 50, 54)

    def board(half, low, high, color):
        thing.add([(x - half, low, z), (x - half, high, z), (x + half, high, z), (x + half, low, z)], color)

    board(0.42, y, y + tall, rgb)
    for k in (0.25, 0.55):
        board(0.28, y + k * tall, y + (k + 0.14) * tall, ink)


def bollard(stage: Stage, d: Draw, x: float, z: float) -> None:
    """A short post at the kerb: a pole."""
    if not stage.camera.sees(x, z, 1.0):
        return
    thing = stage.thing(POLE, x, z, countable=True)
    add, rgb = _sheet(stage, thing, x, z), d.near(d.pick(((50, 52, 54), (140, 138, 132), (110, 60, 50))), 12)
    _shaft(add, 0.09, d(0.8, 1.05), rgb)
    contact(stage, x, z, 0.2, 90)
    cast(stage, x, z, ((0.09, 0), (0.09, 0.95)))


def clutter(stage: Stage, d: Draw, x: float, z: float) -> None:
    """A litter bin, a crate or a switch box: void, as no class fits."""
    if not stage.camera.sees(x, z, 1.5):
        return
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
