"""Freeze the test episodes of a bundled task: `python episodes/freeze.py medical_terms`.

Writes `test_episodes_SPLIT_5way.safetensors` and `test_episodes_SPLIT_allway.safetensors` into the task's folder,
and their hashes into its SHA256SUMS.  600 episodes each, 10 support and 15 query texts per class; fewer shots
and queries are prefixes.  The episodes follow from the texts, the split and a fixed seed alone.
"""

import argparse
import hashlib
from pathlib import Path

from fewshot.episodes.frozen import EpisodeRequest, draw, save_episodes, shipped_file
from fewshot.tasks import load_bundled

EPISODES, SHOTS, QUERIES = 600, 10, 15


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", help="folder in episodes/")
    parser.add_argument("--split", default="01")
    arguments = parser.parse_args()
    folder = Path(__file__).parent / arguments.task
    task = load_bundled(arguments.task, arguments.split)
    sums = folder / "SHA256SUMS"
    lines = dict(reversed(line.split("  ")) for line in sums.read_text(encoding="utf-8").splitlines())
    for ways in (5, None):
        path = shipped_file(folder, task, ways)
        batch = draw(task, EpisodeRequest("test", ways, SHOTS, QUERIES, EPISODES))
        save_episodes(path, batch, task)
        lines[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path.name}: {len(batch)} episodes, {path.stat().st_size:,} bytes, {batch.sha256()}")
    sums.write_text("".join(f"{lines[name]}  {name}\n" for name in sorted(lines)), encoding="utf-8")


if __name__ == "__main__":
    main()
