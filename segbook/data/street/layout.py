"""What stands where in a Street scene: camera, light, road, houses, and the things along them, all drawn from one stream."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

from segbook.data.street import texture as texture
from segbook.data.street.common import BUILDING, PAVEMENT, ROAD, TREE, Draw, Plan
from segbook.data.street.houses import WALLS, facing_row, row
from segbook.data.street.render import Camera, Light, Stage
from segbook.data.street.traffic import bonnet, furniture, people, traffic

_STEPS = (-8.0, -4.0, 0.0, 3.0, 6.0, 10.0, 15.0, 22.0, 30.0, 40.0, 52.0, 66.0, 84.0, 105.0, 130.0)
_FAR = 130.0  # metres; the modelled street ends here and the backdrop begins

# Ground layers in the order of painting.
_GROUND, _VERGE, _PAVED, _KERB, _DRIVE, _PATCH, _MARK = 9e5, 8e5, 7e5, 6e5, 5e5, 4e5, 3e5
_BACKDROP = 1e3

# Roads and pavements: two ranges that overlap.
_GRAYS = ((104, 104, 107), (90, 91, 95), (114, 112, 109), (132, 129, 124), (102, 98, 94), (96, 96, 102), (82, 84, 88))
_PAVED_GRAYS = ((134, 131, 126), (150, 146, 139), (168, 162, 153), (160, 150, 138), (114, 113, 113), (142, 142, 146))


@dataclass(frozen=True)
class Look:
    """Of an image as a whole: cloud palette and surface, and what lens and sensor do."""

    clouds: np.ndarray
    sky_surface: int
    gain: tuple[float, float, float]
    contrast: float
    vignette: float
    blur: float
    noise: float


def compose(rng) -> tuple[Stage, Look]:
    """Draw a whole scene. Every choice comes from `rng`, none from the image's size."""
    d = Draw(rng)
    style = d.pick(
        ("canyon", "canyon", "street", "street", "suburb", "suburb", "park", "park", "plaza", "tee", "tee", "country")
    )
    half = d(2.6, 5.5) if style != "plaza" else d(3.0, 4.5)
    wide = {"canyon": (1.0, 2.6), "plaza": (4.0, 9.0), "country": (0.4, 1.6)}.get(style, (1.6, 4.8))
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
        d.near(d.pick(WALLS), 10),
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
        row(stage, d, plan, side, rows[int(side > 0)])
    if style == "tee":
        facing_row(stage, d, plan)
    sunny = 1 if light.sun[0] > 0 else -1
    if abs(light.sun[0]) > 0.15:
        stage.skyline = (sunny, plan.edge(sunny), plan.bend, rows[int(sunny > 0)])
    traffic(stage, d, plan)
    furniture(stage, d, plan)
    people(stage, d, plan)
    if d.chance(0.25):
        bonnet(stage, d)
    return stage, Look(**look)


# Camera and light ----------------------------------------------------------------------------------------------------


def _camera(d: Draw, plan: Plan) -> Camera:
    place = d()
    if place < 0.7:  # in one of the lanes
        x, yaw = d.pick((-0.5, 0.5)) * plan.half + d(-0.4, 0.4), d(-16, 16)
    elif place < 0.86:  # on a pavement
        side = d.pick((-1, 1))
        x, yaw = side * (plan.half + d(0.2, 0.75) * plan.pavement[side > 0]), -side * d(-6, 32)
    else:  # turning
        side = d.pick((-1, 1))
        x, yaw = side * d(0, 0.6) * plan.half, side * d(16, 38)
    yaw = yaw * pi / 180
    height = d.pick((d(1.2, 1.6), d(1.3, 2.0), d(1.6, 2.6)))
    return Camera(x, height, cos(yaw), sin(yaw), d(1.1, 1.65), d(0.25, 0.66), d(-0.05, 0.05))


def _light(d: Draw) -> tuple[Light, dict]:
    mood = d.pick(("sun", "sun", "sun", "sun", "haze", "overcast", "overcast", "overcast", "dusk", "grey"))
    turn = d(0, 2 * pi)
    up = {"sun": d(0.4, 0.85), "dusk": d(0.22, 0.4)}.get(mood, d(0.5, 0.9))
    flat = (1 - up * up) ** 0.5
    sun = (flat * cos(turn), up, flat * sin(turn))
    fog = d.pick((d(0.0005, 0.003), d(0.002, 0.006), d(0.004, 0.014)))
    if mood == "sun":
        strength, warm = d(0.4, 0.65), d(0.0, 0.12)
        direct, ambient = (strength * (1 + warm), strength, strength * (1 - warm)), (0.56, 0.59, 0.64)
        zenith, horizon, white = d.near((84, 136, 204), 20), d.near((188, 210, 228), 14), (250, 250, 248)
        cover = d(-0.5, 0.5)
    elif mood == "haze":
        direct, ambient = (0.3, 0.28, 0.25), (0.7, 0.7, 0.7)
        zenith, horizon, white = d.near((160, 184, 208), 16), d.near((216, 216, 212), 12), (238, 236, 232)
        cover, fog = d(-0.2, 0.6), max(fog, d(0.006, 0.02))
    elif mood == "dusk":
        direct, ambient = (0.62, 0.43, 0.28), (0.6, 0.55, 0.58)
        zenith, horizon, white = d.near((116, 126, 168), 16), d.near((236, 190, 150), 16), (246, 206, 176)
        cover = d(-0.3, 0.5)
    elif mood == "grey":
        direct, ambient = (0.06, 0.06, 0.06), (0.72, 0.74, 0.78)
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
        "gain": (d(0.92, 1.08), 1.0, d(0.9, 1.08)),
        "contrast": d(1.02, 1.18),
        "vignette": d(0.0, 0.3),
        "blur": d(0.0, 0.12),
        "noise": d.pick((d(0.6, 1.6), d(1.2, 2.6))),
    }
    exposure = d(0.88, 1.26)
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
    tile = d.pick((texture.ASPHALT, texture.SLABS, texture.SLABS, texture.SLABS, texture.COBBLES))
    scale = {texture.ASPHALT: 30.0, texture.SLABS: d(40, 64), texture.COBBLES: 48.0}[tile]
    return tile, scale, d.near(d.pick(_PAVED_GRAYS), 12), d(0.14, 0.3)


def _ground(stage: Stage, d: Draw, plan: Plan) -> None:
    lit, half = stage.flat, plan.half
    paving = {"pavement": _paving(d)}
    paving["road"] = (texture.ASPHALT, 30.0, d.near(d.pick(_GRAYS), 10), d(0.1, 0.2)) if d.chance(0.9) else _paving(d)
    if d.chance(0.12):  # the same stuff, a little darker or lighter
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
    grass = d.near(d.pick(((104, 122, 62), (88, 108, 58), (128, 126, 74), (112, 100, 70), (132, 116, 90))), 12)
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
        kerb = d.near((168, 166, 160), 16)
        a, b = sorted((side * half, side * (half + 0.2)))
        lay(_KERB, PAVEMENT, _ribbon(plan, a, b), kerb, texture.STONES, 40.0, 0.2)
        a, b = sorted((side * (half - 0.13), side * half))
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
