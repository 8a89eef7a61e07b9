"""`export`: everything that prediction needs, in one folder."""

import argparse
from pathlib import Path

from mocliplite.cli._outputs import refuse_stage_output

HELP = "write everything that prediction needs to one folder"
EXAMPLE = "example: python -m mocliplite export recogniser"
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", metavar="DIR", help="folder to create")
    parser.add_argument(
        "--format",
        choices=["torch", "onnx"],
        default="torch",
        help="what runs the networks; onnx: onnxruntime, on machines without torch (torch)",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="with --format onnx: the encoder in int8, smaller and faster; prints its accuracy on validation clips",
    )
    parser.add_argument(
        "--with-clip", action="store_true", help="copy the encoder even if it can be downloaded from the hub"
    )


def run(given: argparse.Namespace) -> None:
    """Write everything that prediction needs to one folder."""
    from mocliplite.predict.export import export

    refuse_stage_output("DIR", given.folder)
    export(given.folder, given.with_clip, onnx=given.format == "onnx", int8=given.int8)
    if given.int8:
        from mocliplite.files import read_json
        from mocliplite.predict.models import ONNX
        from mocliplite.predict.onnx_card import int8_figures
        from mocliplite.predict.onnx_models import CONFIG

        graphs = read_json(Path(given.folder, ONNX, CONFIG))
        print(f"int8: on {graphs['int8']['clips']} validation clips, {int8_figures(graphs)}")
    print(f"wrote {given.folder}; try: python -m mocliplite predict --model {given.folder} CLIP")
