"""Console examples of the documentation: the commands of a page, and whether real output matches what it shows."""

import re

# Output of these commands is the same on every processor, so it is compared exactly.
EXACT = ("python -m mocliplite probe ",)
# DVC prints the files of metrics in no particular order.
UNORDERED = ("dvc metrics diff",)

# Documented commands that no test runs as they are: why, or which test covers them.
NOT_RUN = {
    "make run": "the fixture of these tests does the same",
    "make test": "this test is part of it",
    "make env REQUIREMENTS=requirements.lock": "downloads 3 GB; test_lock.py compares the lock with requirements.txt",
    "make lock": "tests use no network; test_lock.py",
    "make audit": "tests use no network",
    "make sbom": "tests use no network",
    "source .venv/bin/activate": "the tests run in the environment",
    "cp configs/ucf101.yaml params.yaml": "UCF101 is not available; test_params.py reads the settings",
    "dvc repro": "the fixture of these tests runs it",
    "dvc exp run --queue --allow-missing -S dataset.split=1,2,3": "takes minutes; see test_another_split_...",
    "dvc exp run --queue --allow-missing -S dataset.split=1,2,3,4,5": "takes minutes; test_splits.py makes folds",
    "dvc exp show --json | python -m mocliplite splits": "needs those runs; test_cross_split.py",
    "dvc exp run -S head.hidden=-1": "fails, as the page says",
    "git add -A && git commit -m UCF101": "UCF101 is not available",
    "git switch -c my-clips": "the copy of the project stays on its branch",
    'git commit -am "settings and figures of my clips"': "the copy of the project stays on its branch",
    "git checkout main && dvc checkout": "the copy of the project stays on its branch",
    "python -m mocliplite init my_clips --force": "test_own_clips_become_a_recogniser",
    "python -m mocliplite init annotations.csv --force": "test_init.py",
    "python -m mocliplite manifest": "test_manifest.py",
    "cp configs/folder.yaml params.yaml": "test_addresses.py runs the stages on addresses",
    "python -m mocliplite predict new.mp4": "test_own_clips_become_a_recogniser",
    "python -m mocliplite export recogniser-onnx --format onnx": "test_onnx.py",
    "python -m mocliplite export recogniser-int8 --format onnx --int8": "test_onnx.py",
    'pip install ".[predict]"': "tests use no network; test_onnx.py blocks what it does not install",
    "python -m mocliplite predict --model recogniser-onnx new.mp4": "test_onnx.py",
    'python -m mocliplite predict new.mp4 --words "person waving, person falling, nothing"': "test_zero_shot.py",
    "python -m mocliplite predict long.mp4 --window 2 --stride 0.5": "test_predict_files.py",
    "python -m mocliplite predict long.mp4 --window 2 --csv long.csv --srt long.srt --vtt long.vtt --plot long.png": (
        "test_predict_files.py"
    ),
    "python -m mocliplite predict recordings/ --csv answers.csv --wide": "test_predict_files.py",
    "python -m mocliplite predict recordings/ --csv answers.csv --wide --resume": "test_predict_files.py",
    'python -m mocliplite predict "recordings/*/*.mp4" --csv answers.csv --parquet answers.parquet': (
        "test_predict_files.py"
    ),
    "mocliplite new my_project": "test_wheel.py",
    "cd my_project": "test_wheel.py",
    "mocliplite upgrade": "test_wheel.py",
    "python -m mocliplite push recogniser ann/my-recogniser": "test_published.py",
    "python -m mocliplite push-store features/keyframes ann/my-keyframes": "test_published_store.py",
    "python -m mocliplite predict new.mp4 --model ann/my-recogniser --revision main": "test_published.py",
    "python -m mocliplite watch rtsp://camera.local/stream": "test_watch.py",
    "python -m mocliplite watch /dev/video0 --window 2 --motion-only": "needs a camera",
    "ffmpeg -loglevel error -i film.mkv -c copy -f mpegts - | python -m mocliplite watch - --json": "test_watch.py",
    "ffmpeg -loglevel error -i https://camera.local/live.m3u8 -c copy -f mpegts - | python -m mocliplite watch -": (
        "needs a camera"
    ),
    'pip install ".[train,serve]"': "the environment has it",
    "python -m mocliplite serve --port 8000 --root recordings/": "test_serve.py",
    "MOCLIPLITE_TOKEN=$(cat token.txt) python -m mocliplite serve --host 0.0.0.0": "test_serving.py",
    'curl --data-binary @my.mp4 "http://127.0.0.1:8000/predict?name=my.mp4"': "test_serve.py",
    'curl -X POST "http://127.0.0.1:8000/predict?path=monday/my.mp4&top=1"': "test_serve.py",
    "curl http://127.0.0.1:8000/health": "test_serve.py",
    "curl http://127.0.0.1:8000/metrics": "test_serve.py",
    "curl http://127.0.0.1:8000/openapi.json": "test_serve.py",
    'curl -H "Authorization: Bearer $(cat token.txt)" --data-binary @my.mp4 http://127.0.0.1:8000/predict': (
        "test_serve.py"
    ),
    "python -m mocliplite label-next unlabelled/ --count 20 --csv next.csv": "test_label_next.py",
    "python -m mocliplite few-shot --draws 3 --train-motion": "takes minutes; test_few_shot.py",
    "dvc remote add -d team /mnt/share/moclip": "test_sharing.py",
    "dvc remote add -d team ssh://ann@server/srv/moclip": "test_sharing.py",
    "dvc remote modify team verify true": "test_sharing.py",
    'git add dvc.lock params.yaml metrics plots && git commit -m "features of 384 clips"': "test_sharing.py",
    "dvc push && git push": "test_sharing.py",
    "dvc exp run --pull --allow-missing -S head.hidden=256": "test_a_clone_without_videos_and_clip_...",
    "dvc pull --allow-missing": "test_sharing.py",
    "git pull --no-rebase": "test_sharing.py",
    "git checkout MERGE_HEAD -- my_clips.dvc dvc.lock metrics plots": "test_sharing.py",
    "dvc add my_clips": "test_sharing.py",
    'git add -A && git commit -m "clips of both" && dvc push && git push': "test_sharing.py",
    "cp new/*.mp4 my_clips/kick/": "test_sharing.py",
    'git add dvc.lock metrics plots && git commit -m "ten more clips" && dvc push && git push': "test_sharing.py",
    "dvc import https://example.org/team/moclip.git features/keyframes": "test_sharing.py",
    "mkdir /srv/dvc-cache && chgrp team /srv/dvc-cache && chmod g+rws /srv/dvc-cache": "test_sharing.py",
    "dvc config --local cache.dir /srv/dvc-cache": "test_sharing.py",
    "dvc config --local cache.shared group": "test_sharing.py",
    "dvc config --local cache.type symlink": "test_sharing.py",
    "python -m stages.embed_motion --part 1/2": "test_stage_engines.py",
    "python -m stages.embed_motion --part 2/2": "test_stage_engines.py",
    "python -m stages.embed_motion": "test_stage_engines.py",
    (
        "i=0; for host in node1 node2 node3 node4; do i=$((i + 1)); "
        'ssh $host "cd $PWD && .venv/bin/python -m stages.motion --part $i/4" & done; wait'
    ): "needs four machines; test_stage_engines.py runs the parts",
    "sbatch --wait --array=1-32 --cpus-per-task=4 --mem=16G part.sh": (
        "needs Slurm; test_stage_engines.py runs the parts"
    ),
    "python -m dask scheduler --scheduler-file scheduler.json": (
        "runs until it is stopped; tests/cluster.py does the same"
    ),
    "python -m dask worker --scheduler-file scheduler.json --nthreads 1 --nworkers 4": (
        "runs until it is stopped; tests/cluster.py does the same"
    ),
    'dvc config --local core.site_cache_dir "$HOME/.cache/dvc-site"': "test_sharing.py",
}


def examples(page):
    """Return (command, lines of output shown) for each command in the console blocks of a page."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


def first_difference(command, shown, output):
    """Return the first line of the output shown that the real output does not have at its place, or None.

    A line `...` stands for any number of lines. Figures of trained models and times differ between processors, so of
    decimal fractions only the number of decimals counts, and of the less probable classes only their number. See also
    EXACT and UNORDERED.
    """
    normalise = " ".join if command.startswith(EXACT) else shape
    actual = [normalise(line.split()) for line in output.replace("\r", "\n").splitlines()]
    if command.startswith(UNORDERED):
        return next((line for line in shown if line != "..." and normalise(line.split()) not in actual), None)
    position, gap = 0, False
    for line in shown:
        if line == "...":
            gap = True
            continue
        expected = normalise(line.split())
        candidates = range(position, len(actual)) if gap else range(position, min(position + 1, len(actual)))
        position = next((index + 1 for index in candidates if actual[index] == expected), None)
        if position is None:
            return line
        gap = False
    return None if gap or not shown or position == len(actual) else f"(end; the output goes on: {actual[position]})"


def shape(words):
    """Return a line without what depends on the processor."""
    line = " ".join(words)
    if line.startswith("metrics/"):  # a row of `dvc metrics diff`, with as many decimals as there are
        return re.sub(r"-?\b\d+\.\d+\b", "#", line)
    line = re.sub(r"\d+\.(\d+)", lambda number: f"#.{'#' * len(number[1])}", line)
    return re.sub(r"^(#\.#%) \w+$", r"\1 CLASS", line)
