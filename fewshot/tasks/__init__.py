"""Tasks: where labelled texts come from, and the split of their classes."""

from fewshot.tasks.folder import load_bundled, load_folder
from fewshot.tasks.hub import load_folder_or_hub, load_hub
from fewshot.tasks.task import Task, normalise

__all__ = ["Task", "load_bundled", "load_folder", "load_folder_or_hub", "load_hub", "normalise"]
