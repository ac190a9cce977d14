"""Requests and responses, as the OpenAPI document shows them."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fewshot.serving.limits import MAX_CHARACTERS, MAX_LABEL, MAX_TEXTS

Text = Annotated[str, Field(max_length=MAX_CHARACTERS)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)]
Label = str | int
NewLabel = Annotated[str, Field(min_length=1, max_length=MAX_LABEL)] | Annotated[int, Field(gt=-(2**53), lt=2**53)]
_MODEL = "the name of a model, or null for the first one"


def _whole(value: Any) -> Any:
    """The int of a float such as 5.0, which is a whole number in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Strict(BaseModel):
    """A request: other fields are refused, and nothing is converted."""

    model_config = ConfigDict(strict=True, extra="forbid")


class PredictRequest(Strict):
    """Texts to classify."""

    texts: Text | Texts = Field(
        description=f"a text, or a list of 1 to {MAX_TEXTS} texts, each of {MAX_CHARACTERS:,} characters at most"
    )
    model: str | None = Field(None, description=_MODEL)
    top: Annotated[int | None, BeforeValidator(_whole)] = Field(
        5, ge=1, le=2**31, description="a whole number from 1 on of labels, or null for all labels"
    )
    explain: bool = Field(False, description="true or false: whether it is said what decided")


class LearnRequest(Strict):
    """Labelled texts to learn."""

    texts: Texts = Field(description=f"a list of 1 to {MAX_TEXTS} texts, each of {MAX_CHARACTERS:,} characters at most")
    labels: list[NewLabel | list[NewLabel]] = Field(
        min_length=1,
        max_length=MAX_TEXTS,
        description=f"a list with the label of each text, a text of 1 to {MAX_LABEL:,} characters or a whole number; "
        "of a model that gives several labels a list of labels for each text",
    )
    model: str | None = Field(None, description=_MODEL)


class Response(BaseModel):
    """A response."""


class LabelProbability(Response):
    """A label and its probability, which is calibrated."""

    label: Label
    probability: float


class Evidence(Response):
    """A labelled text, or the name of a label, and what it adds to the score of the explained label."""

    text: str
    label: Label | list[Label]
    is_label_name: bool
    cosine: float
    weight: float


class Explanation(Response):
    """The evidence for a label; the weights of all evidence and the rest add up to the score."""

    label: Label
    score: float
    evidence: list[Evidence]
    rest: float


class Prediction(Response):
    """The prediction of a model for a text."""

    label: Label | list[Label] | None = Field(
        description="the most probable one; if rejected the label for this, or null"
    )
    probability: float
    rejected: bool
    probabilities: list[LabelProbability]
    explanation: Explanation | None = None


class PredictResponse(Response):
    """The predictions of a model."""

    request_id: str
    model: str
    digest: str
    predictions: list[Prediction]


class LearnResponse(Response):
    """The model that has learnt."""

    request_id: str
    model: str
    digest: str
    labels: list[Label]
    n_texts: int | None
    saved: bool


class Model(Response):
    """A model."""

    name: str
    digest: str
    labels: list[Label]
    several_labels: bool
    rejects: bool
    explains: bool
    n_texts: int | None
    n_learnt: int
    held_out_accuracy: str | None


class ModelList(Response):
    """All models, the one that answers where none is named first."""

    models: list[Model]


class Health(Response):
    """The state of the server."""

    status: str


class Problem(Response):
    """An error, with its cause and a cure."""

    detail: str


def problems(**statuses: str) -> dict[int | str, dict[str, Any]]:
    """Responses of errors for the OpenAPI document, from `_422="meaning"`."""
    return {int(name[1:]): {"model": Problem, "description": meaning} for name, meaning in statuses.items()}
