"""The whole pipeline on the embedded sample, in a fresh copy of the project, and what users do with its results.

The tests of this file share one copy of the project and run in order.
"""

import itertools
import json
import re
import shutil
from pathlib import Path

import browser
import pytest
import yaml
from console import NOT_RUN, examples, first_difference
from imports import ROOT
from pages import Page
from project import copy_project, sh

from benchmarks.fuzz import bad_files
from mocliplite.checkpoint import digest
from mocliplite.csv_files import read_csv

UP_TO_DATE = "Data and pipelines are up to date."
BACK = "git restore -SW . && dvc checkout -f --allow-missing"  # as documented


def stages_run(output):
    """Return the names of the stages that a DVC command ran, from its output."""
    return re.findall(r"Running stage '([^']+)'", output)


def metrics(folder, name):
    return json.loads((folder / f"metrics/{name}.json").read_text())


def test_every_clip_of_the_sample_is_extracted_and_evaluated(project):
    data = metrics(project, "data")
    assert data["clips"] == data["usable"] == 384
    assert data["frames"] == 384 * 40
    assert data["splits"] == {"train": 240, "val": 48, "test": 96}
    assert metrics(project, "eval")["clips"] == 96


def test_fusion_solves_the_sample_and_neither_stream_does_alone(project):
    top1 = metrics(project, "eval")["top1"]
    assert top1["fusion"]["mean"] >= 0.95
    assert top1["keyframe"]["mean"] <= 0.40
    assert top1["motion"]["mean"] <= 0.40
    assert all(row["low"] <= row["mean"] <= row["high"] for row in top1.values())


def test_clips_and_motion_are_the_same_bytes_as_in_the_committed_lock(project):
    for file, stage in (("sample/dvc.lock", "videos"), ("dvc.lock", "index"), ("dvc.lock", "motion")):
        computed, committed = (yaml.safe_load((folder / file).read_text())["stages"] for folder in (project, ROOT))
        assert computed[stage]["outs"] == committed[stage]["outs"]


def test_a_second_repro_does_nothing(project):
    sh(project, "git add -A && git commit -q -m run --allow-empty")
    output = sh(project, "dvc repro")
    assert stages_run(output) == []
    assert UP_TO_DATE in output


def test_stages_that_are_run_again_write_the_same_bytes(project):
    sh(project, "dvc repro -f -s prompts embed_motion pairs train_probes train_head evaluate")
    assert sh(project, "git status --short") == ""


def test_another_head_reruns_head_and_evaluation_alone(project):
    output = sh(project, "dvc exp run -S head.hidden=256")
    assert stages_run(output) == ["train_head", "evaluate"]
    assert "hidden: 512 " in sh(project, "git show HEAD:params.yaml")
    assert "top1.keyframe.mean" in sh(project, "dvc metrics diff HEAD --all")
    sh(project, f"git add -A && {BACK}")  # with core.autostage, DVC adds as well
    assert sh(project, "git status --short") == ""
    assert UP_TO_DATE in sh(project, "dvc status")


def test_queued_heads_run_and_are_listed(project):
    sh(project, "dvc exp run --queue -S head.hidden=16,32")
    sh(project, "dvc exp run --run-all")
    commits = json.loads(sh(project, "dvc exp show --json --only-changed"))
    runs = [run for commit in commits for experiment in commit["experiments"] or [] for run in experiment["revs"]]
    hidden = {run["data"]["params"]["params.yaml"]["data"]["head"]["hidden"] for run in runs}
    assert {16, 32, 256} <= hidden
    assert sh(project, "git status --short") == ""


def test_another_split_does_not_touch_extraction(project):
    sh(project, "sed -i 's/  split: 1/  split: 2/' params.yaml")
    planned = stages_run(sh(project, "dvc repro --dry"))
    sh(project, "git checkout -q params.yaml")
    assert planned[0] == "split"
    assert not {"index", "motion", "keyframes", "prompts"} & set(planned)


def test_another_number_of_workers_or_another_device_reruns_nothing(project):
    sh(project, "sed -i 's/  workers: 2/  workers: 1/; s/  device: auto/  device: cpu/' params.yaml")
    output = sh(project, "dvc repro")
    sh(project, "git checkout -q params.yaml")
    assert stages_run(output) == []


def test_plots_are_drawn(project):
    assert "index.html" in sh(project, "dvc plots show")
    page = (project / "dvc_plots/index.html").read_text()
    shutil.rmtree(project / "dvc_plots")
    assert [name for name in ("confusion", "classes", "motion_training", "head_training") if name not in page] == []


def test_the_commands_of_the_vs_code_extension_answer_without_errors(project):
    data = json.loads(sh(project, "dvc exp show --json"))[0]["data"]
    for kind, files in (("params", 2), ("metrics", 7)):
        assert len(data[kind]) == files
        assert [name for name, found in data[kind].items() if "error" in found] == []
    # These characters separate the parts of a column's name.
    keys = set(keys_of(data["params"])) | set(keys_of(data["metrics"]))
    assert [key for key in keys - data["params"].keys() - data["metrics"].keys() if "." in key or ":" in key] == []

    plots = json.loads(sh(project, "dvc plots diff workspace HEAD --split --json"))
    assert "errors" not in plots
    assert len(plots["data"]) == 6
    for name, (plot,) in plots["data"].items():
        assert {row["rev"] for row in plot["anchor_definitions"]["<DVC_METRIC_DATA>"]} == {"workspace", "HEAD"}, name
        # The extension fills in the size, so that a plot fits its place.
        for anchor in ("<DVC_METRIC_PLOT_WIDTH>", "<DVC_METRIC_PLOT_HEIGHT>"):
            assert anchor in json.dumps(plot["content"]), name
    status = json.loads(sh(project, "dvc data status --granular --unchanged --json"))
    assert len(status["unchanged"]) > 100
    assert "not_in_cache" not in status


def keys_of(tree):
    return [key for name, value in tree.items() for key in (name, *(keys_of(value) if isinstance(value, dict) else ()))]


def test_a_new_clip_is_computed_alone_and_a_removed_one_is_dropped(project):
    clips = project / "sample/data/clips/StarSpinning"
    sh(project, "dvc unprotect sample/data/clips")
    shutil.copy(clips / "v_StarSpinning_g01_c01.avi", clips / "v_StarSpinning_g01_c09.avi")
    for expected, step in ((1, "first run"), (0, "second run")):
        sh(project, "python -m stages.index")
        output = sh(project, "python -m stages.motion") + sh(project, "python -m stages.keyframes")
        assert re.findall(r"computed=(\d+)", output)[-1] == str(expected), step
    (clips / "v_StarSpinning_g01_c09.avi").unlink()
    sh(project, "dvc checkout -q --force && dvc repro")
    assert sh(project, "git status --short") == ""


CLIP = "sample/data/clips/StarSpinning/v_StarSpinning_g01_c01.avi"


def test_predict_prints_the_correct_class_with_contributions_and_times(project):
    assert "StarSpinning  (keyframe +" in sh(project, f"python -m mocliplite predict {CLIP} --top 1")
    (prediction,) = json.loads(sh(project, f"python -m mocliplite predict {CLIP} --top 3 --json 2>/dev/null"))
    assert prediction["clip"] == CLIP
    assert prediction["classes"][0]["class"] == "StarSpinning"
    assert len(prediction["classes"]) == 3
    assert set(prediction["shares"]) == {"keyframe", "motion"}
    assert set(prediction["milliseconds"]) == {"keyframes", "motion", "encoder", "motion network", "head"}


def test_predict_answers_every_test_clip_as_it_was_evaluated(project):
    rows = {name: read_csv(project / f"features/{name}.csv") for name in ("clips", "test_clips")}
    paths = {row["id"]: f"sample/data/clips/{row['path']}" for row in rows["clips"]}
    # `predict` prints fewer digits.
    script = "import json, sys; from mocliplite.predict import Recognizer\n"
    script += "found = Recognizer.load('models').predict(json.load(open(sys.argv[1])))\n"
    script += "print(json.dumps([[*item.classes[0], item.shares] for item in found]))"
    (project / "predict.py").write_text(script)
    (project / "paths.json").write_text(json.dumps([paths[row["id"]] for row in rows["test_clips"]]))
    answers = json.loads(sh(project, "python predict.py paths.json && rm predict.py paths.json").splitlines()[-1])
    assert len(answers) == len(rows["test_clips"]) == 96
    for row, (label, probability, shares) in zip(rows["test_clips"], answers, strict=True):
        found = {"probability": probability} | {f"{stream}_share": share for stream, share in shares.items()}
        assert label == row["guess"]
        assert found == pytest.approx({key: float(row[key]) for key in found}, abs=1e-5)


def test_clips_from_standard_input_are_predicted_in_order_and_mostly_correctly(project):
    paths = sorted(str(path.relative_to(project)) for path in (project / "sample/data/clips").rglob("*_g01_c0[12].avi"))
    (project / "list.txt").write_text("\n".join(paths) + "\n")
    predictions = json.loads(sh(project, "python -m mocliplite predict - --json 2>/dev/null < list.txt"))
    (project / "list.txt").unlink()
    assert [prediction["clip"] for prediction in predictions] == paths
    correct = sum(prediction["classes"][0]["class"] in prediction["clip"] for prediction in predictions)
    assert len(paths) == 32
    assert correct >= 0.9 * 32


def test_an_exported_recogniser_predicts_the_same_with_the_installed_package(project, tmp_path):
    sh(project, f"python -m mocliplite export {tmp_path}/recogniser")
    assert (tmp_path / "recogniser/clip/model.safetensors").is_file()
    shutil.copy(project / CLIP, tmp_path / "one.avi")
    # Only the package, as pip installs it, without the rest of the project.
    sh(tmp_path, f"pip install --quiet --no-index --no-deps --no-build-isolation --target site {project}")
    command = "PYTHONPATH=site site/bin/mocliplite predict --model recogniser one.avi --json"
    (prediction,) = json.loads(sh(tmp_path, command))
    assert prediction["classes"][0]["class"] == "StarSpinning"
    script = "import json, mocliplite.predict as p; print(p.__file__); print(json.dumps(p.Recognizer.load({!r})({!r})))"
    (tmp_path / "script.py").write_text(script.format("recogniser", "one.avi"))
    (project / "script.py").write_text(script.format("models", CLIP))
    file, printed = sh(tmp_path, "PYTHONPATH=site python script.py").splitlines()
    assert file == f"{tmp_path}/site/mocliplite/predict/__init__.py"
    predicted = dict(json.loads(printed))
    expected = dict(json.loads(sh(project, "python script.py && rm script.py").splitlines()[1]))
    assert predicted == pytest.approx(expected, abs=1e-6)
    assert len(expected) == 16
    card = (tmp_path / "recogniser/README.md").read_text()
    assert sh(project, "python -m mocliplite results") in card
    refused = sh(project, f"python -m mocliplite export {tmp_path}/recogniser", status=2)
    assert refused == f"error: {tmp_path}/recogniser is not empty; give a new folder.\n"


def test_the_report_is_one_accessible_page_without_network_requests(project):
    sh(project, "python -m mocliplite report --out report.html")
    page = Page.of(project / "report.html")
    assert not {"script", "link", "iframe", "base"} & set(page.tags)
    assert page.urls
    assert all(address.startswith(("data:", "#")) for address in page.urls)
    assert page.images_without_text == 0
    assert page.tags.count("h1") == 1
    assert page.tags.count("table") == page.tags.count("thead") >= 3
    assert page.tags.count("img") >= 6
    assert [name for name in ("zero_shot", "fusion", "blend", "StarSpinning") if name not in page.text] == []


def test_search_finds_clips_by_text_and_by_similarity(project):
    found = sh(project, 'python -m mocliplite search "a star" --top 5 --html found.html')
    assert re.findall(r"^ 0\.\d+  (\w+)", found, re.MULTILINE) == re.findall(r"  (Star\w+)  ", found)
    assert found.splitlines()[5:] == ["wrote found.html"]
    assert (project / "found.html").read_text().count("data:image/jpeg") == 5
    query = "sample/data/clips/BallSliding/v_BallSliding_g02_c01.avi"
    similar = sh(project, f"python -m mocliplite search --like {query} --top 1")
    assert re.search(r"  BallSliding  BallSliding__v_BallSliding_g(?!02_c01)", similar)  # not the clip itself
    assert "nothing is not a clip of" in sh(project, "python -m mocliplite search --like nothing", status=2)


def test_pages_fit_the_window_without_requests_or_console_errors(project):
    with browser.chromium() as driver:
        for name, width, dark in itertools.product(("report.html", "found.html"), (400, 900, 1400), (False, True)):
            address = (project / name).as_uri()
            browser.show_as(driver, width, dark)
            driver.get(address)
            # Pictures that fail to load have no width.
            assert driver.execute_script("return document.images.length") >= 5
            script = "return [...document.images].filter(image => !image.naturalWidth).length"
            assert driver.execute_script(script) == 0
            assert browser.requests(driver) == [address]
            assert browser.console_messages(driver) == []
            assert driver.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches") == dark
            content, window = driver.execute_script(
                "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
            )
            assert content <= window <= width


def test_a_bad_clip_among_good_ones_gives_an_error_and_exit_status_2(project):
    (project / "text.mp4").write_text("this is not a video")
    good = "sample/data/clips/BallSliding/v_BallSliding_g02_c01.avi"
    output = sh(project, f"python -m mocliplite predict text.mp4 {good} --top 1", status=2)
    (project / "text.mp4").unlink()
    assert "error: text.mp4 cannot be decoded as video (Invalid data found when processing input)" in output
    assert "BallSliding" in output
    assert "Traceback" not in output


def test_bad_files_of_ten_kinds_give_a_line_each_and_all_good_clips_are_predicted(project, tmp_path):
    good = sorted(str(path) for path in (project / "sample/data/clips").rglob("*_g01_c01.avi"))
    bad = [str(path) for path in bad_files.write(tmp_path, 2, Path(good[0]))]
    assert (len(good), len(bad)) == (16, 20)
    order = [path for pair in itertools.zip_longest(bad, good) for path in pair if path]
    (tmp_path / "list").write_text("".join(f"{path}\n" for path in order))
    command = f"python -m mocliplite predict - --json < {tmp_path}/list 2> {tmp_path}/errors"
    predictions = json.loads(sh(project, command, status=2))
    *lines, last = (tmp_path / "errors").read_text().splitlines()
    assert [prediction["clip"] for prediction in predictions] == good
    assert len(lines) == 20
    assert all(line.startswith(f"error: {path}") for line, path in zip(lines, bad, strict=True))
    assert last == "error: 20 of 36 clips could not be used; see above."


def test_a_misspelt_setting_stops_a_run_before_any_work(project):
    sh(project, "sed -i 's/  hidden: 512/  hiden: 3/' params.yaml")
    output = sh(project, "python -m stages.train_head", status=1)
    sh(project, "git checkout -q params.yaml")
    assert output == "error: params.yaml: head.hiden is not a setting; the nearest is head.hidden.\n"


def test_a_clone_without_videos_and_clip_trains_heads_on_the_pulled_pairs(project, tmp_path):
    sh(
        project,
        f"git clone -q . {tmp_path}/clone && dvc remote add -f --local team {tmp_path}/remote && dvc push -q -r team",
    )
    clone = tmp_path / "clone"
    sh(
        clone,
        f"dvc remote add -d --local team {tmp_path}/remote && git config user.name b && git config user.email b@c.org",
    )
    output = sh(clone, "dvc exp run --pull --allow-missing -S head.hidden=64")
    assert stages_run(output) == ["train_head", "evaluate"]
    assert sorted(path.name for path in (clone / "features").iterdir()) == [".gitignore", "pairs.h5", "test_clips.csv"]
    assert not (clone / "sample/data/clips").exists()
    assert metrics(clone, "eval")["top1"]["fusion"]["mean"] >= 0.95
    sh(clone, f"{BACK} && dvc pull train_head evaluate")
    assert sh(clone, "git status --short") == ""
    assert digest(clone / "models/head") == digest(project / "models/head")


def pages():
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_documented_command_runs_and_prints_what_its_page_shows(project):
    # Tests above ran some of these commands: without the run cache their stages run again, as for a reader.
    shutil.rmtree(project / ".dvc/cache/runs")
    shown = [example for page in pages() for example in examples(page.read_text())]
    commands = dict.fromkeys(command for command, _ in shown)
    assert set(commands) >= set(NOT_RUN)
    differences = []
    for command in commands:
        if command in NOT_RUN:
            continue
        output = sh(project, command)
        if command.startswith("dvc metrics diff"):
            output += sh(project, f"{command} --all")  # a metric that did not change on this processor is here alone
        documented = [lines for other, lines in shown if other == command and lines]
        differences += [(command, first_difference(command, lines, output)) for lines in documented]
    sh(project, f"{BACK} && git clean -fdq")
    assert len(differences) >= 4
    assert [(command, line) for command, line in differences if line is not None] == []


def test_own_clips_become_a_recogniser(project, tmp_path):
    copy_project(tmp_path)
    sample = project / "sample/data"
    for name in ("StarSpinning", "StarSliding", "BallSpinning"):
        (tmp_path / "my_clips" / name).mkdir(parents=True)
        for clip in (sample / "clips" / name).glob("*_c01.avi"):
            shutil.copy(clip, tmp_path / "my_clips" / name)
    shutil.copy(sample / "clips/StarSpinning/v_StarSpinning_g01_c02.avi", tmp_path / "new.mp4")
    init, *others = [command for command, _ in examples((ROOT / "docs/own-clips.md").read_text())][:4]
    assert "my_clips: 24 clips in 3 classes" in sh(tmp_path, f"{init} --clip {sample}/clip")
    _, predicted, _ = (sh(tmp_path, command) for command in others)
    assert "  StarSpinning  (keyframe " in predicted.splitlines()[1]
    assert Page.of(tmp_path / "report.html").tags.count("img") >= 1
