"""Everything in the package that writes files, as small jobs."""

from benchmarks.faults.job import Job
from benchmarks.faults.materials import Materials
from benchmarks.faults.runs import EncoderTraining, FinalStage, MetaTraining, Sweep
from benchmarks.faults.writers import (
    Auditing,
    CacheFilling,
    Distilling,
    Exporting,
    Fit,
    Predict,
    Repair,
    Saving,
    SavingMetaModel,
)

KINDS: tuple[type[Job], ...] = (
    MetaTraining,
    EncoderTraining,
    FinalStage,
    Sweep,
    CacheFilling,
    Saving,
    SavingMetaModel,
    Exporting,
    Fit,
    Predict,
    Repair,
    Distilling,
    Auditing,
)


def jobs(materials: Materials) -> list[Job]:
    """A job of each kind."""
    return [kind(materials) for kind in KINDS]
