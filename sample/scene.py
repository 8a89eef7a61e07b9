"""Render four objects that move in four patterns over a photograph.

The object is visible in a single frame and not in the motion. The motion is not visible in the middle frame: the pose
there is drawn from the same distribution for all motions. Only both together identify the sixteen classes.

The pictures are the same bytes on every x86 machine: arrays hold integers, floats are scalars, and Pillow resamples
without code that depends on the processor.
"""

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

OBJECTS = ("star", "ball", "box", "ring")
MOTIONS = ("spinning", "sliding", "bouncing", "pulsing")
LOCATIONS = ("over a temple", "among flowers")  # the two photographs, in the words of the captions

HEIGHT, WIDTH = 144, 192  # whole macroblocks of 16 pixels
FRAMES = 40
MIDDLE = FRAMES // 2

# Radius: pixels from the centre of an object to its outermost point.
MEAN_RADIUS = 37  # in the middle frame
_RADIUS = (32, 42)  # range in the middle frame
_SPRITE_RADIUS = 36
_SPRITE_SIZE = 80  # pixels, of a square sprite
_SUPERSAMPLING = 4  # sprites are drawn this many times larger, then averaged
_MARGIN = 16  # pixels of background around the frame, more than the camera drifts
_BORDER = 36  # pixels from the edge of the frame at which objects reverse their motion
_RESAMPLING = Image.Resampling.BILINEAR
# All of about the same brightness, so that the codec finds vectors on all objects equally well.
_COLOURS = {"star": (180, 122, 25), "ball": (215, 75, 95), "box": (70, 115, 225), "ring": (50, 165, 110)}


@dataclass(frozen=True)
class Pose:
    """Position of an object: centre (x right, y down) and radius in pixels of the frame, angle in degrees."""

    x: float
    y: float
    angle: float
    radius: float


@dataclass(frozen=True)
class Appearance:
    """What the clips of one group have in common: background, object and lighting."""

    location: str  # one of LOCATIONS
    background: Image.Image  # RGB, larger than the frame by a margin on each side
    sprite: Image.Image  # RGBA, square
    gain: np.ndarray  # int32 [HEIGHT, WIDTH, 1], brightness factor of each pixel times 256


def random_appearance(object_name: str, rng: np.random.Generator) -> Appearance:
    """Return a random photograph, crop, lighting and palette."""
    photo = int(rng.integers(len(LOCATIONS)))
    mean_gain = rng.uniform(200, 290)
    slope_x, slope_y = rng.uniform(-0.4, 0.4, 2)
    # No arrays of floats: only scalar arithmetic rounds alike on all processors.
    across = np.array([round(slope_x * (x - WIDTH / 2)) for x in range(WIDTH)], dtype=np.int32)
    down = np.array([round(slope_y * (y - HEIGHT / 2)) for y in range(HEIGHT)], dtype=np.int32)
    gain = round(mean_gain) + down[:, None] + across[None, :]
    return Appearance(LOCATIONS[photo], _background(photo, rng), _sprite(object_name, rng), gain[..., None])


def random_pose(rng: np.random.Generator) -> Pose:
    """Return a random pose inside the central square of the frame, which CLIP's centre crop contains."""
    limit = (HEIGHT - 2 * _RADIUS[1]) / 2 - 1
    offset_x, offset_y = rng.uniform(-limit, limit, 2)
    angle, radius = rng.uniform(0, 360), rng.uniform(*_RADIUS)
    return Pose(float(WIDTH / 2 + offset_x), float(HEIGHT / 2 + offset_y), float(angle), float(radius))


def trajectory(motion: str, middle: Pose, rng: np.random.Generator) -> list[Pose]:
    """Return FRAMES poses; the one of frame MIDDLE is `middle`. Direction, speed and phase are random."""
    sign = (-1, 1)[int(rng.integers(2))]
    rotation = float(rng.uniform(8, 12))  # degrees per frame
    speed = float(rng.uniform(2.2, 3.4))  # pixels per frame
    amplitude, frequency = 0.3, float(rng.uniform(0.33, 0.45))  # share of the radius, radians per frame
    phase = float(rng.uniform(-0.4, 0.4))  # radians
    poses = []
    for step in range(-MIDDLE, FRAMES - MIDDLE):
        if motion == "spinning":
            pose = replace(middle, angle=middle.angle + sign * rotation * step)
        elif motion == "sliding":
            pose = replace(middle, x=_reflect(middle.x + sign * speed * step, _BORDER, WIDTH - _BORDER))
        elif motion == "bouncing":
            pose = replace(middle, y=_reflect(middle.y + sign * speed * step, _BORDER, HEIGHT - _BORDER))
        elif motion == "pulsing":
            # Divided by its value at the middle frame, so that the radius there is that of `middle`.
            factor = (1 + amplitude * math.sin(sign * frequency * step + phase)) / (1 + amplitude * math.sin(phase))
            pose = replace(middle, radius=middle.radius * factor)
        else:
            raise ValueError(f"{motion} is not one of {MOTIONS}")
        poses.append(pose)
    return poses


def render(appearance: Appearance, pose: Pose, shift: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Return one picture with noise, uint8 RGB [HEIGHT, WIDTH, 3].

    shift is the position of the camera (right, down), in pixels.
    """
    right, down = (round(_MARGIN + offset, 4) for offset in shift)
    affine = (1, 0, right, 0, 1, down)
    picture = appearance.background.transform((WIDTH, HEIGHT), Image.Transform.AFFINE, affine, _RESAMPLING)
    half = math.ceil(pose.radius) + 1
    left, top = round(pose.x) - half, round(pose.y) - half
    sprite = _transformed(appearance.sprite, pose, pose.x - left, pose.y - top, 2 * half)
    picture.paste(sprite, (left, top), sprite)
    noise = rng.integers(-2, 3, (HEIGHT, WIDTH, 1), dtype=np.int32)
    pixels: np.ndarray = (np.asarray(picture, dtype=np.int32) * appearance.gain >> 8) + noise
    return pixels.clip(0, 255).astype(np.uint8)


def render_clip(object_name: str, motion: str, appearance_seed: list[int], seed: list[int]) -> np.ndarray:
    """Return one clip, uint8 RGB [FRAMES, HEIGHT, WIDTH, 3]. The middle frame does not depend on the motion."""
    appearance = random_appearance(object_name, np.random.default_rng(appearance_seed))
    rng = np.random.default_rng(seed)
    middle = random_pose(rng)
    drift_x, drift_y = (float(drift) for drift in rng.uniform(-0.4, 0.4, 2))
    frames = []
    for index, pose in enumerate(trajectory(motion, middle, rng)):
        shift = drift_x * (index - MIDDLE), drift_y * (index - MIDDLE)
        frames.append(render(appearance, pose, shift, np.random.default_rng([*seed, index])))
    return np.stack(frames)


@cache
def _photos() -> list[Image.Image]:
    # Imported here: only rendering needs it, and the import takes a second.
    from sklearn.datasets import load_sample_image

    return [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]


def _background(photo: int, rng: np.random.Generator) -> Image.Image:
    image = _photos()[photo]
    width, height = WIDTH + 2 * _MARGIN, HEIGHT + 2 * _MARGIN
    zoom = float(rng.uniform(1, 1.8))
    crop_width, crop_height = round(width * zoom), round(height * zoom)
    left = int(rng.integers(image.width - crop_width + 1))
    top = int(rng.integers(image.height - crop_height + 1))
    return image.crop((left, top, left + crop_width, top + crop_height)).resize((width, height), _RESAMPLING)


def _reflect(value: float, low: float, high: float) -> float:
    """Return value reflected into [low, high], as the position of a ball between two walls."""
    distance = (value - low) % (2 * (high - low))
    return low + min(distance, 2 * (high - low) - distance)


def _transformed(sprite: Image.Image, pose: Pose, x: float, y: float, size: int) -> Image.Image:
    """Return the sprite at the pose's angle and radius, its centre at (x, y) of a square picture."""
    scale, angle = _SPRITE_RADIUS / pose.radius, math.radians(pose.angle)
    # The last bit of sin and cos differs between C libraries; six decimals do not.
    cos, sin = round(math.cos(angle) * scale, 6), round(math.sin(angle) * scale, 6)
    centre = _SPRITE_SIZE / 2
    inverse = (cos, sin, centre - cos * x - sin * y, -sin, cos, centre + sin * x - cos * y)
    return sprite.transform((size, size), Image.Transform.AFFINE, inverse, _RESAMPLING)


def _sprite(object_name: str, rng: np.random.Generator) -> Image.Image:
    """Return a picture of an object, RGBA.

    Outline, colour and shape of the tiles differ between objects; area, shades and size of the tiles do not. The shade
    of each tile is random: a periodic pattern matches itself one period away, where the codec would find wrong vectors.
    """
    size = _SPRITE_SIZE * _SUPERSAMPLING
    tint = np.array(_COLOURS[object_name]) + rng.integers(-20, 21, 3)
    colours = np.clip(tint * np.array([[90], [200], [310]]) >> 8, 0, 255).tolist()
    image = Image.new("RGB", (size, size), tuple(colours[1]))
    _draw_tiles(object_name, ImageDraw.Draw(image), [tuple(colour) for colour in colours], rng)
    mask = Image.new("L", (size, size))
    _draw_outline(object_name, ImageDraw.Draw(mask))
    image.putalpha(mask)
    return image.reduce(_SUPERSAMPLING)


def _draw_outline(object_name: str, draw: ImageDraw.ImageDraw) -> None:
    centre, radius = _SPRITE_SIZE * _SUPERSAMPLING / 2, _SPRITE_RADIUS * _SUPERSAMPLING
    if object_name == "star":
        corners = [(radius if corner % 2 else radius * 0.6, math.radians(36 * corner)) for corner in range(10)]
        draw.polygon([(centre + r * math.cos(a), centre + r * math.sin(a)) for r, a in corners], fill=255)
    elif object_name == "ball":
        draw.circle((centre, centre), radius * 0.75, fill=255)
    elif object_name == "box":
        half = radius * 0.68
        draw.rectangle((centre - half, centre - half, centre + half, centre + half), fill=255)
    elif object_name == "ring":
        draw.circle((centre, centre), radius * 0.78, fill=255)
        draw.circle((centre, centre), radius * 0.3, fill=0)
    else:
        raise ValueError(f"{object_name} is not one of {OBJECTS}")


def _draw_tiles(
    object_name: str, draw: ImageDraw.ImageDraw, colours: list[tuple[int, ...]], rng: np.random.Generator
) -> None:
    size, step = _SPRITE_SIZE * _SUPERSAMPLING, 9 * _SUPERSAMPLING
    if object_name == "ring":
        for radius in range(_SPRITE_RADIUS * _SUPERSAMPLING, 0, -step):
            box = (size // 2 - radius, size // 2 - radius, size // 2 + radius, size // 2 + radius)
            for start in range(0, 360, 24):
                draw.pieslice(box, start, start + 24, fill=colours[rng.integers(3)])
        return
    for row, top in enumerate(range(0, size, step)):
        for left in range(-step * (row % 2), size, step):
            fill = colours[rng.integers(3)]
            if object_name == "star":
                draw.circle((left + step / 2, top + step / 2), step * 0.5, fill=fill)
            elif object_name == "ball":
                draw.polygon([(left, top), (left + step, top + step), (left, top + 2 * step)], fill=fill)
            else:
                draw.rectangle((left, top, left + step, top + step), fill=fill)
