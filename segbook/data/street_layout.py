"""What stands where in a Street scene: camera, light, road, houses, and the things along them, all drawn from one stream."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

from segbook.data import street_objects as objects
from segbook.data import street_texture as texture
from segbook.data.street_objects import BUILDING, FENCE, PAVEMENT, POLE, ROAD, SIGN, TREE, VOID, Draw
from segbook.data.street_render import Camera, Light, Stage

_STEPS = (-8.0, -4.0, 0.0, 3.0, 6.0, 10.0, 15.0, 22.0, 30.0, 40.0, 52.0, 66.0, 84.0, 105.0, 130.0)
_FAR = 130.0  # metres; the modelled street ends here and the backdrop begins

# Ground layers in the order of painting.
_GROUND, _VERGE, _PAVED, _KERB, _DRIVE, _PATCH, _MARK = 9e5, 8e5, 7e5, 6e5, 5e5, 4e5, 3e5
_BACKDROP = 1e3

_WALLS = (
    (158, 84, 62), (140, 92, 72), (176, 128, 92), (206, 188, 150), (222, 214, 198), (196, 176, 146), (164, 160, 152), (134, 132, 130),
    (214, 170, 150), (168, 182, 190), (174, 184, 150), (120, 100, 86), (232, 228, 220), (104, 104, 108), (200, 150, 96),
)  # fmt: skip
_GREYS = (
    (112, 112, 114),
    (96, 97, 100),
    (130, 128, 124),
    (146, 142, 136),
    (120, 114, 108),
    (104, 104, 110),
    (138, 138, 142),
)


@dataclass(frozen=True)
class Look:
    """Of a picture as a whole: cloud palette and surface, and what lens and sensor do."""

    clouds: np.ndarray
    sky_surface: int
    gain: tuple[float, float, float]
    contrast: float
    vignette: float
    blur: float
    noise: float


@dataclass
class Plan:
    """The street's cross-section. Offsets are metres from the middle of the road; index 0 is left, 1 right."""

    style: str
    half: float
    pavement: tuple[float, float]
    bend: float
    end: float
    crossing: tuple[float, float] | None
    wall: tuple
    autumn: bool

    def middle(self, z: float) -> float:
        return self.bend * z * z

    def tangent(self, z: float) -> tuple[float, float]:
        slope = 2 * self.bend * z
        length = (1 + slope * slope) ** 0.5
        return slope / length, 1 / length

    def edge(self, side: int) -> float:
        """From the middle to the house line."""
        return self.half + self.pavement[side > 0]


def compose(rng) -> tuple[Stage, Look]:
    """Draw a whole scene. Every choice comes from `rng`, none from the picture's size."""
    d = Draw(rng)
    style = d.pick(
        ("canyon", "canyon", "street", "street", "suburb", "suburb", "park", "park", "plaza", "tee", "tee", "country")
    )
    half = d(2.6, 5.5) if style != "plaza" else d(3.0, 4.5)
    wide = {"canyon": (1.0, 2.6), "plaza": (4.0, 9.0), "country": (0.4, 1.6)}.get(style, (1.4, 4.0))
    bend = d.pick((0.0, d(-0.0035, 0.0035), d(-0.0035, 0.0035)))
    end = d(16, 46) if style == "tee" else _FAR
    crossing = None
    if style != "tee" and d.chance(0.4):
        start = d(9, 34)
        crossing = (start, start + d(5, 9))
    plan = Plan(
        style,
        half,
        (d(*wide), d(*wide)),
        bend if style != "tee" else bend * 0.3,
        end,
        crossing,
        d.near(d.pick(_WALLS), 10),
        d.chance(0.25),
    )
    camera = _camera(d, plan)
    light, look = _light(d)
    stage = Stage(camera, light)
    look["sky_surface"] = stage._surface(*_cloud_plane(d))
    _ground(stage, d, plan)
    _backdrop(stage, d, plan)
    rows = np.zeros((2, 160), dtype=np.float32)
    for side in (-1, 1):
        _row(stage, d, plan, side, rows[int(side > 0)])
    if style == "tee":
        _facing_row(stage, d, plan)
    sunny = 1 if light.sun[0] > 0 else -1
    if abs(light.sun[0]) > 0.15:
        stage.skyline = (sunny, plan.edge(sunny), plan.bend, rows[int(sunny > 0)])
    _traffic(stage, d, plan)
    _furniture(stage, d, plan)
    _people(stage, d, plan)
    if d.chance(0.25):
        _bonnet(stage, d)
    return stage, Look(**look)


# Camera and light ----------------------------------------------------------------------------------------------------


def _camera(d: Draw, plan: Plan) -> Camera:
    place = d()
    if place < 0.62:  # in one of the lanes
        x, yaw = d.pick((-0.5, 0.5)) * plan.half + d(-0.4, 0.4), d(-16, 16)
    elif place < 0.8:  # on a pavement
        side = d.pick((-1, 1))
        x, yaw = side * (plan.half + d(0.2, 0.75) * plan.pavement[side > 0]), -side * d(-6, 32)
    else:  # turning
        side = d.pick((-1, 1))
        x, yaw = side * d(0, 0.6) * plan.half, side * d(16, 38)
    yaw = yaw * pi / 180
    height = d.pick((d(1.15, 1.6), d(1.3, 2.2), d(2.0, 3.4)))
    return Camera(x, height, cos(yaw), sin(yaw), d(0.85, 1.5), d(0.3, 0.64), d(-0.045, 0.045))


def _light(d: Draw) -> tuple[Light, dict]:
    mood = d.pick(("sun", "sun", "sun", "haze", "overcast", "overcast", "dusk", "grey"))
    turn = d(0, 2 * pi)
    up = {"sun": d(0.4, 0.85), "dusk": d(0.22, 0.4)}.get(mood, d(0.5, 0.9))
    flat = (1 - up * up) ** 0.5
    sun = (flat * cos(turn), up, flat * sin(turn))
    fog = d.pick((d(0.0005, 0.003), d(0.002, 0.006), d(0.004, 0.014)))
    if mood == "sun":
        strength, warm = d(0.5, 0.85), d(0.0, 0.12)
        direct, ambient = (strength * (1 + warm), strength, strength * (1 - warm)), (0.47, 0.5, 0.56)
        zenith, horizon, white = d.near((84, 136, 204), 20), d.near((188, 210, 228), 14), (250, 250, 248)
        cover = d(-0.5, 0.5)
    elif mood == "haze":
        direct, ambient = (0.3, 0.28, 0.25), (0.7, 0.7, 0.7)
        zenith, horizon, white = d.near((160, 184, 208), 16), d.near((216, 216, 212), 12), (238, 236, 232)
        cover, fog = d(-0.2, 0.6), max(fog, d(0.006, 0.02))
    elif mood == "dusk":
        direct, ambient = (0.62, 0.42, 0.26), (0.5, 0.46, 0.52)
        zenith, horizon, white = d.near((116, 126, 168), 16), d.near((236, 190, 150), 16), (246, 206, 176)
        cover = d(-0.3, 0.5)
    elif mood == "grey":
        direct, ambient = (0.06, 0.06, 0.06), (0.62, 0.64, 0.68)
        zenith, horizon, white = d.near((128, 134, 142), 14), d.near((166, 170, 174), 14), (186, 188, 190)
        cover = d(0.0, 1.0)
    else:
        direct, ambient = (0.1, 0.1, 0.1), (0.86, 0.87, 0.9)
        zenith, horizon, white = d.near((188, 194, 202), 16), d.near((218, 220, 222), 12), (240, 240, 240)
        cover = d(0.0, 1.0)
    steps = np.clip(
        (np.arange(texture.CODES, dtype=np.float32)[:, None] / 31 - 0.5) * 2.4 + np.float32(0.5 + cover * 0.5), 0, 1
    )
    clouds = np.array(zenith, dtype=np.float32) * (1 - steps) + np.array(white, dtype=np.float32) * steps
    look = {
        "clouds": clouds.astype(np.float32),
        "gain": (d(0.93, 1.07), 1.0, d(0.93, 1.07)),
        "contrast": d(0.88, 1.15),
        "vignette": d(0.0, 0.3),
        "blur": d(0.0, 0.16),
        "noise": d.pick((d(1.5, 3.5), d(2.5, 6))),
    }
    exposure = d(0.95, 1.22)
    look["gain"] = tuple(g * exposure for g in look["gain"])
    return Light(sun, direct, ambient, horizon, fog), look


def _cloud_plane(d: Draw):
    """The clouds' layer: a ceiling that runs to the horizon; also gives the sky its haze."""
    k, size, off_u, off_v = 0.05, d(40, 120), d(0, 256), d(0, 256)
    wy, w0 = -k, 0.25 * k
    return (size * k, off_u * wy, off_u * w0), (0.0, off_v * wy, off_v * w0 + size * k * 0.35), (0.0, wy, w0)


# Ground --------------------------------------------------------------------------------------------------------------


def _ribbon(plan: Plan, left: float, right: float, start: float = -8.0, end: float | None = None):
    """The strip between two offsets along the bent road."""
    end = min(plan.end if end is None else end, _FAR)
    steps = [start, *(z for z in _STEPS if start < z < end), end]
    return [(plan.middle(z) + left, 0.0, z) for z in steps] + [
        (plan.middle(z) + right, 0.0, z) for z in reversed(steps)
    ]


def _box(x0: float, x1: float, z0: float, z1: float):
    return [(x0, 0.0, z0), (x0, 0.0, z1), (x1, 0.0, z1), (x1, 0.0, z0)]


def _paving(d: Draw):
    """Tile, texels a metre, colour, contrast. Roads and pavements draw from ranges that overlap: only the layout tells."""
    tile = d.pick((texture.ASPHALT, texture.ASPHALT, texture.SLABS, texture.SLABS, texture.COBBLES))
    scale = {texture.ASPHALT: 30.0, texture.SLABS: d(40, 64), texture.COBBLES: 48.0}[tile]
    return tile, scale, d.near(d.pick(_GREYS), 12), d(0.16, 0.34)


def _ground(stage: Stage, d: Draw, plan: Plan) -> None:
    lit, half = stage.flat, plan.half
    paving = {"pavement": _paving(d)}
    paving["road"] = (texture.ASPHALT, 30.0, d.near(d.pick(_GREYS), 12), d(0.14, 0.3)) if d.chance(0.82) else _paving(d)
    if d.chance(0.25):  # the same stuff, a little darker or lighter
        tile, scale, rgb, contrast = paving["pavement"]
        paving["road"] = (tile, scale, d.near(rgb, 10), contrast)

    def lay(depth, label, points, rgb, tile=texture.ASPHALT, scale=30.0, contrast=0.25):
        key = (tile, scale)
        if key not in surfaces:
            surfaces[key] = stage.ground(scale)
        stage.thing(label, 0, 0, depth=depth, surface=surfaces[key], lit=lit).add(points, rgb, tile, contrast)

    surfaces: dict = {}
    ptile, pscale, prgb, pcontrast = paving["pavement"]
    rtile, rscale, rrgb, rcontrast = paving["road"]
    green = plan.style in ("suburb", "country", "park")
    grass = d.near(d.pick(((104, 122, 62), (88, 108, 58), (128, 126, 74), (112, 100, 70))), 12)
    wide = _box(-300, 300, -10, 500)
    if green:
        lay(_GROUND, TREE, wide, grass, texture.FOLIAGE, 40.0, 0.45)
    else:
        lay(_GROUND, PAVEMENT, wide, prgb, ptile, pscale, pcontrast)
    for side in (-1, 1):
        outer = half + plan.pavement[side > 0]
        a, b = sorted((side * half, side * outer))
        lay(_PAVED, PAVEMENT, _ribbon(plan, a, b), prgb, ptile, pscale, pcontrast)
        if plan.style in ("suburb", "country", "street") and plan.pavement[side > 0] > 2.4 and d.chance(0.45):
            a, b = sorted((side * (half + 0.3), side * (half + 1.1)))
            lay(_PAVED - 1, TREE, _ribbon(plan, a, b), d.near(grass, 8), texture.FOLIAGE, 40.0, 0.45)
        kerb = d.near((150, 148, 144), 16)
        a, b = sorted((side * half, side * (half + 0.16)))
        lay(_KERB, PAVEMENT, _ribbon(plan, a, b), kerb, texture.STONES, 40.0, 0.2)
        a, b = sorted((side * (half - 0.1), side * half))
        lay(_KERB - 1, PAVEMENT, _ribbon(plan, a, b), tuple(c * 0.55 for c in kerb), texture.STONES, 40.0, 0.2)
    road = [_ribbon(plan, -half + 0.1, half - 0.1)]
    if plan.crossing:
        road.append(_box(-90, 90, *plan.crossing))
    if plan.style == "tee":
        road.append(_box(-90, 90, plan.end - 0.1, plan.end + 2 * half))
    for points in road:
        lay(_DRIVE, ROAD, points, rrgb, rtile, rscale, rcontrast)
    # Repairs, covers and damp patches on road and pavement alike.
    for _ in range(d.between(2, 7)):
        z, on_road = d(2, 34), d.chance(0.65)
        reach = half - 0.8 if on_road else half + 1.2
        x = plan.middle(z) + (d(-reach, reach) if on_road else d.pick((-1, 1)) * reach)
        if plan.crossing and plan.crossing[0] - 3 < z < plan.crossing[1]:
            continue
        label, rgb = (ROAD, rrgb) if on_road else (PAVEMENT, prgb)
        tone, w, length = d(0.72, 1.2), d(0.25, 1.1), d(0.4, 4)
        if x + w < plan.middle(z) + half and x - w > plan.middle(z) - half or not on_road:
            w = w if on_road else min(w, 0.4)
            lay(
                _PATCH,
                label,
                _box(x - w, x + w, z, z + length),
                tuple(c * tone for c in rgb),
                texture.ASPHALT,
                30.0,
                0.3,
            )
    _markings(d, plan, lay)


def _markings(d: Draw, plan: Plan, lay) -> None:
    half = plan.half
    paint = d.near(d.pick(((214, 212, 204), (200, 198, 192), (206, 176, 84))), 10)
    stop = plan.end - 1.5
    gap = plan.crossing or (stop, stop)

    def line(offset, start, end, width=0.12):
        if end < gap[0] or start > gap[1]:
            lay(
                _MARK,
                ROAD,
                _ribbon(plan, offset - width / 2, offset + width / 2, start, min(end, stop)),
                paint,
                texture.ASPHALT,
                30.0,
                0.3,
            )

    kind = d.pick(("dashed", "dashed", "solid", "none"))
    if kind == "dashed":
        length, pause = d(1.5, 3), d(2.5, 5)
        z = d(-4, 2)
        while z < min(60, stop - length):
            line(0.0, z, z + length)
            z += length + pause
    elif kind == "solid":
        for offset in (0.0,) if d.chance(0.6) else (-0.15, 0.15):
            line(offset, -8, gap[0] - 1)
            line(offset, gap[1] + 1, _FAR)
    if d.chance(0.4):
        for offset in (-half + 0.35, half - 0.35):
            line(offset, -8, gap[0] - 0.5, 0.1)
            line(offset, gap[1] + 0.5, _FAR, 0.1)
    if d.chance(0.35):  # zebra crossing
        z = gap[0] - d(3.2, 4.5) if gap[0] > 6 else d(5, 16)
        x = -half + 0.4
        while x < half - 0.7:
            lay(
                _MARK - 1,
                ROAD,
                _box(plan.middle(z) + x, plan.middle(z) + x + 0.5, z, z + 2.6),
                paint,
                texture.ASPHALT,
                30.0,
                0.3,
            )
            x += 1.0
    elif plan.crossing and d.chance(0.6):
        lay(
            _MARK - 1,
            ROAD,
            _box(plan.middle(gap[0]), plan.middle(gap[0]) + half - 0.2, gap[0] - 1.4, gap[0] - 1.0),
            paint,
        )


def _backdrop(stage: Stage, d: Draw, plan: Plan) -> None:
    """What closes the view: hills with woods, or distant roofs. Only its outline and haze are seen."""
    c, z = stage.camera, 150.0

    def world(right, up):
        dx, dz = right * c.cos + z * c.sin, z * c.cos - right * c.sin
        return dx + c.x, up, dz

    for layer in range(2):
        roofs = plan.style in ("canyon", "plaza", "tee") if layer else d.chance(0.3)
        tall = (d(6, 30), d(3, 12))[layer]
        points, right, up = [world(-190, 0)], -190.0, tall
        while right < 190:
            step = d(5, 22) if roofs else d(4, 12)
            if roofs:
                up = tall * d(0.5, 1.2)
                points += [world(right, up), world(right + step, up)]
            else:
                up = max(1.5, up + d(-0.22, 0.22) * tall)
                points.append(world(right, up))
            right += step
        points.append(world(right, 0))
        rgb = d.near((150, 140, 134), 14) if roofs else d.near((78, 96, 66), 14)
        thing = stage.thing(BUILDING if roofs else TREE, *points[0][::2], depth=_BACKDROP - layer, scale=3.0)
        thing.add(points, rgb, texture.BLOTCH if roofs else texture.FOLIAGE, 0.35)


# Houses, gardens, fences ---------------------------------------------------------------------------------------------


def _facade_palette(d: Draw, wall, rough: float) -> np.ndarray:
    """float32 [32, 3] for façade tiles: sixteen wall tones, then the parts."""
    palette = np.empty((texture.CODES, 3), dtype=np.float32)
    tones = 1 + rough * (np.arange(texture.WALL_CODES, dtype=np.float32) / 7.5 - 1)
    palette[: texture.WALL_CODES] = np.array(wall, dtype=np.float32) * tones[:, None]
    frame = d.pick(((226, 224, 218), (226, 224, 218), (60, 62, 66), (110, 84, 62)))
    trim = d.near(d.pick(((214, 208, 196), tuple(min(c * 1.18, 240) for c in wall), tuple(c * 0.8 for c in wall))), 6)
    palette[texture.FRAME], palette[texture.TRIM] = d.near(frame, 8), trim
    tint, tone = d(-8, 12), d(0.7, 1.3)
    for i, grey in enumerate((38, 50, 66, 92, 140)):
        palette[texture.GLASS + i] = (grey * tone, grey * tone + tint * 0.4, grey * tone + tint)
    palette[texture.CURTAIN] = d.near((186, 178, 160), 16)
    palette[texture.LIT] = d.near((226, 190, 120), 14)
    palette[texture.DOOR] = d.near(
        d.pick(((96, 62, 44), (44, 70, 60), (120, 40, 40), (50, 60, 90), (180, 176, 168), (70, 74, 78))), 10
    )
    awning = d.near(
        d.pick(((150, 36, 40), (40, 84, 60), (40, 60, 110), (170, 140, 70), (70, 70, 74), (200, 190, 170))), 12
    )
    palette[texture.AWNING], palette[texture.AWNING_STRIPE] = awning, d.near((224, 218, 206), 8)
    palette[texture.GOODS], palette[texture.GOODS + 1] = (
        d.near((62, 58, 56), 14),
        d.near(d.pick(((150, 120, 84), (110, 120, 130), (170, 150, 120))), 20),
    )
    palette[texture.LETTERS], palette[texture.SHADE] = d.near((228, 222, 206), 10), tuple(c * 0.5 for c in wall)
    return palette


def _house(stage: Stage, d: Draw, start, end, away, height: float, depth: float, shops: float, wall) -> None:
    """A house over the ground line start → end; `away` is the unit ground vector from its front to its back."""
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


def _row(stage: Stage, d: Draw, plan: Plan, side: int, skyline: np.ndarray) -> None:
    """Everything beyond the pavement on one side of the road."""
    line = plan.edge(side)
    height = d(7, 22) if plan.style in ("canyon", "plaza") else d(5, 14)
    parkland = plan.style == "park" and (side < 0) == (plan.half * 1000 % 2 < 1)
    built = {"canyon": 0.97, "street": 0.82, "plaza": 0.8, "tee": 0.85, "suburb": 0.5, "country": 0.2, "park": 0.8}[
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
        wall = d.near(d.pick((*_WALLS, plan.wall, plan.wall, plan.wall)), 12)
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
    if kind == "hedge" or d.chance(0.78):
        _fence(stage, d, a, b, d.pick((kind, kind, kind, "railing", "wall")), wall)
    for _ in range(d.between(1, 3) if deep < 8 else d.between(2, 5)):
        t, back = d(0.05, 0.95), d(0.8, max(deep - 0.8, 1.0))
        x, z = _mix(a, b, t)
        x, z = x + away[0] * back, z + away[1] * back
        if z > 75:
            continue
        if d.chance(0.6 if parkland or deep > 8 else 0.25):
            objects.tree(stage, d, x, z, plan.autumn)
        else:
            objects.bush(stage, d, x, z)


def _fence(stage: Stage, d: Draw, a, b, kind: str, wall) -> None:
    """A wall, boards, railings, pickets or a hedge over the ground line a → b, in short pieces."""
    length = ((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2) ** 0.5
    pieces = max(1, round(length / 4.0))
    height = {"railing": d(0.9, 1.6), "pickets": d(0.8, 1.3), "hedge": d(0.8, 2.0)}.get(kind, d(0.9, 2.3))
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
        if far < 0.5 or near > 80:
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


def _facing_row(stage: Stage, d: Draw, plan: Plan) -> None:
    """Houses or a park across the end of the road."""
    z = plan.end + 2 * plan.half + d(1.5, 3.5)
    tall, x = d(6, 16), -70.0
    while x < 70:
        width = d(7, 16)
        wall = d.near(d.pick((*_WALLS, plan.wall, plan.wall)), 12)
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


# Traffic, furniture, people ------------------------------------------------------------------------------------------


def _in_view(stage: Stage, x: float, z: float, margin: float = 0.9) -> bool:
    right, ahead = stage.camera.to_camera(x, z)
    return ahead > 2.5 and abs(right) < margin * 0.667 / stage.camera.focal * ahead


def _spot(stage: Stage, d: Draw, plan: Plan, low: float, high: float, near: float, far: float, sides=(-1, 1)):
    """A place with an offset in low..high on a side and Z in near..far, in view if a few tries find one."""
    for _ in range(6):
        side = d.pick(sides)
        t = d()
        z = near + (far - near) * t * (0.4 + 0.6 * t)
        if z > plan.end + plan.half:
            continue
        x = plan.middle(z) + side * d(low, high)
        if _in_view(stage, x, z):
            return x, z, side
    return None


def _traffic(stage: Stage, d: Draw, plan: Plan) -> None:
    right_hand = d.chance(0.6)
    reach = min(plan.end - 3, 60)

    def clear(z, margin=3.2):
        return abs(plan.middle(z) - stage.camera.x) > 0 and not (
            plan.crossing and plan.crossing[0] - margin < z < plan.crossing[1] + margin
        )

    for side in (-1, 1):  # parked
        crowd = d.pick((0.0, 0.0, 0.25, 0.5, 0.75))
        across = d.chance(0.12) and plan.pavement[side > 0] > 3.5
        z = d(-2, 6)
        while z < reach and crowd:
            x = plan.middle(z) + side * (plan.half - 1.05)
            if z > 2.8 and abs(x - stage.camera.x) < 2.0 and z < 7:
                z += 3
                continue
            if d.chance(crowd) and clear(z) and stage.camera.depth(x, z) > 3.2:
                hx, hz = plan.tangent(z)
                flip = 1 if (side > 0) == right_hand else -1
                if across:
                    objects.car(stage, d, x + side * 2.2, z, (side * flip * 1.0, 0.0))
                else:
                    objects.car(stage, d, x, z, (hx * flip, hz * flip))
            z += d(2.7, 3.4) if across else d(5.2, 7.5)
    for _ in range(d.pick((0, 1, 1, 2, 3))):  # driving
        z = d(7, 45)
        lane = d.pick((-1, 1))
        x = plan.middle(z) + lane * plan.half * d(0.3, 0.46)
        if z < reach and clear(z, 1.0) and stage.camera.depth(x, z) > 5:
            hx, hz = plan.tangent(z)
            flip = 1 if (lane > 0) == right_hand else -1
            objects.car(stage, d, x, z, (hx * flip, hz * flip), "bus" if d.chance(0.07) and z > 14 else None)
    where = plan.crossing or ((plan.end, plan.end + 2 * plan.half) if plan.style == "tee" else None)
    if where:  # crossing or turning: seen from the side or at an angle
        for _ in range(d.pick((0, 1, 1, 2))):
            z = where[0] + (where[1] - where[0]) * d.pick((0.28, 0.72))
            turn = d(-0.7, 0.7) if d.chance(0.4) else d(-0.08, 0.08)
            way = d.pick((-1, 1))
            x = d(-14, 14)
            if stage.camera.depth(x, z) > 5:
                objects.car(stage, d, x, z, (way * cos(turn), sin(turn)), "bus" if d.chance(0.06) else None)


def _furniture(stage: Stage, d: Draw, plan: Plan) -> None:
    spacing = d(11, 24)
    lamps = d.pick(((-1,), (1,), (-1, 1), (-1, 1), ()))
    for side in lamps:
        z = d(3, 3 + spacing)
        while z < min(75, plan.end - 1):
            objects.lamp_post(stage, d, plan.middle(z) + side * (plan.half + 0.45), z, -side)
            z += spacing
    if plan.style != "canyon" and d.chance(0.55):  # street trees
        side, z, gap = d.pick((-1, 1)), d(4, 12), d(6, 13)
        tall = d(4, 9)
        while z < min(60, plan.end - 1):
            if plan.pavement[side > 0] > 1.6 and not (
                plan.crossing and plan.crossing[0] - 2 < z < plan.crossing[1] + 2
            ):
                objects.tree(stage, d, plan.middle(z) + side * (plan.half + 0.8), z, plan.autumn, tall * d(0.85, 1.15))
            z += gap
    for _ in range(d.pick((0, 1, 1, 2, 3))):
        spot = _spot(stage, d, plan, plan.half + 0.35, plan.half + 0.7, 4.5, 24)
        if spot:
            objects.sign_post(stage, d, spot[0], spot[1])
    if plan.crossing and d.chance(0.7) or d.chance(0.12):
        z = plan.crossing[0] - 1.2 if plan.crossing else d(6, 20)
        for side in (-1, 1):
            objects.traffic_light(stage, d, plan.middle(z) + side * (plan.half + 0.5), z)
    if d.chance(0.2):
        side, z = d.pick((-1, 1)), d(3, 8)
        for i in range(d.between(3, 8)):
            objects.bollard(stage, d, plan.middle(z + 1.6 * i) + side * (plan.half + 0.35), z + 1.6 * i)
    if plan.style in ("canyon", "plaza", "street", "tee") and d.chance(
        0.35
    ):  # a shop sign that juts out from the houses
        spot = _spot(stage, d, plan, plan.edge(1) - 0.5, plan.edge(1) - 0.4, 5, 20, (1,))
        if spot:
            x, z, side = spot
            thing = stage.thing(SIGN, x, z, countable=True)
            y, tall, rgb = (
                d(2.7, 3.6),
                d(0.5, 1.3),
                d.near(d.pick(((170, 40, 44), (40, 90, 150), (226, 222, 210), (50, 100, 70), (40, 40, 44))), 14),
            )
            thing.add([(x - 0.42, y, z), (x - 0.42, y + tall, z), (x + 0.42, y + tall, z), (x + 0.42, y, z)], rgb)
            for k in (0.25, 0.55):
                thing.add(
                    [
                        (x - 0.28, y + k * tall, z),
                        (x - 0.28, y + (k + 0.14) * tall, z),
                        (x + 0.28, y + (k + 0.14) * tall, z),
                        (x + 0.28, y + k * tall, z),
                    ],
                    (235, 230, 216) if rgb[0] + rgb[1] < 380 else (50, 50, 54),
                )
    for _ in range(d.pick((0, 0, 1, 2))):
        spot = _spot(stage, d, plan, plan.half + 0.5, plan.edge(-1) - 0.4, 4, 18)
        if spot:
            objects.clutter(stage, d, spot[0], spot[1])


def _people(stage: Stage, d: Draw, plan: Plan) -> None:
    def facing(z):
        hx, hz = plan.tangent(z)
        if d.chance(0.25):
            return d.pick(((1.0, 0.0), (-1.0, 0.0), (0.8, 0.6), (-0.8, 0.6), (0.8, -0.6)))
        way = d.pick((-1, 1))
        return hx * way, hz * way

    busy = d.pick((0, 1, 1, 2, 3, 5)) + (d.between(1, 4) if plan.style == "plaza" else 0)
    for _ in range(busy):
        if d.chance(0.16):  # crossing the road
            spot = _spot(stage, d, plan, 0.0, plan.half, 6, 26)
            if spot:
                objects.pedestrian(stage, d, spot[0], spot[1], (float(d.pick((-1, 1))), 0.0))
            continue
        spot = _spot(stage, d, plan, plan.half + 0.4, max(plan.edge(-1), plan.edge(1)) - 0.4, 3.5, 28)
        if spot:
            x, z, side = spot
            x = min(max(x, plan.middle(z) - plan.edge(-1) + 0.4), plan.middle(z) + plan.edge(1) - 0.4)
            heading = facing(z)
            objects.pedestrian(stage, d, x, z, heading, 0.68 if d.chance(0.1) else 1.0)
            if d.chance(0.3):
                objects.pedestrian(stage, d, x + 0.62 * heading[1] + 0.1, z - 0.62 * heading[0], heading)
    for _ in range(d.pick((0, 1, 1, 2))):
        spot = _spot(stage, d, plan, plan.half * 0.3, plan.half + 0.8, 4.5, 22)
        if spot:
            x, z, side = spot
            hx, hz = plan.tangent(z)
            way = d.pick((-1, 1))
            objects.bicyclist(stage, d, x, z, (float(way), 0.12) if d.chance(0.2) else (hx * way, hz * way))


def _bonnet(stage: Stage, d: Draw) -> None:
    """The camera car's own bonnet along the lower edge: void."""
    c, ahead = stage.camera, 1.0
    low = (1.0 - c.horizon) / c.focal
    rise = d(0.03, 0.08) / c.focal
    paint = d.near(d.pick(objects._PAINT), 10)
    thing = stage.thing(VOID, 0, 0, depth=-1.0, scale=60.0)

    def point(right, down):
        return c.x + right * c.cos + ahead * c.sin, c.height - down - c.roll * right, ahead * c.cos - right * c.sin

    reach = 0.7 / c.focal
    curve = [
        (-reach, 0.25),
        (-0.8 * reach, 0.7),
        (-0.4 * reach, 0.95),
        (0.0, 1.0),
        (0.4 * reach, 0.95),
        (0.8 * reach, 0.7),
        (reach, 0.25),
    ]
    thing.add(
        [point(r, low - rise * k) for r, k in curve] + [point(reach, low + 0.2), point(-reach, low + 0.2)],
        paint,
        texture.SHEEN,
        0.2,
    )
