"""Results of finished trainings, named by all that determines their weights, so that no training is done twice."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from fewshot.errors import FewshotError
from fewshot.processes import as_main, is_main
from fewshot.storage import UNREADABLE, read_sealed, replaced_folder, write_sealed

T = TypeVar("T")

log = logging.getLogger(__name__)

DESCRIPTION = "training.json"


@dataclass(frozen=True)
class Finished:
    """The stored result of one training.

    Args:
        folder: named by all that determines the weights; None keeps nothing.
        training: all that determines them, as JSON can hold it.
        reuse: True if a stored result replaces a new training.
    """

    folder: Path | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    reuse: bool = True

    def once(
        self,
        what: str,
        train: Callable[[], T],
        write: Callable[[T, Path], dict[str, Any]],
        read: Callable[[Path, Mapping[str, Any]], T],
        names: Collection[str],
    ) -> T:
        """The result of an earlier training, to the same bits; else train, and keep the result.

        Args:
            what: name of the trained thing, for a message.
            train: returns the result.
            write: result and folder → a description for `read`, as JSON can hold it, beside the files that it writes.
            read: folder and description → the result.
            names: of the files that `write` writes.
        """
        if self.folder is None:
            return train()
        content = as_main(self._content() if self.reuse else None)
        if content is not None:
            try:
                result = read(self.folder, content["result"])
            except (FewshotError, *UNREADABLE) as error:
                log.warning(f"The training kept in {self.folder} cannot be read ({error}), so it is done anew.")
            else:
                day, seconds = datetime.fromisoformat(content["finished"]), content["seconds"]
                when = f"{day.day} {day:%b %Y} in {seconds:.0f} s"
                log.info(f"{what}: meta-trained on {when}, kept in {self.folder}; reuse=false trains anew")
                return result
        started = time.perf_counter()
        result = train()
        if is_main():
            self._keep(lambda folder: write(result, folder), time.perf_counter() - started, names)
        return result

    def _content(self) -> dict[str, Any] | None:
        assert self.folder is not None
        try:
            content = read_sealed(self.folder / DESCRIPTION)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning(f"The training kept in {self.folder} is damaged ({error}), so it is done anew.")
            return None
        return content if content["training"] == self.training else None

    def _keep(self, write: Callable[[Path], dict[str, Any]], seconds: float, names: Collection[str]) -> None:
        assert self.folder is not None
        content = {"finished": datetime.now().isoformat(timespec="seconds"), "seconds": seconds}
        try:
            with replaced_folder(self.folder, DESCRIPTION, names) as new:
                write_sealed(new / DESCRIPTION, content | {"result": write(new), "training": dict(self.training)})
        except FewshotError as error:
            log.warning(f"{error} The training is not kept, and the next run does it again.")
