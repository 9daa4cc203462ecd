"""What stands and moves on road and pavement of a Street scene: cars, street furniture, people."""

from math import cos, sin

from segbook.data import street_objects as objects
from segbook.data import street_texture as texture
from segbook.data.street_cars import PAINT, car
from segbook.data.street_common import SIGN, VOID, Draw, Plan
from segbook.data.street_people import bicyclist, pedestrian
from segbook.data.street_render import Stage


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


def traffic(stage: Stage, d: Draw, plan: Plan) -> None:
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
                    car(stage, d, x + side * 2.2, z, (side * flip * 1.0, 0.0))
                else:
                    car(stage, d, x, z, (hx * flip, hz * flip))
            z += d(2.7, 3.4) if across else d(5.2, 7.5)
    for _ in range(d.pick((0, 1, 1, 2, 3))):  # driving
        z = d(7, 45)
        lane = d.pick((-1, 1))
        x = plan.middle(z) + lane * plan.half * d(0.3, 0.46)
        if z < reach and clear(z, 1.0) and stage.camera.depth(x, z) > 5:
            hx, hz = plan.tangent(z)
            flip = 1 if (lane > 0) == right_hand else -1
            car(stage, d, x, z, (hx * flip, hz * flip), "bus" if d.chance(0.07) and z > 14 else None)
    where = plan.crossing or ((plan.end, plan.end + 2 * plan.half) if plan.style == "tee" else None)
    if where:  # crossing or turning: seen from the side or at an angle
        for _ in range(d.pick((0, 1, 1, 2))):
            z = where[0] + (where[1] - where[0]) * d.pick((0.28, 0.72))
            turn = d(-0.7, 0.7) if d.chance(0.4) else d(-0.08, 0.08)
            way = d.pick((-1, 1))
            x = d(-14, 14)
            if stage.camera.depth(x, z) > 5:
                car(stage, d, x, z, (way * cos(turn), sin(turn)), "bus" if d.chance(0.06) else None)


def furniture(stage: Stage, d: Draw, plan: Plan) -> None:
    spacing = d(13, 28)
    lamps = d.pick(((-1,), (1,), (-1, 1), (-1, 1), ()))
    for side in lamps:
        z = d(3, 3 + spacing)
        while z < min(50, plan.end - 1):
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


def people(stage: Stage, d: Draw, plan: Plan) -> None:
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
                pedestrian(stage, d, spot[0], spot[1], (float(d.pick((-1, 1))), 0.0))
            continue
        spot = _spot(stage, d, plan, plan.half + 0.4, max(plan.edge(-1), plan.edge(1)) - 0.4, 3.5, 28)
        if spot:
            x, z, side = spot
            x = min(max(x, plan.middle(z) - plan.edge(-1) + 0.4), plan.middle(z) + plan.edge(1) - 0.4)
            heading = facing(z)
            pedestrian(stage, d, x, z, heading, 0.68 if d.chance(0.1) else 1.0)
            if d.chance(0.3):
                pedestrian(stage, d, x + 0.62 * heading[1] + 0.1, z - 0.62 * heading[0], heading)
    for _ in range(d.pick((0, 1, 1, 2))):
        spot = _spot(stage, d, plan, plan.half * 0.3, plan.half + 0.8, 4.5, 22)
        if spot:
            x, z, side = spot
            hx, hz = plan.tangent(z)
            way = d.pick((-1, 1))
            bicyclist(stage, d, x, z, (float(way), 0.12) if d.chance(0.2) else (hx * way, hz * way))


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
