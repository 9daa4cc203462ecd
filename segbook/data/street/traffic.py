"""What stands and moves on road and pavement of a Street scene: cars, street furniture, people."""

from math import cos, sin

from segbook.data.street import objects as objects
from segbook.data.street import texture as texture
from segbook.data.street.cars import PAINT, car
from segbook.data.street.common import VOID, Draw, Plan
from segbook.data.street.people import bicyclist, pedestrian
from segbook.data.street.render import Stage


def _in_view(stage: Stage, x: float, z: float) -> bool:
    """Whether something standing there is seen down to its feet."""
    c = stage.camera
    right, ahead = c.to_camera(x, z)
    aside = abs(right) < 0.6 / c.focal * ahead
    return ahead > 2.5 and aside and c.horizon + c.focal * c.height / ahead < 1.0


def _spot(stage: Stage, d: Draw, plan: Plan, offsets, reach, radius: float, sides=(-1, 1)):
    """A free place, if a few tries find one in view: offset from the middle, and Z, each from (low, high); and its side."""
    for _ in range(7):
        side, t = d.pick(sides), d()
        z = reach[0] + (reach[1] - reach[0]) * t * (0.4 + 0.6 * t)
        x = plan.middle(z) + side * d(*offsets)
        if z < plan.end + plan.half and _in_view(stage, x, z) and plan.take([(x, z)], radius):
            return x, z, side
    return None


def _park(stage: Stage, d: Draw, plan: Plan, x: float, z: float, heading, kind=None) -> None:
    """A car where there is room for one."""
    hx, hz = heading
    reach = (-4.2, -2.1, 0.0, 2.1, 4.2) if kind == "bus" else (-1.2, 0.0, 1.2)
    room = [(x + r * hx, z + r * hz) for r in reach]
    if stage.camera.depth(x, z) > (7.0 if kind == "bus" else 4.0) and plan.take(room, 0.95):
        car(stage, d, x, z, heading, kind)


def traffic(stage: Stage, d: Draw, plan: Plan) -> None:
    """Cars: parked along or across, driving with and against the camera, crossing and turning."""
    flow = d.pick((-1, 1))  # the side on which cars drive away from the camera
    reach, crossing = min(plan.end - 3, 48), plan.crossing

    def clear(z, margin):
        return not (crossing and crossing[0] - margin < z < crossing[1] + margin)

    for side in (-1, 1):
        crowd = d.pick((0.0, 0.0, 0.25, 0.5, 0.75))
        across = d.chance(0.12) and plan.pavement[side > 0] > 3.5
        z = d(-2, 6)
        while z < reach and crowd:
            x = plan.middle(z) + side * (plan.half - 1.05)
            in_the_way = z < 7 and abs(x - stage.camera.x) < 2.0
            if d.chance(crowd) and clear(z, 3.2) and not in_the_way:
                hx, hz = plan.tangent(z)
                way = side * flow
                if across:
                    _park(stage, d, plan, x + side * 2.2, z, (float(way), 0.0))
                else:
                    _park(stage, d, plan, x, z, (hx * way, hz * way))
            z += d(2.7, 3.4) if across else d(5.2, 7.5)
    for _ in range(d.pick((0, 1, 1, 2, 3))):
        z, lane = d(7, 45), d.pick((-1, 1))
        x = plan.middle(z) + lane * plan.half * d(0.3, 0.46)
        if z < reach and clear(z, 1.0):
            hx, hz = plan.tangent(z)
            way = lane * flow
            _park(stage, d, plan, x, z, (hx * way, hz * way), "bus" if d.chance(0.07) and z > 14 else None)
    where = crossing or ((plan.end, plan.end + 2 * plan.half) if plan.style == "tee" else None)
    for _ in range(d.pick((0, 1, 1, 2)) if where else 0):
        z = where[0] + (where[1] - where[0]) * d.pick((0.28, 0.72))
        turn = d(-0.7, 0.7) if d.chance(0.4) else d(-0.08, 0.08)
        heading = (d.pick((-1, 1)) * cos(turn), sin(turn))
        _park(stage, d, plan, d(-14, 14), z, heading, "bus" if d.chance(0.06) else None)


def furniture(stage: Stage, d: Draw, plan: Plan) -> None:
    """Lamps, street trees, signs, traffic lights, bollards and litter bins."""
    kerb, end, crossing = plan.half + 0.45, plan.end - 1, plan.crossing
    spacing = d(13, 28)
    for side in d.pick(((-1,), (1,), (-1, 1), (-1, 1), ())):
        z = d(3, 3 + spacing)
        while z < min(42, end):
            objects.lamp_post(stage, d, plan.middle(z) + side * kerb, z, -side)
            z += spacing
    if plan.style != "canyon" and d.chance(0.55):
        side, z, gap, tall = d.pick((-1, 1)), d(4, 12), d(7, 14), d(5, 9)
        while z < min(60, end):
            x, room = plan.middle(z) + side * (plan.half + 0.8), plan.pavement[side > 0] > 1.6
            if room and not (crossing and crossing[0] - 2 < z < crossing[1] + 2) and plan.take([(x, z)], 0.35):
                objects.tree(stage, d, x, z, plan.autumn, tall * d(0.85, 1.15))
            z += gap
    for _ in range(d.pick((0, 1, 1, 2, 3))):
        spot = _spot(stage, d, plan, (plan.half + 0.35, plan.half + 0.7), (4.5, 17), 0.2)
        if spot:
            objects.sign_post(stage, d, spot[0], spot[1])
    if crossing and d.chance(0.7) or d.chance(0.12):
        z = crossing[0] - 1.2 if crossing else d(6, 20)
        for side in (-1, 1):
            objects.traffic_light(stage, d, plan.middle(z) + side * kerb, z)
    if d.chance(0.2):
        side, z = d.pick((-1, 1)), d(3, 8)
        for i in range(d.between(3, 8)):
            objects.bollard(stage, d, plan.middle(z + 1.6 * i) + side * (plan.half + 0.35), z + 1.6 * i)
    if plan.style in ("canyon", "plaza", "street", "tee") and d.chance(0.35):
        spot = _spot(stage, d, plan, (plan.edge(1) - 0.5, plan.edge(1) - 0.4), (5, 20), 0.1, (1,))
        if spot:
            objects.shop_sign(stage, d, spot[0], spot[1])
    for _ in range(d.pick((0, 0, 1, 2))):
        spot = _spot(stage, d, plan, (plan.half + 0.5, plan.edge(-1) - 0.4), (4, 18), 0.5)
        if spot:
            objects.clutter(stage, d, spot[0], spot[1])


def people(stage: Stage, d: Draw, plan: Plan) -> None:
    """Pedestrians on the pavements, alone or in pairs, some crossing; cyclists on the road."""

    def facing(z):
        hx, hz = plan.tangent(z)
        if d.chance(0.25):
            return d.pick(((1.0, 0.0), (-1.0, 0.0), (0.8, 0.6), (-0.8, 0.6), (0.8, -0.6)))
        way = d.pick((-1, 1))
        return hx * way, hz * way

    busy = d.pick((1, 1, 2, 3, 3, 5)) + (d.between(1, 4) if plan.style == "plaza" else 0)
    for _ in range(busy):
        if d.chance(0.16):
            spot = _spot(stage, d, plan, (0.0, plan.half), (4.5, 13), 0.3)
            if spot:
                pedestrian(stage, d, spot[0], spot[1], (float(d.pick((-1, 1))), 0.0))
            continue
        side = d.pick((-1, 1))
        spot = _spot(stage, d, plan, (plan.half + 0.4, plan.edge(side) - 0.4), (3.5, 14), 0.3, (side,))
        if spot:
            x, z, _ = spot
            hx, hz = facing(z)
            pedestrian(stage, d, x, z, (hx, hz), 0.68 if d.chance(0.1) else 1.0)
            x, z = x + 0.66 * hz + 0.1, z - 0.66 * hx
            if d.chance(0.3) and plan.take([(x, z)], 0.25):
                pedestrian(stage, d, x, z, (hx, hz))
    for _ in range(d.pick((0, 1, 1, 2, 2))):
        spot = _spot(stage, d, plan, (plan.half * 0.3, plan.half + 0.8), (4.0, 13), 0.6)
        if spot:
            hx, hz = plan.tangent(spot[1])
            way = d.pick((-1, 1))
            if d.chance(0.45):  # across the road or round a corner: seen from the side
                angle = d(-0.4, 0.4)
                hx, hz = cos(angle), sin(angle)
            bicyclist(stage, d, spot[0], spot[1], (hx * way, hz * way))


def bonnet(stage: Stage, d: Draw) -> None:
    """The camera car's own bonnet along the lower edge: void."""
    c, ahead = stage.camera, 1.0
    low = (1.0 - c.horizon) / c.focal
    rise = d(0.03, 0.08) / c.focal
    paint = d.near(d.pick(PAINT), 10)
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
