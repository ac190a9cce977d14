"""The loss of a step of fine-tuning: cross-entropy of the head, and perhaps a contrastive term beside it."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from fewshot.adaptation.head import CosineHead
from fewshot.adaptation.labelled import LabelledTexts
from fewshot.adaptation.tuning import TuningSettings
from fewshot.encoders import TrainableEncoder
from fewshot.training.terms import supervised_contrastive


class FineTuneObjective(nn.Module):
    """Embeds the texts of a batch and adds up the weighted losses.

        L = CE(logits, classes) + w_contrastive L_contrastive

    Args:
        encoder, head: are tuned.
        support: its texts are what batches index; label names do not count.
        settings: weights and temperature of the terms, and tokens of a pass.
    """

    def __init__(self, encoder: TrainableEncoder, head: CosineHead, support: LabelledTexts, settings: TuningSettings):
        super().__init__()
        self.encoder, self.head, self.support, self.settings = encoder, head, support, settings

    def forward(self, batch: Int[Tensor, " batch"]) -> dict[str, Float[Tensor, ""]]:
        """The losses of some texts of the support by name, in nats, and their weighted sum as `loss`."""
        texts, settings = [self.support.texts[index] for index in batch.tolist()], self.settings
        embedded = self.head.embed(self.encoder.embed_texts(texts, settings.tokens_per_pass))
        classes = self.support.classes[batch].to(embedded.device)
        logits = self.head.of_embedded(embedded)
        own = nn.functional.cross_entropy(logits, classes, label_smoothing=settings.label_smoothing)
        if not settings.contrastive_weight:
            return {"loss": own}
        contrastive = supervised_contrastive(embedded, classes, settings.temperature)
        return {"loss": own + settings.contrastive_weight * contrastive, "task": own, "contrastive": contrastive}
