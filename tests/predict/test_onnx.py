"""`export --format onnx`: a folder that answers as torch does, and needs neither torch nor transformers."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from builders import CHECKOUT, put, sentence_of
from declared import EXTRAS, PROJECT, distributions, imported_modules

from mocliplite.csv_files import read_csv
from mocliplite.files import read_json
from mocliplite.motion import extraction
from mocliplite.predict import decoding, models, onnx_card, onnx_export, onnx_int8, onnx_models
from mocliplite.predict.export import export
from mocliplite.predict.onnx_heads import AnswerGraph
from mocliplite.predict.recognizer import COMPUTE, Recognizer

onnxruntime = pytest.importorskip("onnxruntime", reason="graphs are run by onnxruntime")
pytest.importorskip("onnxscript", reason="graphs are written by onnxscript")

INLINE = replace(COMPUTE, engine="inline", device="cpu", threads=1)
SHARED = CHECKOUT.parent / "shared/data"
FOOTAGE = ("clips/pool_short.mp4", "clips/arm_wrestling.mp4", "clips/v_ApplyEyeMakeup_packed_b.avi")
WEIGHTS_FROM = 1024  # bytes of a tensor that goes to a file of its own
# What `pip install "mocliplite[predict]"` does not install.
INSTALLED = distributions([*PROJECT["dependencies"], *EXTRAS["predict"]])
ABSENT = [
    *(
        module
        for package, modules in imported_modules("mocliplite").items()
        if package not in INSTALLED
        for module in modules
    ),
    *("onnx", "onnxscript", "sklearn"),
]


@pytest.fixture
def exported(exports):
    return exports / "onnx"


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory):
    """The environment of a process, and of those that it starts, in which the modules of ABSENT cannot be imported."""
    folder = tmp_path_factory.mktemp("absent")
    line = "raise ModuleNotFoundError(f'No module named {__name__!r}', name=__name__)"
    put(folder, {f"{name}.py": line for name in ABSENT})
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(CHECKOUT)])}


def clips_of(recognizer, paths):
    keyframes = recognizer.provenance["keyframes"]
    motion = extraction.settings_of(recognizer.provenance["motion_embeddings"]["motion"])
    return [decoding.decode(str(path), keyframes["frames"], keyframes["pick"], motion) for path in paths]


def test_features_and_answers_are_those_of_torch(small_project, exported):
    with_torch, with_onnx = Recognizer.load("models", INLINE), Recognizer.load(exported, INLINE)
    clips = clips_of(
        with_torch, [f"clips/{label}/{number}.avi" for label in ("Falling", "Rolling") for number in (0, 7)]
    )
    clips += clips_of(with_torch, [SHARED / name for name in FOOTAGE if (SHARED / name).is_file()])
    expected, _ = with_torch.features(clips)
    found, _ = with_onnx.features(clips)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype == np.float32
        np.testing.assert_allclose(found[name], values, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(
        with_onnx.answers(found).probabilities, with_torch.answers(expected).probabilities, atol=1e-4
    )
    # A clip's values do not depend on the others.
    alone, _ = with_onnx.features(clips[1:2])
    assert all(np.array_equal(alone[name][0], found[name][1]) for name in found)


def test_the_graph_of_the_heads_gives_the_probabilities_of_predict(small_project, exported):
    recognizer = Recognizer.load(exported, INLINE)
    features, _ = recognizer.features(clips_of(recognizer, ["clips/Rolling/1.avi", "clips/Resting/2.avi"]))
    session = onnxruntime.InferenceSession(exported / "onnx/heads.onnx", providers=["CPUExecutionProvider"])
    inputs = features | {"motion": features["motion"][:, 0]}
    assert [one.name for one in session.get_inputs()] == ["keyframe", "motion", "motion_logits"]
    (probabilities,) = session.run(["probabilities"], inputs)
    np.testing.assert_allclose(probabilities, recognizer.answers(features).probabilities, atol=1e-5)


def run(environment, folder, *words, stdin=None):
    command = [sys.executable, "-m", "mocliplite", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, stdin=stdin, capture_output=True, text=True, check=False
    )


def test_clips_windows_and_streams_are_classified_without_torch(small_project, exported, without_torch, tmp_path):
    clip = str(small_project / "clips/Rolling/7.avi")
    expected = Recognizer.load("models", INLINE)(clip)
    done = run(without_torch, tmp_path, "predict", "--model", str(exported), "--json", clip)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert found["classes"][0]["class"] == expected[0][0]
    assert found["classes"][0]["probability"] == pytest.approx(expected[0][1], abs=1e-3)

    done = run(without_torch, tmp_path, "predict", "--model", str(exported), "--window", "0.3", clip)
    assert done.returncode == 0, done.stderr
    assert "  windows: " in done.stdout
    with Path(clip).open("rb") as stream:
        words = ("watch", "--model", str(exported), "--window", "0.3", "-")
        done = run(without_torch, tmp_path, *words, stdin=stream)
    assert done.returncode == 0, done.stderr
    assert ", dropped: 0" in done.stderr


def test_models_for_torch_are_refused_in_one_sentence_without_it(small_project, without_torch):
    done = run(without_torch, small_project, "predict", "clips/Rolling/7.avi")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        'error: predict needs torch, which is not installed; run `pip install ".[train]"`.'
    )


def test_the_demo_answers_without_torch(small_project, exported, without_torch):
    code = (
        "import sys; sys.path.pop(0)  # no module is absent but torch and transformers\n"
        "sys.modules.update(torch=None, transformers=None)\n"
        "from mocliplite.cli import _demo; from mocliplite.predict import Recognizer\n"
        f"print(_demo.classify(Recognizer.load({str(exported)!r}), 'clips/Rolling/7.avi')[0])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("<strong>"), done.stderr


def test_equal_models_give_equal_bytes(small_project, exported, tmp_path):
    trained = models.load_models("models")
    graph = AnswerGraph(trained.head, trained.probes, trained.head_config["calibration"])
    onnx_export._write(tmp_path / "heads.onnx", graph, onnx_export._features(trained), ["probabilities"])
    written = (tmp_path / "heads.onnx").read_bytes()
    assert written == (exported / "onnx/heads.onnx").read_bytes()
    for name in ("heads", "image", "motion"):
        graph = (exported / f"onnx/{name}.onnx").read_bytes()
        assert str(CHECKOUT).encode() not in graph
        assert b"site-packages" not in graph


def test_an_encoder_in_int8_tells_its_figures_on_validation_clips(small_project, exported, tmp_path):
    graphs = Path(shutil.copytree(exported / "onnx", tmp_path / "onnx"))
    config, trained = read_json(graphs / "config.json"), models.load_models("models")
    exact = onnx_int8.validation_figures(onnx_models.networks_of(graphs, config, INLINE), trained)
    val = [row["id"].split("__") for row in read_csv("features/splits.csv") if row["split"] == "val"]
    answers = Recognizer.load("models", INLINE).predict(f"clips/{label}/{name}.avi" for label, name in val)
    right = [answer.classes[0][0] == label for answer, (label, _) in zip(answers, val, strict=True)]
    assert exact["clips"] == len(val) > 0
    assert exact["top1"] == pytest.approx([np.mean(right)] * 2, abs=1e-3)
    assert exact["log_loss"][0] == pytest.approx(exact["log_loss"][1], abs=1e-3)
    onnx_int8.quantise(graphs / "image.onnx")
    assert b"MatMulInteger" in (graphs / "image.onnx").read_bytes()
    rounded = onnx_int8.validation_figures(onnx_models.networks_of(graphs, config, INLINE), trained)
    assert rounded["log_loss"][0] == exact["log_loss"][0]
    assert 0 < abs(rounded["log_loss"][1] - rounded["log_loss"][0]) < 0.1
    text = onnx_card.graphs_section(trained, config | {"int8": rounded})
    assert f"On {rounded['clips']} validation clips, the top-1 of the answer is {rounded['top1'][1]:.4f}, and" in text


def test_the_folder_has_graphs_in_place_of_the_encoder_and_describes_them(exported):
    assert sorted(path.name for path in exported.iterdir()) == [
        *("README.md", "head", "motion", "onnx", "probes", "prompts")
    ]
    for name in ("heads", "image", "motion"):
        graph = onnxruntime.InferenceSession(exported / f"onnx/{name}.onnx", providers=["CPUExecutionProvider"])
        assert {value.shape[0] for value in [*graph.get_inputs(), *graph.get_outputs()]} == {"rows"}
    card = (exported / "README.md").read_text()
    assert "`image.onnx`: `pixels` [N, 3, 32, 32] to `image_embedding` [N, 8]." in card
    assert "resized by Pillow's bicubic filter to a shortest edge of 32 pixels, then the 32 x 32 pixels" in card
    assert "{" not in card


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("onnx/motion.onnx", "{}/onnx/motion.onnx cannot be loaded ("),
        ("motion/config.json", "{}/head was not made from this {}/motion, but from another version"),
        ("onnx/config.json", "{}/onnx/config.json is damaged ("),
    ],
)
def test_a_damaged_file_is_named(exported, tmp_path, name, sentence):
    copy = shutil.copytree(exported, tmp_path / "copy")
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content.replace(b"{", b"{ ", 1) if name == "motion/config.json" else content[:-40])
    assert sentence_of(Recognizer.load, copy, INLINE).startswith(sentence.format(copy, copy))


@pytest.mark.parametrize(("key", "name"), [("encoder", "head"), ("motion", "motion")])
def test_graphs_of_other_models_are_refused(exported, tmp_path, key, name):
    copy = shutil.copytree(exported, tmp_path / "copy")
    config = json.loads((copy / "onnx/config.json").read_text())
    (copy / "onnx/config.json").write_text(json.dumps(config | {key: "0" * 64}))
    assert sentence_of(Recognizer.load, copy, INLINE) == (
        f"{copy}/onnx was not made from this {copy}/{name}, but from another version; run `dvc repro`."
    )


def test_what_a_graph_cannot_do_is_refused_before_anything_is_written(small_project, exported, tmp_path):
    assert sentence_of(Recognizer.load, exported, replace(INLINE, device="cuda")) == (
        f"{exported} has ONNX graphs, which are run on the CPU; leave out --device."
    )
    assert sentence_of(export, tmp_path / "out", True, "models", True) == (
        "--format onnx writes the encoder as a graph; leave out --with-clip."
    )
    assert sentence_of(export, tmp_path / "out", False, "models", False, True) == (
        "--int8 is for ONNX graphs; add --format onnx."
    )
    trained = models.load_models("models")
    features = trained.head_config["features"]
    bfloat16 = {"keyframes": features["keyframes"] | {"dtype": "bfloat16"}}
    config = trained.head_config | {"features": features | bfloat16}
    refused = replace(trained, head_config=config)
    assert sentence_of(onnx_export.write_graphs, tmp_path / "out", refused, Path("models"), Path("clip")) == (
        "encoder.dtype is bfloat16, but ONNX graphs compute in float32; export without --format onnx."
    )
    assert not (tmp_path / "out").exists()


def test_without_onnxruntime_the_sentence_says_what_to_install(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert sentence_of(Recognizer.load, exported, INLINE) == (
        f'{exported}/onnx/image.onnx needs onnxruntime, which is not installed; run `pip install ".[predict]"`.'
    )


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("onnxscript", 'needs onnxscript, which is not installed; run `pip install ".[onnx]"`.'),
        (
            "onnxscript.for_torch",
            "needs another version of onnxscript (No module named 'onnxscript.for_torch'); "
            "run `pip install --upgrade onnxscript`.",
        ),
    ],
)
def test_an_export_says_which_package_is_missing_or_too_old(small_project, tmp_path, monkeypatch, missing, sentence):
    def refuse(*args, **kwargs):
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr("torch.onnx.export", refuse)
    exporting = partial(export, with_clip=False, onnx=True)
    assert sentence_of(exporting, tmp_path / "out") == f"--format onnx {sentence}"
    assert not (tmp_path / "out").exists()


@pytest.fixture
def graph_of_a_file(exported, tmp_path, monkeypatch):
    """A copy of an export whose motion network has its weights in weights.bin, in its folder and in the current one."""
    import onnx

    folder = shutil.copytree(exported, tmp_path / "recogniser")
    path = folder / "onnx/motion.onnx"
    # Smaller values, such as the bounds of a slice, must stay: onnxruntime needs them to find the shapes.
    onnx.save_model(
        onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=WEIGHTS_FROM
    )
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(folder / "onnx/weights.bin", "weights.bin")
    return folder


def test_a_graph_with_its_weights_in_another_file_is_refused(graph_of_a_file):
    assert sentence_of(Recognizer.load, graph_of_a_file, INLINE) == (
        f"{graph_of_a_file}/onnx/motion.onnx has weights in another file, which is not read; export the models again."
    )


def test_a_longer_spelling_of_the_length_does_not_hide_the_name_of_a_file(tmp_path):
    # A graph with one weight "w", whose entry (field 13) is a key of 8 letters and a value; each length has two bytes.
    def field(number, content):
        return bytes([number << 3 & 0x7F | 0x82, number >> 4, len(content) & 0x7F | 0x80, len(content) >> 7]) + content

    entry = field(1, b"location") + field(2, b"weights.bin")
    weight = b"\x08\x01\x10\x01" + field(8, b"w") + field(13, entry) + b"\x70\x01"
    (tmp_path / "graph.onnx").write_bytes(b"\x08\x08" + field(7, field(5, weight)))
    import onnx

    (read,) = onnx.load(tmp_path / "graph.onnx", load_external_data=False).graph.initializer
    assert (read.external_data[0].key, read.external_data[0].value) == ("location", "weights.bin")
    assert "has weights in another file" in sentence_of(onnx_models._session, tmp_path / "graph.onnx", INLINE)
