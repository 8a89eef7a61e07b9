"""Console examples of the documentation: the commands of a page, and whether real output matches what it shows."""

import re

# Output of these commands is the same on every processor, so it is compared exactly.
EXACT = ("python -m mocliplite probe ",)


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
    decimal fractions only the number of decimals counts, and of the less probable classes only their place; see EXACT.
    """
    normalise = " ".join if command.startswith(EXACT) else shape
    actual = [normalise(line.split()) for line in output.replace("\r", "\n").splitlines()]
    position, gap = 0, False
    for line in shown:
        if line == "...":
            gap = True
            continue
        wanted = normalise(line.split())
        candidates = range(position, len(actual)) if gap else range(position, min(position + 1, len(actual)))
        position = next((index + 1 for index in candidates if actual[index] == wanted), None)
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
