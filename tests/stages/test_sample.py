"""The embedded sample: pictures, videos, lists and the small CLIP."""

import re
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.frame import PictureType
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from mocliplite.errors import UserError
from sample import clip, scene, videos


@pytest.fixture
def torch_settings() -> Iterator[None]:
    """Restore the settings that the training changes for the whole process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def test_a_clip_depends_on_its_seed_alone():
    first = scene.render_clip("star", "sliding", [1], [2])
    assert first.shape == (scene.FRAMES, scene.HEIGHT, scene.WIDTH, 3)
    assert np.array_equal(first, scene.render_clip("star", "sliding", [1], [2]))
    assert not np.array_equal(first, scene.render_clip("star", "sliding", [1], [3]))


def test_the_middle_frame_does_not_depend_on_the_motion_and_others_do():
    middle, start = scene.MIDDLE, 0
    spinning, *others = (scene.render_clip("box", motion, [1], [2]) for motion in scene.MOTIONS)
    assert [np.array_equal(spinning[middle], other[middle]) for other in others] == [True] * 3
    assert [np.array_equal(spinning[start], other[start]) for other in others] == [False] * 3


def test_the_object_lies_inside_the_central_square_of_the_middle_frame():
    poses = [scene.random_pose(np.random.default_rng(seed)) for seed in range(500)]
    horizontal = max(abs(pose.x - scene.WIDTH / 2) + pose.radius for pose in poses)
    vertical = max(abs(pose.y - scene.HEIGHT / 2) + pose.radius for pose in poses)
    assert scene.HEIGHT / 4 < min(horizontal, vertical) <= max(horizontal, vertical) < scene.HEIGHT / 2


def test_yuv420_agrees_with_ffmpeg():
    # Pictures of one colour: at an edge FFmpeg filters chroma over more than two pixels.
    colours = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 140, 30), (17, 99, 180)]
    for colour in colours:
        rgb = np.full((16, 16, 3), colour, dtype=np.uint8)
        theirs = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p").to_ndarray()
        ours = videos.yuv420(rgb)
        assert ours.shape == theirs.shape
        assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_a_video_has_i_frames_and_p_frames_and_vectors_along_the_motion(tmp_path: Path):
    frames = scene.render_clip("ball", "sliding", [1], [2])
    videos.encode(frames, tmp_path / "a.avi")
    kinds, along, across = "", 0, 0
    with av.open(tmp_path / "a.avi") as container:
        container.streams.video[0].codec_context.options = {"flags2": "+export_mvs"}
        for frame in container.decode(video=0):
            kinds += PictureType(frame.pict_type).name
            if vectors := frame.side_data.get("MOTION_VECTORS"):
                array = vectors.to_ndarray()
                along += np.count_nonzero(np.abs(array["motion_x"]) >= 4)  # half pixels
                across += np.count_nonzero(np.abs(array["motion_y"]) >= 4)
    assert kinds == ("I" + "P" * 11) * 3 + "IPPP"
    assert along > 100
    assert along > 5 * across


def test_encoding_again_gives_the_same_bytes_without_library_versions(tmp_path: Path):
    frames = scene.render_clip("ball", "sliding", [1], [2])
    for name in ("a.avi", "b.avi"):
        videos.encode(frames, tmp_path / name)
    written = (tmp_path / "a.avi").read_bytes()
    assert written == (tmp_path / "b.avi").read_bytes()
    assert re.findall(rb"Lav[fc]", written) == []


def test_lists_are_in_the_format_of_ucf101_and_no_group_is_in_both_train_and_test():
    lists = {path.name: text.splitlines() for path, text in videos.lists(Path()).items()}
    assert sorted(lists) == [
        "classInd.txt",
        *(f"{part}list0{split}.txt" for part in ("test", "train") for split in "123"),
    ]
    assert lists["classInd.txt"][:5] == [
        "1 BallBouncing",
        "2 BallPulsing",
        "3 BallSliding",
        "4 BallSpinning",
        "5 BoxBouncing",
    ]
    assert "BallBouncing/v_BallBouncing_g03_c01.avi 1" in lists["trainlist01.txt"]
    assert "BallBouncing/v_BallBouncing_g01_c01.avi" in lists["testlist01.txt"]
    for split in "123":
        train, test = lists[f"trainlist0{split}.txt"], lists[f"testlist0{split}.txt"]
        assert (len(set(train)), len(set(test))) == (16 * 6 * 3, 16 * 2 * 3)
        groups = [{line.split("_c")[0] for line in part} for part in (train, test)]
        assert (len(groups[0]), len(groups[1]), groups[0] & groups[1]) == (16 * 6, 16 * 2, set())


def test_any_text_survives_encoding_and_decoding_by_the_tokenizer():
    tokenizer = clip.build_tokenizer()
    text = "a photo of a star spinning, 12 cafés"
    ids = tokenizer(text).input_ids
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert tokenizer.eos_token_id not in ids[1:-1]
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ,", ",").replace("1 2", "12") == text
    words = clip.caption_words()
    assert len(words) > len(scene.OBJECTS)
    assert {word: len(tokenizer(word).input_ids) - 2 for word in words} == dict.fromkeys(words, 1)


def test_captions_name_object_and_location_and_never_a_motion():
    words = set(clip.caption_words())
    assert {*scene.OBJECTS, "temple", "flowers"} < words
    assert words & {*scene.MOTIONS, "spin", "slide", "bounce", "pulse"} == set()
    rng = np.random.default_rng(0)
    captions = [clip.random_caption("ring", "over a temple", 40, rng) for _ in range(100)]
    assert {"ring" in caption for caption in captions} == {True}
    assert "a photo of a big ring over a temple" in captions


def test_an_image_matches_all_equal_captions_equally():
    # Two images have equal captions and equal logits for both; the third matches its own caption with confidence.
    logits = torch.tensor([[50.0, 50.0, 0.0], [50.0, 50.0, 0.0], [0.0, 0.0, 50.0]])
    assert clip.contrastive_loss(logits, torch.tensor([7, 7, 3])).item() == pytest.approx(2 / 3 * np.log(2))
    # Preferring one of the two equal captions increases the loss.
    unequal = logits + torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 0]])
    assert clip.contrastive_loss(unequal, torch.tensor([7, 7, 3])) > clip.contrastive_loss(
        logits, torch.tensor([7, 7, 3])
    )


@pytest.mark.usefixtures("torch_settings")
def test_training_again_gives_the_same_bytes_and_the_checkpoint_loads_in_transformers(tmp_path: Path):
    for name in ("a", "b"):
        clip.main(stills=8, steps=2, folder=tmp_path / name)
    first, again = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert first == again
    assert {"config.json", "model.safetensors", "vocab.json", "merges.txt", "preprocessor_config.json"} < set(first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]

    model = CLIPModel.from_pretrained(tmp_path / "a")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "a")
    assert isinstance(tokenizer, CLIPTokenizer)
    processor = CLIPImageProcessorPil.from_pretrained(tmp_path / "a")
    pixels = processor(scene.render_clip("box", "sliding", [1], [2])[0], return_tensors="pt").pixel_values
    assert pixels.shape[1:] == (3, clip.IMAGE, clip.IMAGE)
    texts = [
        model.get_text_features(**tokenizer(["a star"], padding=padding, return_tensors="pt")).pooler_output
        for padding in ("do_not_pad", "max_length")
    ]  # the embedding is that of the end of the text, not of the padding
    assert torch.allclose(*texts, atol=1e-5)
    other = model.get_text_features(**tokenizer(["a ring"], return_tensors="pt")).pooler_output
    assert not torch.allclose(texts[0], other, atol=1e-5)


def test_a_clip_of_somebody_else_in_the_folder_is_refused_and_kept(tmp_path: Path):
    own, partial, other = (
        tmp_path / "BallBouncing" / name for name in ("v_BallBouncing_g01_c01.avi", ".x.partial", "my.avi")
    )
    own.parent.mkdir()
    for path in (own, partial):
        path.write_bytes(b"")
    videos.refuse_other_files(tmp_path)
    other.write_bytes(b"")
    with pytest.raises(UserError) as error:
        videos.refuse_other_files(tmp_path)
    assert str(error.value) == (
        f"{other} is not a clip of the sample (1 such files); move it to a folder of your own, with one folder per "
        "class, and set dataset.root in params.yaml to that folder."
    )
    assert other.exists()
