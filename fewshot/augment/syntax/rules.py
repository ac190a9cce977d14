"""All rules by name."""

from fewshot.augment.syntax.asking import ASKING
from fewshot.augment.syntax.carriers import CARRIERS, carrier_rule
from fewshot.augment.syntax.clauses import CLAUSES
from fewshot.augment.syntax.contractions import CONTRACTIONS
from fewshot.augment.syntax.forms import FORMS
from fewshot.augment.syntax.objects import OBJECTS
from fewshot.augment.syntax.order import ORDER
from fewshot.augment.syntax.politeness import POLITENESS
from fewshot.augment.syntax.questions import QUESTIONS
from fewshot.augment.syntax.requests import REQUESTS
from fewshot.augment.syntax.rule import Rule
from fewshot.augment.syntax.small_words import SMALL_WORDS
from fewshot.augment.syntax.terms import TERMS
from fewshot.augment.syntax.voice import VOICE

RULES: dict[str, Rule] = {
    rule.name: rule
    for theme in (
        TERMS,
        ORDER,
        OBJECTS,
        FORMS,
        CONTRACTIONS,
        SMALL_WORDS,
        CLAUSES,
        VOICE,
        QUESTIONS,
        ASKING,
        REQUESTS,
        POLITENESS,
        (carrier_rule(CARRIERS),),
    )
    for rule in theme
}
