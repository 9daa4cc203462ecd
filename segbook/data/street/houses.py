"""What lines the road of a Street scene: houses, gardens, fences."""

import numpy as np

from segbook.data.street import objects as objects
from segbook.data.street import texture as texture
from segbook.data.street.common import BUILDING, FENCE, TREE, Draw, Plan
from segbook.data.street.render import Stage

WALLS = (
    (158, 84, 62), (140, 92, 72), (176, 128, 92), (206, 188, 150), (222, 214, 198), (196, 176, 146),
    (164, 160, 152), (134, 132, 130), (214, 170, 150), (168, 182, 190), (174, 184, 150), (120, 100, 86),
    (232, 228, 220), (104, 104, 108), (200, 150, 96),
)  # fmt: skip
_FRAMES = ((226, 224, 218), (226, 224, 218), (60, 62, 66), (110, 84, 62))
_DOORS = ((96, 62, 44), (44, 70, 60), (168, 40, 40), (44, 80, 150), (214, 208, 196), (70, 74, 78))
_AWNINGS = ((182, 36, 40), (40, 100, 66), (38, 78, 150), (170, 140, 70), (70, 70, 74), (200, 190, 170))


def _facade_palette(d: Draw, wall, rough: float) -> np.ndarray:
    """float32 [32, 3] for façade tiles: sixteen wall tones, then the parts."""
    palette = np.empty((texture.CODES, 3), dtype=np.float32)
    tones = 1 + rough * (np.arange(texture.WALL_CODES, dtype=np.float32) / 7.5 - 1)
    palette[: texture.WALL_CODES] = np.array(wall, dtype=np.float32) * tones[:, None]
    dim, bright = tuple(c * 0.8 for c in wall), tuple(min(c * 1.18, 240.0) for c in wall)
    frame = d.near(d.pick(_FRAMES), 8)
    trim = d.near(d.pick(((214, 208, 196), bright, dim)), 6)
    tint, tone = d(-8, 12), d(0.7, 1.3)
    glass = [(gray * tone, gray * tone + tint * 0.4, gray * tone + tint) for gray in (38, 50, 66, 92, 140)]
    curtain, lamp = d.near((186, 178, 160), 16), d.near((226, 190, 120), 14)
    door, awning, stripe = d.near(d.pick(_DOORS), 10), d.near(d.pick(_AWNINGS), 12), d.near((224, 218, 206), 8)
    goods, wares = d.near((62, 58, 56), 14), d.near(d.pick(((150, 120, 84), (110, 120, 130), (170, 150, 120))), 20)
    letters, shade = d.near((228, 222, 206), 10), tuple(c * 0.5 for c in wall)
    # In the order of the codes in street_texture: FRAME, TRIM, GLASS × 5, CURTAIN, LIT, DOOR, AWNING, …
    parts = (frame, trim, *glass, curtain, lamp, door, awning, stripe, goods, wares, letters, shade)
    palette[texture.WALL_CODES :] = parts
    return palette


def _house(stage: Stage, d: Draw, start, end, away, height: float, depth: float, shops: float, wall) -> None:
    """A house over the ground line start → end; `away` is the unit ground vector from its front to its back."""
    seen = (stage.camera.sees(*_mix(start, end, t), 0.45 * depth + 2) for t in (0.0, 0.25, 0.5, 0.75, 1.0))
    if not any(seen):
        return
    (xa, za), (xb, zb) = start, end
    length = max(((xb - xa) ** 2 + (zb - za) ** 2) ** 0.5, 0.5)
    along = ((xb - xa) / length, (zb - za) / length)
    shop = d.chance(shops)
    storey = d(2.7, 3.5)
    foot = d(3.2, 4.2) if shop else storey * d(0.95, 1.1)
    storeys = max(0, round((height - foot) / storey))
    height = foot + storeys * storey
    bays = max(1, round(length / d(2.2, 3.6)))
    blank = d.chance(0.06)
    rough = d(0.1, 0.26)
    palette = _facade_palette(d, wall, rough)
    plain = d.pick((texture.BRICKS, texture.BLOTCH, texture.PLANKS, texture.STONES))
    upper, lower = (
        d.pick(texture.WINDOWS),
        d.pick(texture.SHOPS[:3]) if shop else d.pick((texture.SHOPS[3], d.pick(texture.WINDOWS))),
    )
    far = max(stage.camera.depth(*start), stage.camera.depth(*end))
    thing = stage.thing(BUILDING, *start, depth=far)
    back_a, back_b = (xa + away[0] * depth, za + away[1] * depth), (xb + away[0] * depth, zb + away[1] * depth)
    pitched = d.chance(0.45) and height < 14
    rise = d(1.5, 3.6)
    tiles_rgb = d.near(d.pick(((150, 80, 60), (110, 66, 54), (80, 82, 90), (100, 92, 84), (124, 112, 100))), 12)

    def face(p, q, normal, front: bool):
        if normal[0] * (stage.camera.x - p[0]) + normal[1] * (0.0 - p[1]) <= 0:
            return
        lit = stage.light.on(normal[0], 0.0, normal[1])
        size = max(((q[0] - p[0]) ** 2 + (q[1] - p[1]) ** 2) ** 0.5, 0.5)
        count = bays if front else max(1, round(size / 3.2))
        (px, pz), (qx, qz) = p, q

        def sheet(y0, y1):
            return [(px, y0, pz), (px, y1, pz), (qx, y1, qz), (qx, y0, qz)]

        if blank or (not front and d_blank):
            surface = stage.wall(p, q, 40, 40)
            thing.add(sheet(0, height), wall, plain, rough, lit, surface)
        else:
            if storeys:
                thing.add(
                    sheet(foot, height),
                    wall,
                    upper,
                    0,
                    lit,
                    stage.wall(p, q, 64 * count / size, 64 / storey, foot),
                    palette,
                )
            cells = max(1, round(size / 4.4)) if shop else count
            ground_tile = lower if front or not shop else upper
            thing.add(
                sheet(0, foot), wall, ground_tile, 0, lit, stage.wall(p, q, 64 * cells / size, 64 / foot), palette
            )
        trim = tuple(palette[texture.TRIM])
        surface = stage.wall(p, q, 30, 30)
        if not pitched or front:
            thing.add(sheet(height - 0.12, height + 0.4), trim, texture.BLOTCH, 0.2, lit, surface)
            thing.add(sheet(height - 0.34, height - 0.12), tuple(c * 0.55 for c in wall), texture.FLAT, 0, lit, surface)
        if pitched and not front:
            mx, mz = (px + qx) / 2, (pz + qz) / 2
            thing.add(
                [(px, height, pz), (mx, height + rise, mz), (qx, height, qz)],
                wall,
                plain,
                rough,
                lit,
                stage.wall(p, q, 40, 40),
            )
        if far < 50:
            thing.add(sheet(0, 0.35), tuple(c * 0.7 for c in wall), texture.BLOTCH, 0.3, lit, surface)

    d_blank = d.chance(0.4)
    if pitched:
        half = depth / 2
        ridge_a, ridge_b = (xa + away[0] * half, za + away[1] * half), (xb + away[0] * half, zb + away[1] * half)
        slope = (half * half + rise * rise) ** 0.5
        lit = stage.light.on(-away[0] * rise / slope, half / slope, -away[1] * rise / slope)
        points = [
            (xa, height, za),
            (ridge_a[0], height + rise, ridge_a[1]),
            (ridge_b[0], height + rise, ridge_b[1]),
            (xb, height, zb),
        ]
        thing.add(points, tiles_rgb, texture.ROOF, 0.4, lit, stage.wall(start, end, 18, 40, height))
        for _ in range(d.between(0, 2)):
            t, w = d(0.1, 0.9), 0.4
            cx, cz = xa + (xb - xa) * t + away[0] * half, za + (zb - za) * t + away[1] * half
            top = height + rise + d(0.5, 1.1)
            chimney = [
                (cx - w * along[0], height + 0.7 * rise, cz - w * along[1]),
                (cx - w * along[0], top, cz - w * along[1]),
                (cx + w * along[0], top, cz + w * along[1]),
                (cx + w * along[0], height + 0.7 * rise, cz + w * along[1]),
            ]
            thing.add(chimney, tuple(c * 0.8 for c in wall), texture.BRICKS, 0.3, lit)
    face(back_a, start, (-along[0], -along[1]), False)
    face(end, back_b, along, False)
    face(start, end, (-away[0], -away[1]), True)


def row(stage: Stage, d: Draw, plan: Plan, side: int, skyline: np.ndarray) -> None:
    """Everything beyond the pavement on one side of the road."""
    line = plan.edge(side)
    height = d(7, 22) if plan.style in ("canyon", "plaza") else d(5, 14)
    parkland = plan.style == "park" and (side < 0) == (plan.half * 1000 % 2 < 1)
    built = {"canyon": 0.97, "street": 0.76, "plaza": 0.8, "tee": 0.82, "suburb": 0.48, "country": 0.2, "park": 0.8}[
        plan.style
    ]
    if parkland:
        built = 0.04
    shops = {"canyon": 0.55, "plaza": 0.7, "street": 0.45, "tee": 0.4, "park": 0.3}.get(plan.style, 0.06)
    stop = plan.end - 2.5 if plan.style == "tee" else 110.0
    z = d(-12, -5)
    fence = d.pick(("wall", "planks", "railing", "railing", "pickets", "hedge"))
    while z < stop - 2:
        length = d(6, 16) if plan.style in ("canyon", "plaza", "street", "tee") else d(8, 18)
        end = min(z + length, stop)
        if plan.crossing and z < plan.crossing[1] + 1.5 and end > plan.crossing[0] - 1.5:
            if z < plan.crossing[0] - 4:
                end = plan.crossing[0] - 1.5
            else:
                z = plan.crossing[1] + 1.5
                continue
        wall = d.near(d.pick((*WALLS, plan.wall, plan.wall, plan.wall)), 12)
        a, b = (plan.middle(z) + side * line, z), (plan.middle(end) + side * line, end)
        tx, tz = plan.tangent((z + end) / 2)
        away = (side * tz, -side * tx)
        if d.chance(built):
            back = 0.0 if plan.style in ("canyon", "plaza", "street", "tee") and d.chance(0.85) else d(2, 6)
            high = max(3.0, height * d(0.7, 1.3))
            pa, pb = (a[0] + away[0] * back, a[1] + away[1] * back), (b[0] + away[0] * back, b[1] + away[1] * back)
            if plan.style in ("suburb", "country"):
                share = d(0.0, 0.25)
                pa, pb = _mix(pa, pb, share), _mix(pa, pb, 1 - d(0.0, 0.25))
            _house(stage, d, pa, pb, away, high, d(7, 12), shops if back == 0 else 0.0, wall)
            skyline[max(0, int(z)) : max(0, int(end))] = high
            if back:
                _garden(stage, d, plan, a, b, away, back, fence, wall)
        else:
            _garden(stage, d, plan, a, b, away, 9.0 if not parkland else 16.0, fence, wall, parkland)
        z = end + (0.0 if plan.style in ("canyon", "tee", "plaza") else d.pick((0.0, 0.0, d(1, 5))))


def _mix(a, b, t):
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t


def _garden(
    stage: Stage, d: Draw, plan: Plan, a, b, away, deep: float, kind: str, wall, parkland: bool = False
) -> None:
    """A fence along the pavement, and green behind it."""
    middle = _mix(a, b, 0.5)
    if not stage.camera.sees(*middle, 14.0):
        return
    if kind == "hedge" or d.chance(0.78):
        _fence(stage, d, a, b, d.pick((kind, kind, kind, kind, "railing", "planks")), wall)
    for _ in range(d.between(0, 2) if deep < 8 else d.between(2, 4)):
        t, back = d(0.05, 0.95), d(0.8, max(deep - 0.8, 1.0))
        x, z = _mix(a, b, t)
        x, z = x + away[0] * back, z + away[1] * back
        if z > 65 or not stage.camera.sees(x, z, 5.0):
            continue
        if d.chance(0.6 if parkland or deep > 8 else 0.25):
            objects.tree(stage, d, x, z, plan.autumn)
        else:
            objects.bush(stage, d, x, z)


def _fence(stage: Stage, d: Draw, a, b, kind: str, wall) -> None:
    """A wall, boards, railings, pickets or a hedge over the ground line a → b, in short pieces."""
    length = ((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2) ** 0.5
    pieces = max(1, round(length / 4.0))
    height = {"railing": d(1.0, 1.9), "pickets": d(0.9, 1.4), "hedge": d(0.9, 2.2)}.get(kind, d(1.1, 2.6))
    tile = {
        "wall": d.pick((texture.BRICKS, texture.STONES, texture.BLOTCH)),
        "planks": texture.PLANKS,
        "hedge": texture.FOLIAGE,
    }.get(kind, texture.PLANKS)
    rgb = {
        "wall": d.near(wall, 8),
        "planks": d.near(d.pick(((128, 96, 66), (104, 92, 80), (150, 130, 104), wall)), 10),
        "pickets": d.near(d.pick(((222, 218, 208), (140, 110, 80), (90, 100, 84))), 10),
        "railing": d.near(d.pick(((46, 48, 50), (60, 74, 62), (110, 114, 116), (130, 128, 122))), 8),
        "hedge": d.near(d.pick(((66, 92, 46), (54, 78, 44), (92, 102, 52))), 10),
    }[kind]
    normal = ((b[1] - a[1]) / max(length, 0.1), -(b[0] - a[0]) / max(length, 0.1))
    toward = 1 if normal[0] * (stage.camera.x - a[0]) + normal[1] * (0.0 - a[1]) > 0 else -1
    lit = stage.light.on(normal[0] * toward, 0.0, normal[1] * toward)
    label = TREE if kind == "hedge" else FENCE
    for piece in range(pieces):
        p, q = _mix(a, b, piece / pieces), _mix(a, b, (piece + 1) / pieces)
        far = max(stage.camera.depth(*p), stage.camera.depth(*q))
        near = min(stage.camera.depth(*p), stage.camera.depth(*q))
        if far < 0.5 or near > 60 or not stage.camera.sees(*_mix(p, q, 0.5), 3.0):
            continue
        surface = stage.wall(p, q, 48, 48)
        thing = stage.thing(label, *p, depth=far, surface=surface, lit=lit)

        def sheet(t0, t1, y0, y1, p=p, q=q):
            (x0, z0), (x1, z1) = _mix(p, q, t0), _mix(p, q, t1)
            return [(x0, y0, z0), (x0, y1, z0), (x1, y1, z1), (x1, y0, z1)]

        if kind in ("railing", "pickets"):
            thing.add(sheet(0, 1, 0.0, height), rgb, screen=True)
            bars = (26 if near < 9 else 14 if near < 22 else 8) if kind == "railing" else (18 if near < 12 else 10)
            thick = 0.12 if kind == "railing" else 0.3
            for i in range(bars):
                t = i / bars
                thing.add(sheet(t, t + thick / bars * (2 if near > 9 else 1), 0.02, height), rgb, texture.FLAT, 0)
            for y in (0.12, height - 0.1):
                thing.add(sheet(0, 1, y, y + 0.06), rgb, texture.FLAT, 0)
            thing.add(sheet(0, 0.025, 0, height + 0.12), tuple(c * 0.85 for c in rgb), texture.FLAT, 0)
        else:
            thing.add(sheet(0, 1, 0, height), rgb, tile, 0.75 if kind == "hedge" else 0.32)
            if kind == "wall":
                thing.add(
                    sheet(0, 1, height - 0.12, height), tuple(min(c * 1.12, 245) for c in rgb), texture.BLOTCH, 0.2
                )
            if kind == "planks":
                thing.add(sheet(0, 0.03, 0, height + 0.1), tuple(c * 0.8 for c in rgb), texture.FLAT, 0)
        if stage.light.shines and near < 40:
            sx, sy, sz = stage.light.sun
            ground = [
                (p[0], 0, p[1]),
                (q[0], 0, q[1]),
                (q[0] - height * sx / sy, 0, q[1] - height * sz / sy),
                (p[0] - height * sx / sy, 0, p[1] - height * sz / sy),
            ]
            stage.shadows.append((ground, 255 if kind not in ("railing", "pickets") else 110))


def facing_row(stage: Stage, d: Draw, plan: Plan) -> None:
    """Houses or a park across the end of the road."""
    z = plan.end + 2 * plan.half + d(1.5, 3.5)
    tall, x = d(6, 16), -70.0
    while x < 70:
        width = d(7, 16)
        wall = d.near(d.pick((*WALLS, plan.wall, plan.wall)), 12)
        if d.chance(0.72):
            _house(stage, d, (x, z), (x + width, z), (0.0, 1.0), max(3.0, tall * d(0.7, 1.3)), 9.0, 0.35, wall)
        else:
            _garden(
                stage,
                d,
                plan,
                (x, z),
                (x + width, z),
                (0.0, 1.0),
                9.0,
                d.pick(("wall", "planks", "railing", "hedge")),
                wall,
            )
        x += width
