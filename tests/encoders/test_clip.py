"""CLIP: preprocessing, embeddings, and a sentence for every checkpoint that cannot be used."""

import errno
import hashlib
import http.server
import io
import json
import os
import shutil
import threading
from pathlib import Path
from urllib.parse import urlsplit

import huggingface_hub
import numpy as np
import pytest
import torch
from builders import CHECKOUT, run_python, sentence_of
from huggingface_hub import try_to_load_from_cache
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel, CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from mocliplite.encoders import checkpoints, cost, embedding, loading
from mocliplite.params import Compute
from sample.clip import build_tokenizer

pytestmark = pytest.mark.usefixtures("folder")

REFERENCE = CHECKOUT.parent / "shared/data/clip_reference"
MODEL, REVISION = "openai/clip-vit-base-patch32", "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
# As it lies on the hub: older than the class that reads it, sizes as plain numbers.
HUB_PREPROCESSING = {
    "crop_size": 224,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 224,
}
COMPUTE = Compute(workers=1, threads=0, device="cpu", engine="inline", time_limit=60)


def reference(name):
    """A file of the reference, or a skip that says what is missing."""
    if not (REFERENCE / name).is_file():
        pytest.skip(f"{REFERENCE / name} is not there")
    return REFERENCE / name


def save_checkpoint(folder, config, tokenizer):
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_config(tokenizer, **changes):
    tower = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return CLIPConfig(text_config=tower | text, vision_config=tower | changes, projection_dim=24)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A checkpoint of CLIP's shape with random weights, small but for its 224 pixels."""
    tokenizer = build_tokenizer()
    return save_checkpoint(tmp_path_factory.mktemp("clip"), tiny_config(tokenizer), tokenizer)


@pytest.fixture(scope="module")
def loaded(tiny):
    return loading.load_encoder(tiny, COMPUTE)


@pytest.fixture
def copy(tiny):
    """A copy of the tiny checkpoint to damage."""
    return Path(shutil.copytree(tiny, "copy"))


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """ViT-B/32 with random weights and CLIP's own vocabulary: 600 MB."""
    tokenizer = CLIPTokenizer(vocab=str(reference("vocab.json")), merges=str(reference("merges.txt")))
    folder = save_checkpoint(tmp_path_factory.mktemp("vit"), CLIPConfig(), tokenizer)
    yield folder
    shutil.rmtree(folder)


def picture(seed, size=(240, 320)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def photograph():
    return np.array(Image.open(reference("franz-kafka.jpg")).convert("RGB"))


def embedded(loaded, images, batch):
    return np.stack(list(embedding.embed_images(loaded, images, batch)))


# Preprocessing


@pytest.mark.parametrize("preprocessing", [None, HUB_PREPROCESSING], ids=["saved today", "on the hub"])
def test_a_photograph_becomes_the_tensor_of_openais_clip(copy, preprocessing):
    if preprocessing:
        (copy / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    ours = embedding.preprocess(loading.load_encoder(copy, COMPUTE), photograph())["pixel_values"][None]
    theirs = np.load(reference("expected_preprocessed_image.npy"))
    assert ours.shape == theirs.shape == (1, 3, 224, 224)
    assert np.abs(ours - theirs).max() < 1e-6


@pytest.mark.parametrize("size", [(240, 320), (244, 152), (50, 400), (224, 224), (1, 1)])
def test_an_image_of_any_size_becomes_224_pixels(loaded, size):
    pixels = embedding.preprocess(loaded, picture(0, size))["pixel_values"]
    assert (pixels.shape, pixels.dtype) == ((3, 224, 224), np.float32)


def test_the_channels_are_red_green_blue(loaded):
    red = np.zeros((224, 224, 3), dtype=np.uint8)
    red[..., 0] = 255
    means, deviations = np.array(HUB_PREPROCESSING["image_mean"]), np.array(HUB_PREPROCESSING["image_std"])
    assert embedding.preprocess(loaded, red)["pixel_values"][:, 7, 7] == pytest.approx(
        ([1, 0, 0] - means) / deviations, abs=1e-6
    )


# Image embeddings


def test_images_and_texts_embed_as_in_a_direct_call_of_transformers(loaded, tiny):
    images, texts = [picture(seed) for seed in range(3)], ["a star", "a photo of a ball"]
    model, tokenizer = CLIPModel.from_pretrained(tiny), CLIPTokenizer.from_pretrained(tiny)
    pixels = CLIPImageProcessorPil.from_pretrained(tiny)(images=images, return_tensors="pt").pixel_values
    with torch.no_grad():
        direct = model(pixel_values=pixels, **tokenizer(texts, padding=True, return_tensors="pt"))
    rows, columns = embedding.unit(embedded(loaded, images, 2)), embedding.unit(embedding.embed_texts(loaded, texts))
    assert np.allclose(rows, direct.image_embeds, atol=1e-5)
    assert np.allclose(columns, direct.text_embeds, atol=1e-5)
    assert np.allclose(embedding.logit_scale(loaded) * rows @ columns.T, direct.logits_per_image, atol=1e-4)


def test_embeddings_are_not_brought_to_unit_length(loaded):
    lengths = np.linalg.norm(embedded(loaded, [picture(seed) for seed in range(3)], 3), axis=1)
    assert np.abs(lengths - 1).min() > 0.1


@pytest.mark.parametrize("batch", [2, 3, 6, 7, 8])
def test_an_embedding_is_the_same_bytes_at_every_place_of_a_batch(loaded, batch):
    others = [picture(seed) for seed in range(1, batch)]
    rows = [embedded(loaded, [*others[:i], picture(0), *others[i:]], batch)[i].tobytes() for i in range(batch)]
    assert len(set(rows)) == 1


@pytest.mark.parametrize("batch", [2, 3, 8])
def test_an_embedding_is_the_same_bytes_in_a_batch_that_is_not_full(loaded, batch):
    # 5 images: the last pass holds 1, 2 and 5.
    images = [picture(seed) for seed in range(5)]
    together = embedded(loaded, images, batch)
    alone = [embedded(loaded, [image], batch)[0] for image in images]
    assert together.tobytes() == np.stack(alone).tobytes()


def test_every_forward_pass_has_the_full_batch(loaded, monkeypatch):
    shapes = []
    forward = loaded.model.get_image_features
    monkeypatch.setattr(
        loaded.model,
        "get_image_features",
        lambda pixel_values: (shapes.append(pixel_values.shape), forward(pixel_values))[1],
    )
    assert embedded(loaded, [picture(seed) for seed in range(5)], 4).shape == (5, 24)
    assert shapes == [(4, 3, 224, 224)] * 2


def test_batch_size_moves_the_last_bits_at_most(loaded):
    images = [picture(seed) for seed in range(5)]
    assert np.allclose(embedded(loaded, images, 1), embedded(loaded, images, 8), atol=1e-5)


def test_bfloat16_moves_images_a_little_and_texts_not_at_all(tiny, loaded, monkeypatch):
    monkeypatch.setattr(loading, "allow_bfloat16", lambda: None)  # would change the code of all later tests
    rounded = loading.load_encoder(tiny, COMPUTE, "bfloat16")
    images = [picture(seed) for seed in range(3)]
    rows, exact = embedding.unit(embedded(rounded, images, 4)), embedding.unit(embedded(loaded, images, 4))
    assert rows.dtype == np.float32
    assert 1e-6 < np.abs(rows - exact).max() < 0.02
    texts = ["a ball", "a star"]
    assert embedding.embed_texts(rounded, texts) == pytest.approx(embedding.embed_texts(loaded, texts), abs=1e-5)


@pytest.mark.parametrize(("before", "after"), [("AVX2", "DEFAULT"), ("SSE41", "SSE41")])
def test_bfloat16_lifts_the_limit_of_instructions_unless_the_user_has_set_it(monkeypatch, before, after):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", before)
    loading.allow_bfloat16()
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == after


def test_no_image_gives_no_embedding(loaded):
    assert list(embedding.embed_images(loaded, [], 4)) == []


def test_images_are_asked_for_a_batch_at_a_time(loaded):
    asked = []
    images = (asked.append(seed) or picture(seed) for seed in range(6))
    next(embedding.embed_images(loaded, images, 2))
    assert asked == [0, 1]


# Texts


def test_real_tokens_start_and_end_as_openais_clip(copy):
    (copy / "tokenizer.json").unlink()
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(reference(name), copy)
    tokens = loading.load_encoder(copy, COMPUTE).tokenizer("a photo of a man").input_ids
    assert (tokens[0], tokens[-1], len(tokens)) == (49406, 49407, 7)
    words = json.loads(reference("vocab.json").read_text())
    assert tokens[1:-1] == [words[f"{word}</w>"] for word in ("a", "photo", "of", "a", "man")]


def test_a_class_is_the_mean_of_unit_vectors_over_templates_at_unit_length(loaded):
    embeddings = embedding.embed_classes(loaded, ["ball", "star"], ["a {}", "a photo of a {}."])
    first, second = embedding.embed_texts(loaded, ["a star", "a photo of a star."]).astype(float)
    mean = first / np.sqrt((first**2).sum()) + second / np.sqrt((second**2).sum())
    assert embeddings.shape == (2, 24)
    assert embeddings[1] == pytest.approx(mean / np.sqrt((mean**2).sum()), abs=1e-6)
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx([1, 1], abs=1e-6)


def test_a_text_is_the_same_bytes_whatever_the_others(loaded):
    long = "a photo of a big ring over a temple and a small star beside a bridge"
    alone, beside = (embedding.embed_texts(loaded, texts)[-1] for texts in (["a star"], [long, "a star"]))
    assert alone.tobytes() == beside.tobytes()


def test_a_text_too_long_is_cut_to_77_tokens(loaded):
    short, long = embedding.embed_texts(loaded, ["a star " * 37 + "a", "a star " * 300])
    # 77 tokens less start and end are 75: 37 times two, and one.
    assert np.array_equal(short, long)


def test_the_temperature_of_a_fresh_clip_is_one_in_0_07(loaded):
    assert embedding.logit_scale(loaded) == pytest.approx(1 / 0.07, rel=1e-3)


# Cost


@pytest.mark.parametrize(
    "changes",
    [{}, {"patch_size": 16, "image_size": 64}, {"intermediate_size": 40, "num_hidden_layers": 3}],
    ids=["as CLIP", "small patches", "three layers"],
)
def test_cost_is_what_the_image_tower_has_and_does(changes):
    config = tiny_config(build_tokenizer(), **changes)
    config._attn_implementation = "eager"  # the counter does not see through the fused one
    model = CLIPModel(config)
    size = config.vision_config.image_size
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.get_image_features(pixel_values=torch.zeros(1, 3, size, size))
    parts = model.vision_model, model.visual_projection
    parameters = sum(weight.numel() for part in parts for weight in part.parameters())
    config.save_pretrained(".")
    assert cost.image_cost(Path()) == {"parameters": parameters, "macs": counter.get_total_flops() // 2}


# Where a checkpoint is


def locate(model, revision):
    """What locate answers in a process of its own, which alone reads HF_HOME anew, and after how many seconds."""
    code = "import sys, time; from mocliplite import errors; from mocliplite.encoders import checkpoints\n"
    code += "start = time.monotonic()\n"
    code += "try: print(checkpoints.locate(sys.argv[1], sys.argv[2] or None))\n"
    code += "except errors.UserError as error: print(error)\n"
    code += "print(time.monotonic() - start)"
    done = run_python("-c", code, model, revision or "")
    assert done.returncode == 0, done.stderr
    *answer, seconds = done.stdout.splitlines()
    return "\n".join(answer), float(seconds)


@pytest.fixture
def no_network(folder, monkeypatch):
    """An empty cache, and a hub that refuses to answer."""
    monkeypatch.setenv("HF_HOME", str(Path("hf").absolute()))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture
def hub(monkeypatch, no_network):
    """Starts a hub: hub(answer), where answer(path) gives status, headers and content."""
    servers = []

    def start(answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, headers, content = answer(urlsplit(self.path).path)
                self.send_response(status)
                for name, value in {"Content-Length": len(content), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else content)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{servers[-1].server_port}")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def serve(files):
    """Answers as the hub does for one model that holds these files, name -> content."""
    digests = {name: hashlib.sha1(content).hexdigest() for name, content in files.items()}
    listing = [
        {"type": "file", "path": name, "oid": digests[name], "size": len(content)} for name, content in files.items()
    ]
    described = {"id": MODEL, "sha": REVISION, "siblings": [{"rfilename": name} for name in files]}

    def answer(path):
        if path.startswith(f"/api/models/{MODEL}/tree/"):
            return 200, {}, json.dumps(listing).encode()
        if path.startswith(f"/api/models/{MODEL}"):
            return 200, {}, json.dumps(described).encode()
        name = path.rpartition("/")[2]
        if path != f"/{MODEL}/resolve/{REVISION}/{name}" or name not in files:
            return 404, {}, b""
        return 200, {"ETag": f'"{digests[name]}"', "X-Repo-Commit": REVISION}, files[name]

    return answer


def test_a_folder_is_its_own_place(tiny):
    assert checkpoints.locate(str(tiny), None) == tiny


@pytest.mark.parametrize(
    ("gone", "lacking"),
    [
        (["config.json"], "config.json"),
        (["model.safetensors"], "model.safetensors"),
        (["preprocessor_config.json", "tokenizer.json"], "preprocessor_config.json, tokenizer.json"),
    ],
)
def test_a_folder_that_lacks_files(copy, gone, lacking):
    for name in gone:
        (copy / name).unlink()
    wanted = f"copy is not a checkpoint: {lacking} is missing; save one there with save_pretrained."
    assert sentence_of(checkpoints.locate, "copy", None) == wanted


@pytest.mark.parametrize("name", ["config.json", "special_tokens_map.json", "model.safetensors"])
def test_a_device_in_a_folder_is_not_read(copy, name):
    (copy / name).unlink(missing_ok=True)
    (copy / name).symlink_to(os.devnull)
    wanted = f"copy/{name} is not a regular file; save its content to a file instead."
    assert sentence_of(checkpoints.locate, "copy", None) == wanted


@pytest.mark.parametrize("model", ["no such model", "./models/clip", "a/b/c", "models/clip/"])
def test_neither_a_folder_nor_an_id(model):
    wanted = (
        f"params.yaml: encoder.model is {model!r}, which is neither a local folder nor a hub id such as "
        "openai/clip-vit-base-patch32."
    )
    assert sentence_of(checkpoints.locate, model, None) == wanted


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("revision", "shown", "option"), [(REVISION, REVISION, f" --revision {REVISION}"), (None, "main", "")]
)
def test_neither_cache_nor_network(revision, shown, option):
    answer, seconds = locate(MODEL, revision)
    assert answer == (
        f"'openai/clip-vit-base-patch32' (revision {shown}) is neither a local folder nor in the local hub cache, "
        "and the hub cannot be reached; on a machine with network run "
        f"`hf download openai/clip-vit-base-patch32{option}`, copy the folder it prints, and set encoder.model and "
        "encoder.files to the copy, and encoder.pickled_weights to true."
    )
    assert seconds < 5


def test_advice_without_network_names_a_setting_only_where_the_copy_needs_it(monkeypatch):
    monkeypatch.setattr(checkpoints.hub, "cached", lambda model, revision: None)
    monkeypatch.setattr(checkpoints.hub, "file_names", lambda model, revision: None)
    for model, pickled in (("someone/clip", False), (MODEL, True)):
        assert sentence_of(checkpoints.locate, model, None, pickled).endswith("encoder.files to the copy.")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("revision", [REVISION, None])
def test_a_checkpoint_in_the_cache_needs_no_network(tiny, revision):
    cached = Path("hf/hub/models--openai--clip-vit-base-patch32").absolute()
    shutil.copytree(tiny, cached / "snapshots" / REVISION)
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text(REVISION)
    assert locate(MODEL, revision)[0] == str(cached / "snapshots" / REVISION)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_what_was_fetched_once_needs_no_network_again(hub, monkeypatch, tiny, weights):
    files = {path.name: path.read_bytes() for path in tiny.iterdir()}
    files[weights] = files.pop("model.safetensors")
    hub(serve({**files, "flax_model.msgpack": b"not needed", "README.md": b"not needed"}))
    fetched = Path(locate(MODEL, REVISION)[0])
    assert {path.name for path in fetched.iterdir()} == set(files)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert locate(MODEL, REVISION)[0] == str(fetched)


def test_a_model_on_the_hub_that_is_no_clip_of_transformers(hub):
    hub(serve({"config.json": b"{}", "model.onnx": b"weights"}))
    assert locate(MODEL, REVISION)[0] == (
        f"{MODEL!r} has no preprocessor_config.json, model.safetensors, tokenizer.json on the hub; "
        "choose a checkpoint in transformers' format."
    )


@pytest.mark.parametrize("code", ["RepoNotFound", "RevisionNotFound"])
def test_the_hub_knows_no_such_model_or_revision(hub, code):
    hub(lambda _: (404, {"X-Error-Code": code}, b""))
    wanted = (
        f"params.yaml: the hub has no model {MODEL!r} at this revision, or not for you; check the name, or log in with "
        "`hf auth login`."
    )
    assert locate(MODEL, REVISION)[0] == wanted


@pytest.mark.parametrize(("status", "content"), [(500, b""), (200, b"<html>Log in to the hotel's network</html>")])
def test_what_answers_is_no_hub(hub, status, content):
    hub(lambda _: (status, {}, content))
    answer, _ = locate(MODEL, REVISION)
    assert answer.startswith(f"{MODEL!r} (revision {REVISION}) is neither a local folder nor in the local hub cache")


@pytest.mark.parametrize(
    ("code", "advice"), [("ENOSPC", "free disk space"), ("EACCES", "fix the permissions"), ("ECONNRESET", None)]
)
def test_a_cache_of_the_hub_that_cannot_be_written_is_not_a_broken_connection(monkeypatch, code, advice):
    def fail(*_, **__):
        raise OSError(getattr(errno, code), code)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "hf/hub")
    if advice is None:
        assert checkpoints.hub.download(MODEL, None, "*") is None
        return
    wanted = f"hf/hub cannot be written ({code}); {advice} and run again: finished work is kept."
    assert sentence_of(checkpoints.hub.download, MODEL, None, "*") == wanted


# Checkpoints that do not load


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize(("text", "reason"), [("[]", " holds no settings"), ("{", " is not JSON (")])
def test_settings_that_are_none(copy, name, text, reason):
    (copy / name).write_text(text)
    assert sentence_of(loading.load_encoder, copy, COMPUTE).startswith(f"copy/{name}{reason}")
    read = {"config.json": cost.image_cost, "preprocessor_config.json": checkpoints.cache_key}[name]
    assert sentence_of(read, copy).startswith(f"copy/{name}{reason}")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 605247071\n"


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", POINTER, b"{}"], ids=["empty", "LFS pointer", "empty JSON"])
def test_a_file_that_holds_something_else(copy, name, content):
    if name == "pytorch_model.bin":
        (copy / "model.safetensors").unlink()
    (copy / name).write_bytes(content)
    sentence = sentence_of(loading.load_encoder, copy, COMPUTE)
    assert sentence.startswith("copy does not load as a checkpoint of transformers (")
    assert sentence.endswith("); get it again.")
    assert "\n" not in sentence


def test_weights_that_were_cut_off(copy):
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert sentence_of(loading.load_encoder, copy, COMPUTE).startswith(
        "copy does not load as a checkpoint of transformers ("
    )


def test_weights_that_are_missing_are_not_made_up(copy):
    weights = load_file(copy / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    wanted = "copy: 1 weights are missing, such as visual_projection.weight; download it again."
    assert sentence_of(loading.load_encoder, copy, COMPUTE) == wanted


def test_another_kind_of_model_is_refused(copy):
    config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16, vocab_size=9)
    BertModel(config).save_pretrained(copy)
    sentence = sentence_of(loading.load_encoder, copy, COMPUTE)
    assert sentence.startswith("copy gives no embedding of an image (")
    assert sentence.endswith("); choose a checkpoint with a pooled output.")


def test_preprocessing_for_another_size(copy):
    settings = {**HUB_PREPROCESSING, "crop_size": 336, "size": 336}
    (copy / "preprocessor_config.json").write_text(json.dumps(settings))
    wanted = "copy: preprocessor_config.json cuts 336x336 pixels, but config.json wants 224x224; get it again."
    assert sentence_of(loading.load_encoder, copy, COMPUTE) == wanted


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tiny):
    wanted = "params.yaml: compute.device is 'cuda', but torch finds no GPU; set it to cpu or auto."
    assert (
        sentence_of(
            loading.load_encoder, tiny, Compute(workers=1, threads=0, device="cuda", engine="inline", time_limit=60)
        )
        == wanted
    )


def test_a_copy_of_a_checkpoint_in_another_folder_has_the_same_key(copy):
    other = Path(shutil.copytree(copy, "elsewhere"))
    assert checkpoints.cache_key(other) == checkpoints.cache_key(copy)
    assert checkpoints.locate_same(checkpoints.cache_key(copy), "elsewhere", None) == other


@pytest.mark.parametrize(
    ("name", "change", "key"),
    [
        ("model.safetensors", lambda content: content[:-1] + b"\xff", "weights"),
        ("config.json", lambda content: content.replace(b"quick_gelu", b"gelu"), "config"),
        ("preprocessor_config.json", lambda content: content.replace(b"0.48145466", b"0.5"), "preprocessing"),
        ("tokenizer.json", lambda content: content + b" ", "tokenizer"),
    ],
)
def test_a_checkpoint_with_another_file_is_refused(copy, name, change, key):
    before, file = checkpoints.cache_key(copy), copy / name
    file.write_bytes(change(file.read_bytes()))
    assert sentence_of(checkpoints.locate_same, before, "copy", None) == (
        f"copy is not the checkpoint that the features were made with ({key} differs); "
        "run `dvc repro`, or set encoder.model to that checkpoint."
    )


def test_the_key_of_a_checkpoint_follows_weights_configuration_and_preprocessing(copy):
    before = checkpoints.cache_key(copy)
    (copy / "preprocessor_config.json").write_text(json.dumps(HUB_PREPROCESSING))
    preprocessing = checkpoints.cache_key(copy)
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    weights = checkpoints.cache_key(copy)
    (copy / "config.json").write_text((copy / "config.json").read_text().replace("quick_gelu", "gelu"))
    assert checkpoints.cache_key(copy)["config"] != before["config"]
    changed = [{key for key in before if before[key] != after[key]} for after in (preprocessing, weights)]
    assert changed == [{"preprocessing"}, {"preprocessing", "weights"}]


# The real size


def test_vit_b_32_goes_from_a_folder_to_embeddings(vit):
    folder = checkpoints.locate(str(vit), None)
    key = checkpoints.cache_key(folder)
    assert (len(key["weights"]), key["preprocessing"]["crop_size"]["height"]) == (64, 224)
    model = loading.load_encoder(folder, COMPUTE)
    tower = model.model.vision_model, model.model.visual_projection
    parameters = sum(weight.numel() for part in tower for weight in part.parameters())
    assert cost.image_cost(folder)["parameters"] == parameters == 87_849_216
    assert 4.3e9 < cost.image_cost(folder)["macs"] < 4.5e9  # published: 4.4 GMACs

    first, second, third = (
        row.tobytes() for row in embedding.embed_images(model, [picture(0), picture(1), picture(0)], 2)
    )
    assert first == third != second
    assert (
        np.frombuffer(first, np.float32).shape == embedding.embed_texts(model, ["a photo of a man"])[0].shape == (512,)
    )
    classes = embedding.embed_classes(model, ["handstand pushups", "yo yo"], ["a video of {}.", "a photo of {}."])
    assert np.linalg.norm(classes, axis=1) == pytest.approx([1, 1], abs=1e-6)


@pytest.fixture(scope="module")
def golden():
    """The real CLIP, where its weights are in the local hub cache, and the values published for it."""
    cached = try_to_load_from_cache(MODEL, "config.json", revision=REVISION)
    if not isinstance(cached, str):
        pytest.skip(f"{MODEL} at {REVISION} is not in the local hub cache")
    return loading.load_encoder(Path(cached).parent, COMPUTE), json.loads(reference("golden.json").read_text())


def test_the_real_clip_embeds_a_photograph_as_published(golden):
    model, published = golden[0], golden[1]["image"]
    (row,) = embedding.embed_images(model, [photograph()], 1)
    assert row[:5] == pytest.approx(published["first5"], abs=published["atol"])
    assert row.sum() == pytest.approx(published["sum"], abs=published["atol"] * 20)


def test_the_real_clip_embeds_texts_as_published(golden):
    model, published = golden[0], golden[1]["text"]
    man, woman = embedding.embed_texts(model, ["a photo of a man", "a photo of a woman"])
    assert man[:5] == pytest.approx(published["a photo of a man"]["first5"], abs=published["atol"])
    sums = [published[text]["sum"] for text in ("a photo of a man", "a photo of a woman")]
    assert [man.sum(), woman.sum()] == pytest.approx(sums, abs=published["atol"] * 20)


# Weights in several files, and pickled ones


def in_parts(folder, ending):
    """Rewrite a checkpoint's weights as two files and an index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    stem = "model" if ending == "safetensors" else "pytorch_model"
    names = sorted(weights)
    places = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        name = f"{stem}-{number:05d}-of-00002.{ending}"
        places |= dict.fromkeys(part, name)
        held = {key: weights[key] for key in part}
        if ending == "safetensors":
            save_file(held, folder / name, metadata={"format": "pt"})
        else:
            torch.save(held, folder / name)
    index = {"metadata": {}, "weight_map": places}
    (folder / f"{stem}.{ending}.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_weights_in_several_files_are_those_of_one(copy, loaded, ending):
    in_parts(copy, ending)
    assert checkpoints.locate("copy", None, pickled=ending == "bin") == copy
    ours = loading.load_encoder(copy, COMPUTE).model.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in loaded.model.state_dict().items())
    whole = checkpoints.cache_key(copy)["weights"]
    (part, *_) = checkpoints.weight_files(copy)
    part.write_bytes(part.read_bytes() + b" ")
    assert checkpoints.cache_key(copy)["weights"] != whole


def test_a_pickled_part_among_safetensors_is_refused(copy):
    in_parts(copy, "safetensors")
    index = copy / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-00002-of-00002.safetensors", "part.bin"))
    torch.save({}, copy / "part.bin")
    assert sentence_of(checkpoints.weight_files, copy) == (
        f"{index} names part.bin, which has another format; download the checkpoint again."
    )
    assert "a weight file that the index names is missing" in sentence_of(checkpoints.locate, "copy", None)


def test_a_part_of_the_weights_that_is_missing_is_named(copy):
    in_parts(copy, "safetensors")
    (copy / "model-00002-of-00002.safetensors").unlink()
    assert "a weight file that the index names is missing" in sentence_of(checkpoints.locate, "copy", None)
    wanted = "copy/model.safetensors.index.json names model-00002-of-00002.safetensors, which is not in copy; download"
    assert sentence_of(checkpoints.weight_files, copy).startswith(wanted)


def test_a_part_of_the_weights_outside_of_the_folder_is_refused(copy):
    in_parts(copy, "safetensors")
    shutil.move(copy / "model-00002-of-00002.safetensors", "outside.safetensors")
    index = copy / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-00002-of-00002", "../outside"))
    assert "a weight file that the index names is missing" in sentence_of(checkpoints.locate, "copy", None)


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_what_is_copied_is_safetensors_and_known_for_the_same(copy, loaded, ending, parts):
    if parts:
        in_parts(copy, ending)
    elif ending == "bin":
        torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
        (copy / "model.safetensors").unlink()
    out = copy.parent / "out"
    checkpoints.copy_checkpoint(copy, out)
    assert {path.suffix for path in out.iterdir()} <= {".safetensors", ".json", ".txt"}
    key = checkpoints.cache_key(copy)
    assert checkpoints.locate_same(key, str(out), None) == out
    ours = loading.load_encoder(out, COMPUTE).model.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in loaded.model.state_dict().items())


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("rb", "copy/config.json cannot be read (Input/output error); check its disk and run again."),
        (
            "wb",
            "out/config.json cannot be written (Input/output error); check its disk and run again: finished work is",
        ),
    ],
)
def test_a_copy_that_fails_names_the_file_whose_disk_fails(copy, monkeypatch, mode, wanted):
    class Failing(io.FileIO):
        def read(self, *_):
            raise OSError(errno.EIO, "Input/output error")

        write = read

    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, how="r", **rest: (Failing if how == mode else opened)(path, how, **rest)
    )
    assert sentence_of(checkpoints.copy_checkpoint, copy, Path("out")).startswith(wanted)
    assert list(Path("out").iterdir()) == []


def test_weights_that_are_pickled_alone_are_read_only_where_the_settings_or_their_name_allow_it(copy, monkeypatch):
    in_parts(copy, "bin")
    wanted = (
        "copy has pickled weights alone, in which errors of the reader can run programs; choose a checkpoint with "
        "safetensors, or set encoder.pickled_weights to true if you trust who made it."
    )
    key = checkpoints.cache_key(copy)
    assert sentence_of(checkpoints.locate, "copy", None) == wanted
    assert sentence_of(checkpoints.locate_same, key, "copy", None) == wanted
    # What an export brings along, its own settings cannot allow.
    assert sentence_of(checkpoints.locate_same, key, MODEL, REVISION, copy, True) == wanted
    assert checkpoints.locate_same(key, "copy", None, pickled=True) == copy
    monkeypatch.setattr(checkpoints.hub, "cached", lambda model, revision: copy)
    assert checkpoints.locate(MODEL, REVISION) == copy
    assert sentence_of(checkpoints.locate, "someone/clip", REVISION) == wanted


def test_pickled_weights_that_are_not_allowed_are_not_downloaded(monkeypatch):
    asked = []
    monkeypatch.setattr(checkpoints.hub, "cached", lambda model, revision: None)
    monkeypatch.setattr(checkpoints.hub, "file_names", lambda model, revision: {"config.json", "pytorch_model.bin"})
    monkeypatch.setattr(checkpoints.hub, "download", lambda model, *_: asked.append(model))
    assert sentence_of(checkpoints.locate, "someone/clip", None).startswith("someone/clip has pickled weights alone")
    assert asked == []
    sentence_of(checkpoints.locate, "someone/clip", None, True)
    sentence_of(checkpoints.locate, MODEL, None)
    assert asked == ["someone/clip", MODEL]


def test_a_hub_encoder_needs_leave_if_its_weights_are_pickled_and_it_is_not_that_of_the_paper(copy):
    assert not checkpoints.needs_leave("someone/clip", copy)
    in_parts(copy, "bin")
    assert checkpoints.needs_leave("someone/clip", copy)
    assert not checkpoints.needs_leave(MODEL, copy)


def test_pickled_weights_beside_safetensors_need_no_leave(copy):
    (copy / "pytorch_model.bin").write_bytes(b"not read")
    assert checkpoints.locate("copy", None) == copy


# Settings and files by which transformers loads other files


def settings(folder, name, **changes):
    """Change a JSON file of a checkpoint."""
    path = folder / name
    path.write_text(json.dumps((json.loads(path.read_text()) if path.is_file() else {}) | changes))


def other_weights(folder, name="other.safetensors"):
    weights = {key: torch.full_like(value, 7) for key, value in load_file(folder / "model.safetensors").items()}
    (torch.save if name.endswith(".bin") else save_file)(weights, folder / name)
    return name


REDIRECTIONS = {
    "pickled": lambda folder: settings(
        folder, "config.json", transformers_weights=other_weights(folder, "adapter_model.bin")
    ),
    "other file": lambda folder: settings(folder, "config.json", transformers_weights=other_weights(folder)),
    "in a part": lambda folder: settings(folder, "config.json", inner={"transformers_weights": other_weights(folder)}),
    "renamed": lambda folder: settings(
        folder, "config.json", attribute_map={"a": "transformers_weights"}, a=other_weights(folder)
    ),
    "other settings": lambda folder: (
        settings(folder, "config.4.0.0.json", transformers_weights=other_weights(folder)),
        settings(folder, "config.json", configuration_files=["config.4.0.0.json"]),
    ),
    "other tokens": lambda folder: (
        shutil.copyfile(folder / "tokenizer.json", folder / "tokenizer.4.0.0.json"),
        settings(folder, "tokenizer_config.json", fast_tokenizer_files=["tokenizer.4.0.0.json"]),
    ),
}


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("pickled", "config.json has the key 'transformers_weights'"),
        ("other file", "config.json has the key 'transformers_weights'"),
        ("in a part", "config.json has the key 'transformers_weights'"),
        ("renamed", "config.json has the key 'attribute_map'"),
        ("other settings", "config.json has the key 'configuration_files'"),
        ("other tokens", "tokenizer_config.json has the key 'fast_tokenizer_files'"),
    ],
)
def test_settings_that_name_other_files_are_refused_where_a_checkpoint_is_found_and_where_it_is_loaded(
    copy, monkeypatch, kind, place
):
    key = checkpoints.cache_key(copy)
    REDIRECTIONS[kind](copy)
    wanted = (
        f"copy/{place}, by which other files can be loaded than those that identify the checkpoint; remove the key, or "
        "choose another checkpoint."
    )
    assert sentence_of(checkpoints.locate, "copy", None) == wanted
    assert sentence_of(checkpoints.locate_same, key, MODEL, REVISION, copy) == wanted  # an export's copy
    assert sentence_of(loading.load_encoder, copy, COMPUTE) == wanted
    monkeypatch.setattr(checkpoints.hub, "cached", lambda model, revision: copy)
    assert sentence_of(checkpoints.locate, MODEL, REVISION) == wanted


def test_settings_that_name_other_files_are_refused_after_a_download(copy, monkeypatch):
    REDIRECTIONS["other file"](copy)
    monkeypatch.setattr(checkpoints.hub, "cached", lambda model, revision: None)
    monkeypatch.setattr(checkpoints.hub, "file_names", lambda model, revision: {"model.safetensors"})
    monkeypatch.setattr(checkpoints.hub, "download", lambda *_: copy)
    assert "has the key 'transformers_weights'" in sentence_of(checkpoints.locate, MODEL, REVISION)


@pytest.mark.parametrize(
    "name", ["adapter_config.json", "Adapter_Config.JSON", "shard-00000-model-00001-of-00001.safetensors"]
)
def test_files_with_more_weights_are_refused(copy, name):
    other_weights(copy, name)
    wanted = (
        f"copy/{name} can be loaded in place of the files that identify the checkpoint; remove it, or choose another "
        "checkpoint."
    )
    assert sentence_of(checkpoints.locate, "copy", None) == wanted
    assert sentence_of(loading.load_encoder, copy, COMPUTE) == wanted


@pytest.mark.parametrize("name", ["tekken.json", "tiktoken.model", "tokenizer.model"])
def test_another_vocabulary_is_refused_where_it_would_be_read(copy, name):
    (copy / name).write_text("{}")
    assert checkpoints.locate("copy", None) == copy
    model = json.loads((copy / "tokenizer.json").read_text())["model"]
    (copy / "tokenizer.json").unlink()
    (copy / "vocab.json").write_text(json.dumps(model["vocab"]))
    assert sentence_of(checkpoints.locate, "copy", None).startswith(f"copy/{name} can be loaded in place of ")


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_code_for_attention_from_the_hub_is_refused(copy, key):
    for known in ("sdpa", {"": "eager", "vision_config": "flex_attention"}):
        settings(copy, "config.json", **{key: known})
        assert checkpoints.locate("copy", None) == copy
    settings(copy, "config.json", inner={key: "kernels-community/flash-attn2"})
    assert sentence_of(checkpoints.locate, "copy", None) == (
        f"copy/config.json has {key!r} 'kernels-community/flash-attn2', for which code could come from the hub; remove "
        "the key, or choose another checkpoint."
    )


@pytest.mark.parametrize("entry", [{"attn_implementation": {"": "a/b"}}, {"quantization_config": {"bits": 4}}])
def test_other_code_from_the_hub_is_refused(copy, entry):
    settings(copy, "config.json", **entry)
    assert ", for which code could come from the hub; " in sentence_of(checkpoints.locate, "copy", None)


def test_other_preprocessing_beside_that_of_the_key_is_refused(copy):
    same = json.loads((copy / "preprocessor_config.json").read_text())
    settings(copy, "processor_config.json", image_processor=same)
    assert checkpoints.locate("copy", None) == copy
    settings(copy, "processor_config.json", image_processor=same | {"image_mean": [0, 0, 0]})
    assert sentence_of(checkpoints.locate, "copy", None) == (
        "copy/processor_config.json has another 'image_processor' than preprocessor_config.json; keep the right one of "
        "both files, or choose another checkpoint."
    )


def test_added_tokens_belong_to_the_key(copy, loaded):
    before = checkpoints.cache_key(copy)
    settings(copy, "added_tokens.json", star=1)
    assert loading.load_encoder(copy, COMPUTE).tokenizer("a star") != loaded.tokenizer("a star")
    assert checkpoints.cache_key(copy)["tokenizer"].keys() - before["tokenizer"].keys() == {"added_tokens.json"}


class Program:
    """What is written to a file as soon as it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_weights_with_a_program_are_refused_and_it_is_not_run(copy, zipped):
    (copy / "model.safetensors").unlink()
    torch.save({"a": Program()}, copy / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert sentence_of(loading.load_encoder, copy, COMPUTE).startswith("copy does not load as a checkpoint of")
    wanted = "copy/pytorch_model.bin does not contain tensors alone; download it again."
    assert sentence_of(checkpoints.copy_checkpoint, copy, Path("out")) == wanted
    assert not Path("executed").exists()


@pytest.mark.parametrize("crop", [True, False])
def test_preprocessing_that_cuts_nothing_off(copy, crop):
    settings = {**HUB_PREPROCESSING, "crop_size": None, "do_center_crop": crop, "size": {"height": 224, "width": 224}}
    (copy / "preprocessor_config.json").write_text(json.dumps(settings))
    model = loading.load_encoder(copy, COMPUTE)
    assert embedding.preprocess(model, np.zeros((48, 64, 3), np.uint8))["pixel_values"].shape == (3, 224, 224)


def test_preprocessing_without_a_cut_that_leaves_another_shape_is_refused(copy):
    settings = {**HUB_PREPROCESSING, "crop_size": None, "size": {"shortest_edge": 224}}
    (copy / "preprocessor_config.json").write_text(json.dumps(settings))
    wanted = "copy: preprocessor_config.json cuts 298x224 pixels, but config.json wants 224x224; get it again."
    assert sentence_of(loading.load_encoder, copy, COMPUTE) == wanted
