"""Pictures of four things that move in four ways over a photograph.

What a thing is shows in a still and not in its motion; how it moves shows in the motion and not in the middle frame,
whose pose comes from one distribution for all motions. So only both together tell the sixteen classes apart.

The pictures are the same bytes on every x86 machine: arrays are integers, floats are scalars, and Pillow resamples
without code that depends on the processor.
"""

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

THINGS = ("star", "ball", "box", "ring")
MOTIONS = ("spinning", "sliding", "bouncing", "pulsing")
PLACES = ("over a temple", "among flowers")  # what the two photographs show

HEIGHT, WIDTH = 144, 192  # whole macroblocks of 16 pixels
FRAMES = 40
MIDDLE = FRAMES // 2

MEAN_REACH = 37  # of a thing in the middle frame, in pixels from its centre to its outermost point
_REACH = (32, 42)
_EDGE = 36  # the same in pixels of a sprite
_SIDE = 80  # of a sprite, in pixels
_FINE = 4  # sprites are drawn this many times larger, then averaged
_MARGIN = 16  # of the background around the frame in pixels, more than the camera drifts
_WALL = 36  # things turn back this many pixels before the frame's edge
_SMOOTH = Image.Resampling.BILINEAR
# Of about the same brightness, so that the codec finds vectors on all things equally well.
_COLOURS = {"star": (180, 122, 25), "ball": (215, 75, 95), "box": (70, 115, 225), "ring": (50, 165, 110)}


@dataclass(frozen=True)
class Pose:
    """Where a thing is: centre (x right, y down) and reach in pixels of the frame, angle in degrees."""

    x: float
    y: float
    angle: float
    reach: float


@dataclass(frozen=True)
class Look:
    """What the clips of one group share."""

    place: str  # one of PLACES
    background: Image.Image  # RGB, larger than the frame by a margin on each side
    sprite: Image.Image  # RGBA, square
    gain: np.ndarray  # int32 [HEIGHT, WIDTH, 1], 256 leaves a pixel as it is


def draw_look(thing: str, rng: np.random.Generator) -> Look:
    """Choose photograph, crop, lighting and palette."""
    photo = int(rng.integers(len(PLACES)))
    gain = rng.uniform(200, 290)
    slope_x, slope_y = rng.uniform(-0.4, 0.4, 2)
    # Not an array of floats: scalars are rounded alike everywhere.
    across = np.array([round(slope_x * (x - WIDTH / 2)) for x in range(WIDTH)], dtype=np.int32)
    down = np.array([round(slope_y * (y - HEIGHT / 2)) for y in range(HEIGHT)], dtype=np.int32)
    light = round(gain) + down[:, None] + across[None, :]
    return Look(PLACES[photo], _background(photo, rng), _sprite(thing, rng), light[..., None])


def draw_pose(rng: np.random.Generator) -> Pose:
    """Choose a pose inside the central square of the frame, which is what CLIP's crop keeps."""
    room = (HEIGHT - 2 * _REACH[1]) / 2 - 1
    across, down = rng.uniform(-room, room, 2)
    angle, reach = rng.uniform(0, 360), rng.uniform(*_REACH)
    return Pose(float(WIDTH / 2 + across), float(HEIGHT / 2 + down), float(angle), float(reach))


def trajectory(motion: str, middle: Pose, rng: np.random.Generator) -> list[Pose]:
    """FRAMES poses that go through `middle` at frame MIDDLE; direction, speed and phase come from rng."""
    sign = (-1, 1)[int(rng.integers(2))]
    spin = float(rng.uniform(8, 12))  # degrees a frame
    speed = float(rng.uniform(2.2, 3.4))  # pixels a frame
    swell, beat, phase = 0.3, float(rng.uniform(0.33, 0.45)), float(rng.uniform(-0.4, 0.4))  # radians (a frame)
    poses = []
    for step in range(-MIDDLE, FRAMES - MIDDLE):
        if motion == "spinning":
            pose = replace(middle, angle=middle.angle + sign * spin * step)
        elif motion == "sliding":
            pose = replace(middle, x=_reflect(middle.x + sign * speed * step, _WALL, WIDTH - _WALL))
        elif motion == "bouncing":
            pose = replace(middle, y=_reflect(middle.y + sign * speed * step, _WALL, HEIGHT - _WALL))
        elif motion == "pulsing":
            # Divided by its value at the middle frame, where the size is the one that was drawn.
            factor = (1 + swell * math.sin(sign * beat * step + phase)) / (1 + swell * math.sin(phase))
            pose = replace(middle, reach=middle.reach * factor)
        else:
            raise ValueError(f"{motion} is not one of {MOTIONS}")
        poses.append(pose)
    return poses


def render(look: Look, pose: Pose, shift: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """One picture, uint8 RGB [HEIGHT, WIDTH, 3]; shift moves the camera right and down, in pixels; rng gives noise."""
    right, down = (round(_MARGIN + part, 4) for part in shift)
    picture = look.background.transform((WIDTH, HEIGHT), Image.Transform.AFFINE, (1, 0, right, 0, 1, down), _SMOOTH)
    half = math.ceil(pose.reach) + 1
    left, top = round(pose.x) - half, round(pose.y) - half
    turned = _turn(look.sprite, pose, pose.x - left, pose.y - top, 2 * half)
    picture.paste(turned, (left, top), turned)
    noise = rng.integers(-2, 3, (HEIGHT, WIDTH, 1), dtype=np.int32)
    lit: np.ndarray = (np.asarray(picture, dtype=np.int32) * look.gain >> 8) + noise
    return lit.clip(0, 255).astype(np.uint8)


def render_clip(thing: str, motion: str, look_seed: list[int], seed: list[int]) -> np.ndarray:
    """One clip, uint8 RGB [FRAMES, HEIGHT, WIDTH, 3]. The middle frame does not depend on the motion."""
    look = draw_look(thing, np.random.default_rng(look_seed))
    rng = np.random.default_rng(seed)
    middle = draw_pose(rng)
    drift_x, drift_y = (float(drift) for drift in rng.uniform(-0.4, 0.4, 2))
    frames = []
    for index, pose in enumerate(trajectory(motion, middle, rng)):
        shift = drift_x * (index - MIDDLE), drift_y * (index - MIDDLE)
        frames.append(render(look, pose, shift, np.random.default_rng([*seed, index])))
    return np.stack(frames)


@cache
def _photos() -> list[Image.Image]:
    # Only drawing needs it, and its import costs a second.
    from sklearn.datasets import load_sample_image

    return [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]


def _background(photo: int, rng: np.random.Generator) -> Image.Image:
    image = _photos()[photo]
    width, height = WIDTH + 2 * _MARGIN, HEIGHT + 2 * _MARGIN
    zoom = float(rng.uniform(1, 1.8))
    wide, high = round(width * zoom), round(height * zoom)
    left, top = int(rng.integers(image.width - wide + 1)), int(rng.integers(image.height - high + 1))
    return image.crop((left, top, left + wide, top + high)).resize((width, height), _SMOOTH)


def _reflect(value: float, low: float, high: float) -> float:
    """Fold value into [low, high], as a ball between two walls."""
    way = (value - low) % (2 * (high - low))
    return low + min(way, 2 * (high - low) - way)


def _turn(sprite: Image.Image, pose: Pose, x: float, y: float, side: int) -> Image.Image:
    """The sprite at the pose's angle and size, its centre at (x, y) of a square picture."""
    scale, turn = _EDGE / pose.reach, math.radians(pose.angle)
    # The C library's last bit differs between machines; six decimals do not.
    cos, sin = round(math.cos(turn) * scale, 6), round(math.sin(turn) * scale, 6)
    inverse = (cos, sin, _SIDE / 2 - cos * x - sin * y, -sin, cos, _SIDE / 2 + sin * x - cos * y)
    return sprite.transform((side, side), Image.Transform.AFFINE, inverse, _SMOOTH)


def _sprite(thing: str, rng: np.random.Generator) -> Image.Image:
    """RGBA. Each thing has its own outline, colour and kind of tiles; area, tones and size of tiles are alike.

    Tones are drawn tile by tile: a regular pattern would look the same one period on, and the codec would err.
    """
    side = _SIDE * _FINE
    tint = np.array(_COLOURS[thing]) + rng.integers(-20, 21, 3)
    colours = np.clip(tint * np.array([[90], [200], [310]]) >> 8, 0, 255).tolist()
    image = Image.new("RGB", (side, side), tuple(colours[1]))
    _tiles(thing, ImageDraw.Draw(image), [tuple(colour) for colour in colours], rng)
    outline = Image.new("L", (side, side))
    _outline(thing, ImageDraw.Draw(outline))
    image.putalpha(outline)
    return image.reduce(_FINE)


def _outline(thing: str, draw: ImageDraw.ImageDraw) -> None:
    centre, edge = _SIDE * _FINE / 2, _EDGE * _FINE
    if thing == "star":
        corners = [(edge if corner % 2 else edge * 0.6, math.radians(36 * corner)) for corner in range(10)]
        draw.polygon([(centre + r * math.cos(a), centre + r * math.sin(a)) for r, a in corners], fill=255)
    elif thing == "ball":
        draw.circle((centre, centre), edge * 0.75, fill=255)
    elif thing == "box":
        half = edge * 0.68
        draw.rectangle((centre - half, centre - half, centre + half, centre + half), fill=255)
    elif thing == "ring":
        draw.circle((centre, centre), edge * 0.78, fill=255)
        draw.circle((centre, centre), edge * 0.3, fill=0)
    else:
        raise ValueError(f"{thing} is not one of {THINGS}")


def _tiles(thing: str, draw: ImageDraw.ImageDraw, colours: list[tuple[int, ...]], rng: np.random.Generator) -> None:
    side, step = _SIDE * _FINE, 9 * _FINE
    if thing == "ring":
        for outer in range(_EDGE * _FINE, 0, -step):
            box = (side // 2 - outer, side // 2 - outer, side // 2 + outer, side // 2 + outer)
            for start in range(0, 360, 24):
                draw.pieslice(box, start, start + 24, fill=colours[rng.integers(3)])
        return
    for row, top in enumerate(range(0, side, step)):
        for left in range(-step * (row % 2), side, step):
            fill = colours[rng.integers(3)]
            if thing == "star":
                draw.circle((left + step / 2, top + step / 2), step * 0.5, fill=fill)
            elif thing == "ball":
                draw.polygon([(left, top), (left + step, top + step), (left, top + 2 * step)], fill=fill)
            else:
                draw.rectangle((left, top, left + step, top + step), fill=fill)
