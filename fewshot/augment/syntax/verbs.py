"""Forms of common verbs, so that word order and voice can change without a parser.

Only verbs of the list are ever inflected: a rule that meets another word leaves the text alone.
"""

_IRREGULAR = """
begin began begun, break broke broken, bring brought brought, build built built, buy bought bought, catch caught caught,
choose chose chosen, come came come, cost cost cost, cut cut cut, do did done, draw drew drawn, drive drove driven,
eat ate eaten, fall fell fallen, feel felt felt, find found found, fly flew flown, forget forgot forgotten,
freeze froze frozen, get got got, give gave given, go went gone, grow grew grown, have had had, hear heard heard,
hold held held, keep kept kept, know knew known, lead led led, leave left left, lend lent lent, lose lost lost,
make made made, mean meant meant, meet met met, pay paid paid, put put put, read read read, repay repaid repaid,
reset reset reset, ride rode ridden, run ran run, say said said, see saw seen, sell sold sold, send sent sent,
set set set, shut shut shut, sit sat sat, speak spoke spoken, spend spent spent, split split split, stand stood stood,
steal stole stolen, swim swam swum, take took taken, teach taught taught, tell told told, think thought thought,
understand understood understood, undo undid undone, unfreeze unfroze unfrozen, wake woke woken, wear wore worn,
win won won, withdraw withdrew withdrawn, withhold withheld withheld, write wrote written
"""
_REGULAR = """
accept access activate add agree allow answer appear apply approve arrive ask assist authorize avoid bake believe
block book borrow call cancel carry cash change charge check claim clean clear click close collect complete confirm
connect contact convert cook cover create credit debit decide decline decrease delete deliver deny deposit describe
dim disable disappear dispute download earn email enable end enroll enter exchange exist expect expire explain fail
fill finish fix flip follow forward fund gain grant guide happen hack help identify improve include increase inform
insert install invest issue join jump kill like link list live load locate lock log look mail manage mark match
mention miss move need notice notify obtain offer open order overcharge own pass perform pick place plan play post
prepare prevent print process protect provide pull purchase push raise reach receive recharge recognise recognize
recommend record recover reduce refill refund refuse register reject release remember remind remove renew rent
repeat replace reply report request require reschedule reserve resolve restore retrieve return reveal reverse
review roll save schedule scan search select settle share ship show sign skip snooze solve spell start stay stop
store submit substitute subtract suggest support suspend swallow swap switch talk tap taste text thank top touch
track trade transfer translate travel trigger trust try turn type unblock unlock update upgrade upload use validate
verify visit wait waive walk want warn wash wire wonder work
"""
_DOUBLED = frozenset(
    ["cancel", "dim", "flip", "log", "plan", "scan", "ship", "skip", "stop", "swap", "tap", "top", "transfer", "travel"]
)
_VOWELS = "aeiou"


def third(base: str) -> str:
    """Third person singular.

    Example:
        >>> [third(verb) for verb in ("have", "try", "pay", "reach", "expire")]
        ['has', 'tries', 'pays', 'reaches', 'expires']
    """
    if base in ("have", "do", "go"):
        return {"have": "has", "do": "does", "go": "goes"}[base]
    if base.endswith(("s", "x", "z", "ch", "sh")):
        return base + "es"
    return base[:-1] + "ies" if _ends_in_consonant_y(base) else base + "s"


def gerund(base: str) -> str:
    """The form in -ing.

    Example:
        >>> [gerund(verb) for verb in ("make", "swap", "see", "get", "deposit")]
        ['making', 'swapping', 'seeing', 'getting', 'depositing']
    """
    doubled = _DOUBLED | {"begin", "cut", "forget", "get", "put", "reset", "run", "set", "shut", "sit", "split", "win"}
    if base in doubled | {"swim"}:
        return base + base[-1] + "ing"
    return (base[:-1] if base.endswith("e") and not base.endswith("ee") else base) + "ing"


def past(base: str) -> str:
    """Simple past of a listed verb.

    Example:
        >>> [past(verb) for verb in ("steal", "decline", "transfer", "deny", "block")]
        ['stole', 'declined', 'transferred', 'denied', 'blocked']
    """
    return _PAST[base]


def participle(base: str) -> str:
    """Past participle of a listed verb.

    Example:
        >>> participle("steal"), participle("use")
        ('stolen', 'used')
    """
    return _PARTICIPLE[base]


def is_base(word: str) -> bool:
    """Whether the word is the bare infinitive of a listed verb, "be" included."""
    return word in _PAST or word == "be"


def base_of_past(word: str) -> str | None:
    """The verb that a simple past belongs to.

    Example:
        >>> base_of_past("took"), base_of_past("table")
        ('take', None)
    """
    return _FROM_PAST.get(word)


def base_of_participle(word: str) -> str | None:
    """The verb that a past participle belongs to."""
    return _FROM_PARTICIPLE.get(word)


def base_of_third(word: str) -> str | None:
    """The verb that a third person singular belongs to."""
    return _FROM_THIRD.get(word)


def base_of_gerund(word: str) -> str | None:
    """The verb that a form in -ing belongs to."""
    return _FROM_GERUND.get(word)


def is_finite(word: str) -> bool:
    """Whether the word can be the past or the third person of a listed verb."""
    return word in _FROM_PAST or word in _FROM_THIRD


def _ends_in_consonant_y(base: str) -> bool:
    return base.endswith("y") and base[-2] not in _VOWELS


def _regular_past(base: str) -> str:
    if base.endswith("e"):
        return base + "d"
    if base in _DOUBLED:
        return base + base[-1] + "ed"
    return base[:-1] + "ied" if _ends_in_consonant_y(base) else base + "ed"


_PAST = {base: _regular_past(base) for base in _REGULAR.split()}
_PARTICIPLE = dict(_PAST)
for _forms in _IRREGULAR.split(","):
    _base, _PAST[_base], _PARTICIPLE[_base] = (*_forms.split()[:1], *_forms.split()[1:])
_FROM_PAST = {form: base for base, form in _PAST.items()}
_FROM_PARTICIPLE = {form: base for base, form in _PARTICIPLE.items()}
_FROM_THIRD = {third(base): base for base in _PAST}
_FROM_GERUND = {gerund(base): base for base in _PAST}
