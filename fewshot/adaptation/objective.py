"""The loss of a step of fine-tuning: cross-entropy of the head, and perhaps a contrastive term beside it."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from fewshot.adaptation.head import CosineHead
from fewshot.adaptation.labelled import LabelledTexts
from fewshot.encoders import TrainableEncoder
from fewshot.training.terms import supervised_contrastive


class FineTuneObjective(nn.Module):
    """Embeds the texts of a batch and adds up the weighted losses.

        L = CE(logits, classes) + w_contrastive L_contrastive

    Args:
        encoder: what is tuned.
        head: is tuned along.
        support: its texts are what batches index; label names do not count.
        contrastive_weight: of the supervised contrastive term over the texts of the batch; 0 leaves it out.
        temperature: of the contrastive term.
        label_smoothing: share of each target that is spread over all classes.
        tokens_per_pass: most padded tokens that go through the encoder at once.
    """

    def __init__(
        self,
        encoder: TrainableEncoder,
        head: CosineHead,
        support: LabelledTexts,
        *,
        contrastive_weight: float = 0.0,
        temperature: float = 0.1,
        label_smoothing: float = 0.0,
        tokens_per_pass: int = 1024,
    ):
        super().__init__()
        self.encoder, self.head, self.support = encoder, head, support
        self.contrastive_weight, self.temperature = contrastive_weight, temperature
        self.label_smoothing, self.tokens_per_pass = label_smoothing, tokens_per_pass

    def forward(self, batch: Int[Tensor, " batch"]) -> dict[str, Float[Tensor, ""]]:
        """The losses of some texts of the support by name, in nats, and their weighted sum as `loss`."""
        texts = [self.support.texts[index] for index in batch.tolist()]
        embedded = self.head.embed(self.encoder.embed_texts(texts, self.tokens_per_pass))
        classes = self.support.classes[batch].to(embedded.device)
        logits = self.head.of_embedded(embedded)
        own = nn.functional.cross_entropy(logits, classes, label_smoothing=self.label_smoothing)
        if not self.contrastive_weight:
            return {"loss": own}
        contrastive = supervised_contrastive(embedded, classes, self.temperature)
        return {"loss": own + self.contrastive_weight * contrastive, "task": own, "contrastive": contrastive}
