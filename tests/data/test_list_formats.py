"""Lists that name and label the clips: each format as its publisher distributes it, from the files to the split."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from builders import CHECKOUT, put, sentence_of, settings_of

from mocliplite.data.clips import class_names
from mocliplite.data.index import find_clips
from mocliplite.data.lists import formats
from mocliplite.data.splits import split_clips

pytestmark = pytest.mark.usefixtures("folder")

NUMBERS = range(6)  # of the clips of a class: 0 to 3 for training, 4 and 5 for validation and test


def part_of(number, val="val", test="test"):
    return "train" if number < 4 else val if number == 4 else test


def own_csv():
    rows = [f"{label},dusk,{label}/{n}.mp4,p{n},{part_of(n)}" for label in ("Hop", "Run") for n in NUMBERS]
    put("lists", {"a.csv": "\ufefflabel,light,path,group,split\r\n" + "\r\n".join(rows) + "\r\n"})
    return "lists/a.csv", [f"{label}/{n}.mp4" for label in ("Hop", "Run") for n in NUMBERS]


def kinetics():
    header, clips = "label,youtube_id,time_start,time_end,split,is_cc\n", []
    for part in ("train", "val", "test"):
        rows = [
            f'"{label}",-Q{label[0]}x_{n}abcde,{7 * n},{7 * n + 10},{part_of(n, "validate")},0\n'
            for label in ("air drumming", "zumba")
            for n in NUMBERS
            if part_of(n) == part
        ]
        put("lists", {f"{part}.csv": header + "".join(rows)})
        clips += [f"{part}/zumba/-Qzx_{n}abcde_{7 * n:06d}_{7 * n + 10:06d}.mp4" for n in NUMBERS if part_of(n) == part]
        clips += [f"-Qax_{n}abcde_{7 * n:06d}_{7 * n + 10:06d}.mkv" for n in NUMBERS if part_of(n) == part]
    return "lists", clips


def something():
    classes = {"Tearing something into two pieces": "1", "Holding something next to something": "0"}
    templates = ["Tearing [something] into two pieces", "Holding [something] next to [something]"]
    records = [
        {"id": f"{7 * n}{row}", "label": "holding a cup", "template": template, "placeholders": ["a cup"]}
        for row, template in enumerate(templates)
        for n in NUMBERS
    ]
    train = [record for position, record in enumerate(records) if position % 6 < 4]
    others = [record for record in records if record not in train]
    values = {"labels": classes, "train": train, "validation": others, "test": [{"id": "99"}]}
    put("lists", {f"something-something-v2-{name}.json": json.dumps(value) for name, value in values.items()})
    return "lists", [f"{record['id']}.webm" for record in records]


def mmaction():
    clips = [f"{label}/my clip {n}.mp4" for label in ("hop", "run") for n in NUMBERS]
    lines = [f"{clip} {9 + row // 6}\n" for row, clip in enumerate(clips)]
    train = [line for row, line in enumerate(lines) if row % 6 < 4]
    put("lists", {"k_train_list_videos.txt": "".join(train)})
    put("lists", {"k_val_list_videos.txt": "".join(line for line in lines if line not in train)})
    return "lists", clips


def activitynet():
    videos = {
        f"tU4vW7xY0z{n}": {
            "duration": 82.73,
            "subset": {"train": "training", "val": "validation"}[part_of(n, test="val")],
            "resolution": "426x240",
            "url": f"https://example.org/watch?v=tU4vW7xY0z{n}",
            "annotations": [
                {"segment": [4.125294851794072, 30.5], "label": "Ballet"},
                {"segment": [n + 31, 71.25085420904837], "label": "Archery"},
            ],
        }
        for n in NUMBERS
    }
    videos["unlabelled_"] = {"duration": 60.0, "subset": "testing", "annotations": []}
    put("lists", {"anet.json": json.dumps({"version": "VERSION 1.3", "taxonomy": [], "database": videos})})
    return "lists/anet.json", ["v_tU4vW7xY0z0.mkv", *(f"tU4vW7xY0z{n}.mp4" for n in NUMBERS if n)]


@pytest.mark.parametrize(
    ("write", "name", "classes", "parts"),
    [
        (own_csv, "CSV", ["Hop", "Run"], {"train": 8, "val": 2, "test": 2}),
        (kinetics, "Kinetics", ["air drumming", "zumba"], {"train": 8, "val": 2, "test": 2}),
        (
            something,
            "Something-Something",
            ["Holding something next to something", "Tearing something into two pieces"],
            {"train": 6, "val": 2, "test": 4},
        ),
        (mmaction, "MMAction2", ["9", "10"], {"train": 6, "val": 2, "test": 4}),
        (activitynet, "ActivityNet", ["Archery", "Ballet"], {"train": 6, "val": 2, "test": 4}),
    ],
)
def test_a_list_as_distributed_gives_clips_labels_and_splits(write, name, classes, parts):
    lists, paths = write()
    put("root", {path: path for path in paths})
    settings = settings_of(lists=lists)

    clips = find_clips(settings)
    splits = split_clips(clips, settings)

    assert formats.list_format(settings) == name
    assert class_names(clips) == classes
    assert sorted({clip.path for clip in clips}) == sorted(paths)
    assert Counter(clip.label for clip in clips) == dict.fromkeys(classes, 6)
    assert Counter(splits.values()) == parts


def test_a_row_of_the_csv_file_may_be_a_span_with_an_id_and_a_group():
    put("root", dict.fromkeys(("day 1/a.mp4", "b.mkv"), "x"))
    rows = ['"day 1/a.mp4",Hop,1.5,4,one,ann', "day 1/a.mp4,Run,4,,,", "b.mp4,Run,,,,"]
    put(".", {"a.csv": "\n".join(["path,label,start,end,id,group", *rows])})
    clips = {clip.id: clip for clip in find_clips(settings_of(lists="a.csv"))}
    assert {key: (clip.path, clip.label, clip.start, clip.end, clip.group) for key, clip in clips.items()} == {
        "one": ("day 1/a.mp4", "Hop", 1.5, 4.0, "ann"),
        "day 1__a@4-end": ("day 1/a.mp4", "Run", 4.0, None, "day 1__a"),
        "b": ("b.mkv", "Run", None, None, "b"),
    }


def test_mmaction2_lists_may_have_spans_and_class_names():
    put("root", {"a.mp4": "a", "b.mp4": "b"})
    put("lists", {"all.txt": "a.mp4 0 2.5 1\na.mp4 2.5 4 0\nb.mp4 1\n", "label_map_x.txt": "stand up\nsit down\n"})
    clips = find_clips(settings_of(lists="lists/all.txt"))
    assert [(clip.id, clip.label, clip.index) for clip in clips] == [
        ("a@0-2.5", "sit down", 1),
        ("a@2.5-4", "stand up", 0),
        ("b", "sit down", 1),
    ]


def test_a_list_without_splits_is_split_by_groups():
    rows = [f"{n}.mp4,{label},s{n % 6}\n" for label, start in (("Hop", 0), ("Run", 6)) for n in range(start, start + 6)]
    put(".", {"a.csv": "path,label,group\n" + "".join(rows)})
    put("root", {f"{n}.mp4": str(n) for n in range(12)})
    settings = settings_of(lists="a.csv", test=0.33, val=0.25)
    clips = find_clips(settings)
    splits = split_clips(clips, settings)
    assert Counter(splits.values()) == {"train": 6, "val": 2, "test": 4}
    assert {len({splits[clip.id] for clip in clips if clip.group == f"s{n}"}) for n in range(6)} == {1}
    wanted = "params.yaml: dataset.split is 2; it must be at most 1, the number of dataset.folds."
    assert sentence_of(split_clips, clips, settings_of(lists="a.csv", split=2)) == wanted


def test_what_is_not_used_is_named_once_and_so_is_the_test_part(capsys):
    lists, paths = own_csv()
    text = Path(lists).read_text(encoding="utf-8-sig").replace("\n", ",\n")  # a column without a name
    put(".", {lists: text.replace("test", "val")})
    put("root", {path: path for path in paths})
    settings = settings_of(lists=lists)
    clips = find_clips(settings)
    columns = "the columns used are path, label, split, group, start, end, id"
    assert f"warning: {lists}: the columns light, (no name) are not used; {columns}.\n" in capsys.readouterr().err
    assert Counter(split_clips(clips, settings).values()) == {"train": 6, "val": 2, "test": 4}
    sentence = "has no test clips: its val clips are the test clips, and validation is cut from train"
    assert capsys.readouterr().err == f"note: {lists} {sentence}\n"


def test_a_few_missing_files_are_failed_clips_and_many_are_an_error(capsys):
    lists, paths = own_csv()
    put("root", {path: path for path in paths if path != "Run/3.mp4"})
    Path("root/Run/3").mkdir()
    Path("root/Run/3b.mp4").touch()
    found = f"{lists} line 11: root/Run/3.mp4 does not exist; the nearest name in root/Run is 3b.mp4"
    count = "1 of 12 listed clips are missing"
    wanted = f"{found} ({count}, more than dataset.max_failed, 0.02, allows); add the files or correct the list."
    assert sentence_of(find_clips, settings_of(lists=lists)) == wanted

    clips = {clip.path: clip for clip in find_clips(settings_of(lists=lists, max_failed=0.1))}

    assert (clips["Run/3.mp4"].bytes, clips["Run/3.mp4"].sha256) == (0, "")
    assert f"warning: {found} ({count}); they count as failed clips.\n" in capsys.readouterr().err


def test_ucf101_lists_of_some_classes_may_keep_the_numbers_of_all():
    put("lists", {"classInd.txt": "12 Run\n7 Hop\n", "testlist01.txt": "Run/5.avi\nHop/5.avi\n"})
    train = "".join(f"{label}/{n}.avi {number}\n" for label, number in (("Run", 12), ("Hop", 7)) for n in range(5))
    put("lists", {"trainlist01.txt": train})
    put("root", {f"{label}/{n}.avi": "" for label in ("Run", "Hop") for n in NUMBERS})
    settings = settings_of(lists="lists", val=0.2, shared_groups=False)
    clips = find_clips(settings)
    assert class_names(clips) == ["Hop", "Run"]
    assert Counter(split_clips(clips, settings).values()) == {"train": 8, "val": 2, "test": 2}


EXAMPLES = re.findall(r"^```\w+ (\S+)\n(.*?)^```", (CHECKOUT / "docs/lists.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("lists", "name", "first", "classes"),
    [
        ("annotations.csv", "CSV", ("monday/cam1.mp4", "wave", "train", 0.0, 4.5), {"wave", "sit down"}),
        (
            "val.csv",
            "Kinetics",
            ("juggling/aB3dE6gH9jK_000084_000094.mp4", "juggling", "val", None, None),
            {"juggling", "folding paper"},
        ),
        (
            "something",
            "Something-Something",
            ("40012.webm", "Holding something next to something", "train", None, None),
            {"Holding something next to something", "Tearing something into two pieces"},
        ),
        ("mmaction", "MMAction2", ("some/path/000.mp4", "wave", "train", None, None), {"sit down", "wave"}),
        ("activitynet.json", "ActivityNet", ("v_tU4vW7xY0zA.mp4", "Juggling", "train", 4.5, 61.25), {"Juggling"}),
    ],
)
def test_the_examples_of_the_docs_are_lists(lists, name, first, classes):
    put(".", dict(EXAMPLES))
    settings = settings_of(lists=lists)
    entries = formats.read_annotations(settings).entries
    assert formats.list_format(settings) == name
    entry = entries[0]
    assert (entry.path, entry.label, entry.split, entry.start, entry.end) == first
    assert {entry.label for entry in entries} == classes


CSV = "path,label,split,start,end,id\n"


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("a.csv", "\0" * 9, "a.csv is not a text file; replace it with the original."),
        (
            "a.csv",
            "path,lable\na.mp4,x\n",
            "a.csv line 1: there is no column label (the nearest is 'lable'); the first line must name the columns,"
            " separated by commas.",
        ),
        (
            "a.csv",
            "path;label\na.mp4;x\n",
            "a.csv line 1: there is no column path (the nearest is 'path;label'); the first line must name the columns,"
            " separated by commas.",
        ),
        ("a.csv", '"path"x,label\n', "a.csv line 1: this is not CSV (',' expected after '\"'); correct it."),
        ("a.csv", "path,label,path\n", "a.csv line 1: the column path is there twice; rename or remove one."),
        (
            "a.csv",
            "path,label\na,b.mp4,x\n",
            "a.csv line 2: there are 3 cells, but the first line has 2 columns; quote a cell that contains a comma.",
        ),
        (
            "a.csv",
            "path,label\na.mp4,\n",
            "a.csv line 2, column label: the cell is empty; fill it or remove the line.",
        ),
        (
            "a.csv",
            f"{CSV}\na.mp4,x,tarin,,,\n",
            "a.csv line 3, column split: 'tarin' is not a split (the nearest is train); use train, val, test or"
            " unused.",
        ),
        (
            "a.csv",
            f"{CSV}a.mp4,x,train,,,\nb.mp4,x,,,,\n",
            "a.csv line 3, column split: the cell is empty, as in 1 lines in all, but other lines have a split; fill"
            " it with train, val, test or unused, or remove the column.",
        ),
        (
            "a.csv",
            f"{CSV}a.mp4,x,train,0:12,,\n",
            "a.csv line 2, columns start and end: the start is '0:12'; it must be a number of seconds, such as 12.5.",
        ),
        (
            "a.csv",
            f"{CSV}a.mp4,x,train,7,7,\n",
            "a.csv line 2, columns start and end: the clip ends at 7 s, but does not start before, at 7 s; correct"
            " one of them.",
        ),
        (
            "a.csv",
            f"{CSV}a.mp4,x,train,,,a/b\n",
            "a.csv line 2, column id: 'a/b' cannot be the name of a file; use an id without slashes that begins with"
            " no dot.",
        ),
        (
            "a.csv",
            f"{CSV}../a.mp4,x,train,,,\n",
            "a.csv line 2, column path: '../a.mp4' is outside dataset.root; use a path relative to dataset.root.",
        ),
        (
            "a.csv",
            f"{CSV}a.mp4,x,train,,,\na.mp4,y,test,,,\n",
            "a.csv line 3: a.mp4 is listed here (test, y) and in a.csv line 2 (train, x); delete one of the two.",
        ),
        ("a.csv", CSV, "a.csv lists no clips; add a line for each clip."),
        (
            "k.csv",
            "label,youtube_id,time_start,time_end,split\nzumba,abc,1.5,4,train\n",
            "k.csv line 2, column time_start: '1.5' is not a whole number of seconds; correct it.",
        ),
        (
            "k.csv",
            f"label,youtube_id,time_start,time_end,split\nzumba,abc,{'1' * 5000},4,train\n",
            f"k.csv line 2, column time_start: '{'1' * 99} is not a whole number of seconds; correct it.",
        ),
        (
            "k.txt",
            f"a.mp4 {'1' * 5000}\n",
            f"k.txt line 1: the label is '{'1' * 99}; it must be the number of a class, from 0.",
        ),
        (
            "k.txt",
            "a.mp4 1\nb.mp4 163 1\n",
            "k.txt line 2: 'b.mp4 163 1' does not have the form 'some/clip.mp4 3'; correct it.",
        ),
        (
            "a.json",
            r'{"database": {"x\u0000": {}}}',
            r"a.json has a text with the character NUL (\u0000), which no path can contain; correct it.",
        ),
        ("a.json", '{"database": {"x": \n', "a.json line 2 column 1: this is not JSON (Expecting value); correct it."),
        (
            "a.json",
            '{"database": ' + "[" * 100_000,
            "a.json is nested too deeply to be a list; replace it with the original.",
        ),
        (
            "a.json",
            '{"database": ' + "1" * 10_000 + "}",
            "a.json has a number of thousands of digits; replace it with the original.",
        ),
        (
            "a.json",
            '{"database": {"x\\udc00": {}}}',
            "a.json has a text that is no Unicode ('\\udc00' is half of a character); correct it.",
        ),
        ("a.json", '{"data": {}}', "a.json: there is no key 'database' with an object; correct it."),
        (
            "a.json",
            '{"database": {"x": {"subset": "training", "annotations": [{"segment": [5, 2], "label": "a"}]}}}',
            "a.json video x, annotation 1: the clip ends at 2 s, but does not start before, at 5 s; correct one of"
            " them.",
        ),
        ("a.json", "[]", "a.json is one of several JSON files; set dataset.lists to their folder."),
        (
            "lists/x-labels.json",
            '{"Holding something": "0"}',
            "lists has no file *train.json; dataset.lists must have one *labels, *train and *validation.json.",
        ),
        ("lists/x_train_list.txt", "a.mp4 3\n", ""),
    ],
)  # fmt: skip
def test_a_broken_list_is_refused_with_one_sentence(name, text, wanted):
    put(".", {name: text, "lists/label_map_x.txt": "stand\nsit\n"})
    wanted = wanted or (
        "lists/x_train_list.txt line 1: the label is 3, but the label_map has the classes 0 to 1; correct it."
    )
    settings = settings_of(lists=name.rpartition("/")[0] or name)
    assert sentence_of(formats.read_annotations, settings) == wanted


def test_a_backslash_in_a_list_may_come_before_any_letters():
    video = {"subset": "train", "annotations": [{"segment": [0, 1], "label": r"back\u0000slash"}]}
    put(".", {"a.json": json.dumps({"database": {"x": video}})})
    assert formats.read_annotations(settings_of(lists="a.json")).entries[0].label == r"back\u0000slash"


def test_a_template_that_is_no_class_is_refused_with_the_nearest_class():
    something()
    path = Path("lists/something-something-v2-train.json")
    path.write_text(path.read_text().replace("Tearing [something]", "Taering [something]", 1))
    assert sentence_of(formats.read_annotations, settings_of(lists="lists")) == (
        "lists/something-something-v2-train.json record 1 (id 00): Taering something into two pieces is not in"
        " something-something-v2-labels.json (the nearest is Tearing something into two pieces); correct one of the"
        " two files."
    )


@pytest.mark.parametrize(("path", "name"), [("jmup/1.mp4", "jump"), ("jump/11.mp4", "1.mp4")])
def test_a_missing_file_is_named_with_the_nearest_name_where_the_path_is_wrong_first(path, name):
    put("root", {"jump/1.mp4": "", "run/2.mp4": ""})
    put(".", {"a.csv": f"path,label\n{path},x\n"})
    place = "root/jump" if name == "1.mp4" else "root"
    found = f"a.csv line 2: root/{path} does not exist; the nearest name in {place} is {name} (1 of 1 "
    assert sentence_of(find_clips, settings_of(lists="a.csv")).startswith(found)


def test_two_clips_of_a_list_with_the_same_id_are_refused():
    put("root", {"a.mp4": "", "b.mp4": ""})
    put(".", {"a.csv": "path,label,id\na.mp4,x,one\nb.mp4,x,one\n"})
    wanted = "a.csv line 2 and a.csv line 3 have the same id; rename or remove one of them."
    assert sentence_of(find_clips, settings_of(lists="a.csv")) == wanted


def test_clips_that_the_list_no_longer_has_are_refused_by_split():
    lists, paths = own_csv()
    put("root", {path: path for path in paths})
    clips = find_clips(settings_of(lists=lists))
    text = Path(lists).read_text(encoding="utf-8-sig")
    put(".", {lists: text.replace("Run/5.mp4", "Run/6.mp4")})
    wanted = f"features/clips.csv has Run/5.mp4, but {lists} does not; run `dvc repro`."
    assert sentence_of(split_clips, clips, settings_of(lists=lists)) == wanted


OUTSIDE = {
    "CSV": lambda path: put("lists", {"a.csv": f"path,label\n{path},Hop\n"}) or "lists/a.csv",
    "MMAction2": lambda path: put("lists", {"a.txt": f"{path} 0\n"}) or "lists/a.txt",
    "Something-Something": lambda path: (
        put(
            "lists",
            {
                "a-labels.json": json.dumps({"Hop": "0"}),
                "a-train.json": json.dumps([{"id": path.removesuffix(".webm"), "template": "Hop"}]),
                "a-validation.json": "[]",
            },
        )
        or "lists"
    ),
    "ActivityNet": lambda path: (
        put(
            "lists",
            {
                "a.json": json.dumps(
                    {
                        "database": {
                            path.removesuffix(".mp4"): {
                                "subset": "training",
                                "annotations": [{"label": "Hop", "segment": [0, 1]}],
                            }
                        }
                    }
                )
            },
        )
        or "lists/a.json"
    ),
}


@pytest.mark.parametrize("path", ["../secret.webm", "a/../../secret.webm", "/etc/secret.webm"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_outside_of_the_root_is_refused_in_every_format(name, path):
    settings = settings_of(lists=OUTSIDE[name](path))
    assert formats.list_format(settings) == name
    assert "is outside dataset.root; use a path relative to dataset.root." in sentence_of(
        formats.read_annotations, settings
    )
