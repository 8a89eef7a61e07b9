import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from builders import CHECKOUT, put_params, run_python, sentence_of

from mocliplite import params, yaml_text

pytestmark = pytest.mark.usefixtures("folder")

COMPLETE = ["params.yaml", *sorted(str(path.relative_to(CHECKOUT)) for path in CHECKOUT.glob("configs/*.yaml"))]
complete = pytest.mark.parametrize("file", COMPLETE)


def with_line(old, new):
    """Write the params.yaml of the project with one text, which occurs once, replaced."""
    text = (CHECKOUT / "params.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    Path("params.yaml").write_text(text.replace(old, new), encoding="utf-8")


def error_of(old, new):
    with_line(old, new)
    return sentence_of(params.load)


# Complete files


def test_there_is_a_complete_file_per_data_set():
    assert COMPLETE == ["params.yaml", "configs/folder.yaml", "configs/hmdb51.yaml", "configs/ucf101.yaml"]


@complete
def test_a_complete_file_loads(file, monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    given = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    loaded = params.load(file)
    assert (loaded.dataset.root, loaded.dataset.group) == (given["dataset"]["root"], given["dataset"]["group"])
    assert (loaded.motion.cell_size, loaded.encoder.model) == (given["motion"]["cell_size"], given["encoder"]["model"])
    assert (list(loaded.motion_net.views), loaded.head.lr) == (given["motion_net"]["views"], given["head"]["lr"])
    assert loaded.compute.workers == given["compute"]["workers"]


@complete
def test_a_complete_file_has_the_declared_settings_in_their_order(file):
    given = yaml.safe_load((CHECKOUT / file).read_text(encoding="utf-8"))
    assert [f"{section}.{key}" for section, keys in given.items() for key in keys] == params.keys()


def test_keys_lists_the_settings_of_all_sections():
    assert len(params.keys()) == 13 + 5 + 11 + 27 + 14 + 9


@complete
def test_every_setting_has_a_comment(file):
    lines = (CHECKOUT / file).read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if re.match(r"  \w+:", line)]
    assert [line for line in settings if not re.search(r" # \S", line)] == []
    assert len(settings) == len(params.keys())


@complete
def test_learning_rates_are_numbers_and_not_text(file):
    # PyYAML reads 1e-4 as text.
    given = yaml.safe_load((CHECKOUT / file).read_text(encoding="utf-8"))
    assert {type(given[section]["lr"]) for section in ("motion_net", "head")} == {float}


# One key

UNFLIPPED = "it must be without flip where motion_net.flip is false"
DEVICES = "it must be cpu or cuda or auto"
VIEWS = "it must be plain or flip or shift"
ORDER = "it must be plain, optionally followed by flip, shift or both"
ROOT = "it must be the folder of the clips"


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("hidden: 512", "hiden: 3", "head.hiden is not a setting; the nearest is head.hidden."),
        ("head:\n", "heads:\n", "heads is not a setting; the nearest is head."),
        ("  hidden: 512", "", "head.hidden is missing; add it, as in the files in configs/."),
        ("motion:\n  cell_size: 8 ", "#", "motion is missing; add it, as in the files in configs/."),
        ("hidden: 512", "hidden: -1", "head.hidden is -1; it must be at least 1."),
        ("hidden: 512", "hidden: true", "head.hidden is True; it must be a whole number such as 256."),
        ("hidden: 512", "hidden: 2.0", "head.hidden is 2.0; it must be a whole number such as 256."),
        ("hidden: 512", "hidden:", "head.hidden is None; it must be a whole number such as 256."),
        ("flip: true", "flip: 1", "motion_net.flip is 1; it must be true or false."),
        ("lr: 2.0e-3", "lr: fast", "head.lr is 'fast'; it must be a number such as 1.0e-4."),
        ("lr: 2.0e-3", "lr: true", "head.lr is True; it must be a number such as 1.0e-4."),
        ("lr: 2.0e-3", "lr: .nan", "head.lr is nan; it must be a number such as 1.0e-4."),
        ("lr: 2.0e-3", "lr: .inf", "head.lr is inf; it must be a number such as 1.0e-4."),
        ("lr: 2.0e-3", "lr: -.inf", "head.lr is -inf; it must be a number such as 1.0e-4."),
        ("lr: 2.0e-3", "lr: 0", "head.lr is 0.0; it must be above 0 and at most 10."),
        ("model: sample/data/clip", "model: 5", "encoder.model is 5; it must be text."),
        ("cell_size: 8", "cell_size: 9", "motion.cell_size is 9; it must be 8 or 16."),
        ("cell_size: 8", "cell_size: 8.0", "motion.cell_size is 8.0; it must be 8 or 16."),
        ("cell_size: 8", "cell_size: '8'", "motion.cell_size is '8'; it must be 8 or 16; the nearest is 8."),
        ("device: auto", "device: cdua", f"compute.device is 'cdua'; {DEVICES}; the nearest is cuda."),
        ("class_weight: null", "class_weight: none", "head.class_weight is 'none'; it must be null or balanced."),
        ("pick: middle", "pick: zzz", "encoder.pick is 'zzz'; it must be middle or key."),
        ("[plain, flip, shift]", "plain", "motion_net.views is 'plain'; it must be a list such as [plain, flip]."),
        ("[plain, flip, shift]", "[plain, flop]", f"motion_net.views is 'flop'; {VIEWS}; the nearest is flip."),
        ("[plain, flip, shift]", "[flip]", f"motion_net.views is ['flip']; {ORDER}."),
        ("[plain, flip, shift]", "[plain, plain]", f"motion_net.views is ['plain', 'plain']; {ORDER}."),
        ("flip: true", "flip: false", f"motion_net.views is ['plain', 'flip', 'shift']; {UNFLIPPED}."),
        (
            "  temporal_crop: 0.08",
            "  temporal_crop: 0.5",
            "motion_net.temporal_crop is 0.5; it must be at least 0 and below 0.5.",
        ),
        ("  shift: 0.06", "  shift: 1.5", "motion_net.shift is 1.5; it must be from 0 to 1."),
        ("crops: 1 ", "crops: 5 ", "motion_net.crops is 5; it must be 1 or 10."),
        ("batch: 16", "batch: 1", "motion_net.batch is 1; it must be at least 2."),
        ("max_failed: 0.02", "max_failed: 1.01", "dataset.max_failed is 1.01; it must be from 0 to 1."),
        ("test: 0.2 ", "test: 1 ", "dataset.test is 1.0; it must be above 0 and below 1."),
        ("folds: null", "folds: 1", "dataset.folds is 1; it must be null or at least 2."),
        ("root: sample/data/clips", "root: ''", f"dataset.root is ''; {ROOT}."),
        ("workers: 2", "workers: 0", "compute.workers is 0; it must be from 1 to 1024."),
        ("threads: 2", "threads: -1", "compute.threads is -1; it must be from 0 to 1024."),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_with_one_sentence(old, new, wanted):
    assert error_of(old, new) == f"params.yaml: {wanted}"


SLASH = "an address without a password and without a slash at its end"


@pytest.mark.parametrize(
    ("root", "files", "wanted"),
    [
        ("sftp://ann:secret@host/clips", "m.csv", f"root is 'sftp://ann:secret@host/clips'; it must be {SLASH}."),
        ("s3://bucket/clips/", "m.csv", f"root is 's3://bucket/clips/'; it must be {SLASH}."),
        *(
            (
                "s3://bucket/clips",
                files,
                f"files is '{files}'; it must be the file of a manifest, such as clips_manifest.csv, because"
                " s3://bucket/clips is an address.",
            )
            for files in ("s3://bucket/clips", "s3://bucket/m.csv", "configs/none")
        ),
    ],
)
def test_an_address_without_a_manifest_is_refused(root, files, wanted):
    given = vars(params.load(CHECKOUT / "params.yaml").dataset)
    assert params.Dataset(**{**given, "root": "s3://bucket/clips", "files": "m.csv"}).has_manifest
    changed = {**given, "root": root, "files": files}
    assert sentence_of(lambda: params.Dataset(**changed)) == f"params.yaml: dataset.{wanted}"


@pytest.mark.parametrize(
    "key", ["dataset.root", "dataset.files", "dataset.include", "encoder.model", "encoder.names", "compute.scheduler"]
)
def test_a_text_with_a_character_that_no_path_can_contain_is_refused(key):
    given = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    section, name = key.split(".")
    given[section][name] = "\0a"
    assert sentence_of(params.parse, yaml.safe_dump(given)) == (
        f"params.yaml: {key} is '\\x00a'; it must be text without the character NUL, \\0."
    )


@pytest.mark.parametrize("watched", ["configs/none", "weights/other"])
def test_a_folder_of_initial_weights_must_be_watched(watched):
    Path("weights").mkdir()
    text = (CHECKOUT / "params.yaml").read_text(encoding="utf-8").replace("  pretrained: null", "  pretrained: weights")
    given = text.replace("  pretrained_files: configs/none", f"  pretrained_files: {watched}")
    assert sentence_of(params.parse, given) == (
        f"params.yaml: motion_net.pretrained_files is '{watched}'; it must be 'weights' as well, so that DVC watches "
        "that folder."
    )
    assert params.parse(given.replace(watched, "./weights/")).motion_net.pretrained == "weights"


def test_a_hub_id_of_initial_weights_needs_no_watched_folder():
    text = (CHECKOUT / "params.yaml").read_text(encoding="utf-8")
    given = text.replace("  pretrained: null", "  pretrained: google/efficientnet-b0")
    assert params.parse(given).motion_net.pretrained_files == params.NO_PATH


@pytest.mark.parametrize("text", ["1e-05", "1e-5", "1.0e-5", "'1e-05'", "0.00001", "1E-5"])
def test_a_number_is_accepted_however_it_is_written(text):
    # DVC writes 1e-05 for `-S head.lr=1.0e-5`, which YAML reads as text.
    given = (CHECKOUT / "params.yaml").read_text(encoding="utf-8").replace("  lr: 2.0e-3", f"  lr: {text}")
    assert params.parse(given).head.lr == 1e-5


@pytest.mark.parametrize("key", ["motion_net.seed", "dataset.seed"])
@pytest.mark.parametrize("value", [-1, 2**31, 10**30])
def test_a_seed_that_no_generator_takes_is_refused(key, value):
    given = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    section, name = key.split(".")
    given[section][name] = value
    assert sentence_of(params.parse, yaml.safe_dump(given)).startswith(f"params.yaml: {key} is {value}; it must be at ")


@pytest.mark.parametrize(
    "key",
    [
        "encoder.batch",
        "encoder.frames",
        "motion_net.rows",
        "motion_net.width",
        "head.hidden",
        "head.seeds",
        "head.epochs",
    ],
)
def test_a_number_that_no_machine_can_work_with_is_refused(key):
    given = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    section, name = key.split(".")
    given[section][name] = 2_000_000_000
    assert sentence_of(params.parse, yaml.safe_dump(given)).startswith(
        f"params.yaml: {key} is 2000000000; it must be at most "
    )


def test_settings_without_the_limits_have_their_defaults():
    given = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    for key in ("max_pixels", "max_frames", "max_memory"):
        del given["compute"][key]
    assert params.parse(yaml.safe_dump(given)).compute == params.load(CHECKOUT / "params.yaml").compute


def test_a_key_that_resembles_no_setting_is_refused():
    assert error_of("hidden: 512", "7: 3").startswith("params.yaml: head.7 is not a setting; the nearest is head.")


def test_long_keys_and_values_are_shortened():
    put_params()
    given = yaml.safe_load(Path("params.yaml").read_text())
    wanted = f"head.{'x' * 200}... is not a setting; the nearest is head."
    Path("params.yaml").write_text(yaml.safe_dump({**given, "head": {"x" * 10_000: 1}}))
    assert sentence_of(params.load).startswith(f"params.yaml: {wanted}")
    Path("params.yaml").write_text(yaml.safe_dump({**given, "head": "x" * 10_000}))
    assert sentence_of(params.load).startswith(f"params.yaml: head is '{'x' * 199}...; it must have the keys hidden, ")


@pytest.mark.parametrize("group", ["'_g01'", r"'_(g\d+)_(c\d+)'", "'_(g'", "''"])
def test_a_group_pattern_must_have_one_capture_group(group):
    sentence = error_of(r"""'_(g\d+)_c\d+'""", group)
    value = yaml.safe_load(group)
    assert (
        sentence
        == f"params.yaml: dataset.group is {value!r}; it must be null or a regular expression with one capture group."
    )


def test_a_group_pattern_may_have_groups_that_do_not_capture():
    with_line(r"""'_(g\d+)_c\d+'""", r"""'_(?:g|G)(\d+)_'""")
    assert params.load().dataset.group == r"_(?:g|G)(\d+)_"


@pytest.mark.parametrize(("folds", "split", "allowed"), [("null", 2, "1 to 1"), ("3", 4, "1 to 3")])
def test_without_lists_split_must_be_one_of_the_folds(folds, split, allowed):
    put_params(lists=params.NO_PATH, folds=yaml.safe_load(folds), split=split)
    wanted = f"params.yaml: dataset.split is {split}; it must be {allowed}, the number of dataset.folds."
    assert sentence_of(params.load) == wanted


def test_a_local_clip_folder_must_be_watched_by_dvc():
    put_params()
    given = yaml.safe_load(Path("params.yaml").read_text())
    given["encoder"].update(model="my_clip", files=params.NO_PATH)
    Path("params.yaml").write_text(yaml.safe_dump(given))
    params.load()  # my_clip does not exist, so it may be a hub id
    Path("my_clip").mkdir()
    wanted = (
        "encoder.files is 'configs/none'; it must be 'my_clip' as well, so that DVC watches the folder encoder.model."
    )
    assert sentence_of(params.load) == f"params.yaml: {wanted}"


def test_a_whole_number_is_accepted_as_a_number():
    with_line("lr: 2.0e-3", "lr: 1")
    assert (params.load().head.lr, type(params.load().head.lr)) == (1.0, float)


# The file


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "params.yaml contains no settings; copy a file from configs/."),
        ("- 1\n", "params.yaml contains no settings; copy a file from configs/."),
    ],
)
def test_a_file_without_settings_is_refused(text, wanted):
    Path("params.yaml").write_text(text)
    assert sentence_of(params.load) == wanted


def test_a_section_that_is_not_a_mapping_is_refused():
    put_params()
    given = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump({**given, "head": 8}))
    declared = params.keys()
    names = ", ".join(key.removeprefix("head.") for key in declared if key.startswith("head."))
    assert sentence_of(params.load) == f"params.yaml: head is 8; it must have the keys {names}."


@pytest.mark.parametrize("text", [b"head: [1\n", b"head:\n\thidden: 1\n", b"\xff\xfe\xfa", b"{[1]: 2}\n"])
def test_a_file_that_is_not_yaml_is_refused_with_one_line(text):
    Path("params.yaml").write_bytes(text)
    sentence = sentence_of(params.load)
    assert sentence.startswith("params.yaml is not valid YAML: ")
    assert "\n" not in sentence


def test_a_missing_file_is_refused():
    assert sentence_of(params.load) == "params.yaml does not exist; run this in the project folder."


def test_a_folder_is_refused():
    Path("params.yaml").mkdir()
    assert sentence_of(params.load) == "params.yaml is a folder; give a file."


def test_a_stage_stops_at_an_unknown_key_before_any_work():
    with_line("hidden: 512", "hiden: 3")
    result = run_python("-m", "stages.train_head")
    wanted = "error: params.yaml: head.hiden is not a setting; the nearest is head.hidden.\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", wanted)
    assert [path.name for path in Path().iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    ("new", "old", "wanted"),
    [
        ("encoder:\n", "clip:\n", "clip is now called encoder; rename it."),
        ("cell_size: 8", "cell: 8", "motion.cell is now called motion.cell_size; rename it."),
        (
            "remove_global_motion: true",
            "camera: true",
            "motion_net.camera is now called motion_net.remove_global_motion; rename it.",
        ),
        ("speed_jitter: 0.1", "pace: 0.1", "motion_net.pace is now called motion_net.speed_jitter; rename it."),
        ("temporal_crop: 0.08", "trim: 0.08", "motion_net.trim is now called motion_net.temporal_crop; rename it."),
        ("stream_dropout: 0.0", "drop_stream: 0.0", "head.drop_stream is now called head.stream_dropout; rename it."),
        (
            "arch: motion_histogram",
            "arch: grid",
            "motion_net.arch is 'grid'; it must be motion_histogram or efficientnet_b0; "
            "it is now called motion_histogram.",
        ),
    ],
)  # fmt: skip
def test_an_earlier_name_is_refused_with_the_new_one(new, old, wanted):
    assert error_of(new, old) == f"params.yaml: {wanted}"


def test_clips_of_several_classes_have_no_class_weight():
    settings = params.load(CHECKOUT / "params.yaml")
    balanced = replace(settings.head, class_weight="balanced")
    several = replace(settings.dataset, multi_label=True)
    assert replace(settings, head=balanced).head.class_weight == "balanced"
    wanted = "params.yaml: head.class_weight is 'balanced'; it must be null with dataset.multi_label."
    assert sentence_of(lambda: replace(settings, head=balanced, dataset=several)) == wanted


def bomb():
    """Ten lines that stand for 9 ** 10 values."""
    levels = [f"&a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 10)]
    return "dataset:\n  root:\n  - &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(f"  - {level}\n" for level in levels)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (bomb(), 4),
        ("dataset: &all\n  root: *all\n", 2),
        ("dataset: !!python/object/apply:os.system ['touch pwned']\n", 1),
        ("dataset: !!float abc\n", 1),
        ("[" * 100_000, 1),
    ],
)
def test_aliases_tags_and_deep_nesting_are_refused(text, line):
    Path("params.yaml").write_text(text)
    assert sentence_of(params.load) == (
        f"params.yaml line {line} has an alias, a tag or deep nesting; write plain values."
    )
    assert [path.name for path in Path().iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("dataset:\n  root: a\n  'root': b\n", 3, "root"),
        ("dataset:\n  root: a\nhead:\n  lr: 1\ndataset:\n  val: 0.5\n", 5, "dataset"),
        ("dataset:\n  files: [{a: 1, a: 2}]\n", 2, "a"),
    ],
)
def test_a_key_that_is_given_twice_is_refused(text, line, key):
    Path("params.yaml").write_text(text)
    wanted = f"params.yaml line {line} gives {key} a second time; remove one of the two."
    assert sentence_of(params.load) == wanted


def test_a_section_that_contains_itself_does_not_stop_a_stage_from_answering():
    Path("dvc.yaml").write_bytes((CHECKOUT / "dvc.yaml").read_bytes())
    Path("params.yaml").write_text("dataset: &all\n  root: *all\n")
    result = run_python("-m", "stages.train_head")
    wanted = "error: params.yaml line 2 has an alias, a tag or deep nesting; write plain values.\n"
    assert (result.returncode, result.stderr) == (1, wanted)


@pytest.mark.parametrize("name", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize("value", [r'"clips\ud800"', r'{"\udc00": 1}'])
def test_half_of_a_character_is_refused_whichever_library_reads_the_settings(value, name, monkeypatch):
    monkeypatch.setattr(yaml_text, "loader", lambda: getattr(yaml, name))
    Path("params.yaml").write_text(f"dataset: {value}\n")
    assert sentence_of(params.load).startswith("params.yaml is not valid YAML: ")


@pytest.mark.parametrize("value", ["2001-99-99", "1" * 5000])
def test_a_value_that_python_cannot_hold_is_refused_with_one_line(value):
    Path("params.yaml").write_text(f"dataset: {value}\n")
    sentence = sentence_of(params.load)
    assert sentence.startswith("params.yaml is not valid YAML: ")
    assert "\n" not in sentence
