"""The warning for texts in a language that the encoder does not know: on what it warns, and on what it does not."""

import json
import os
from pathlib import Path

import pytest

from fewshot.encoders import languages
from fewshot.encoders.languages import WARNS_FROM, foreign_share, knows_english_alone, warn_of_language
from fewshot.encoders.source import BUNDLED

BENCHMARKS = Path(os.environ.get("FEWSHOT_DATA", "/nowhere"))
FOREIGN = {
    "Chinese": ["我的银行卡丢了", "请问怎么查询余额", "转账什么时候到账", "我想取消订单"],
    "Japanese": ["カードをなくしました", "残高を確認したい", "送金はいつ届きますか"],
    "Russian": ["Я потерял карту", "Как узнать баланс?", "Когда придёт перевод?", "Хочу отменить заказ"],
    "Arabic": ["لقد فقدت بطاقتي", "كيف أعرف رصيدي؟", "متى تصل الحوالة؟", "أريد إلغاء الطلب"],
    "Hindi": ["मेरा कार्ड खो गया है", "मैं अपना बैलेंस कैसे देखूं", "पैसा कब आएगा"],
    "German": [
        "Meine Karte ist weg",
        "Wie kann ich mein Guthaben abfragen?",
        "Überweisung kommt nicht",
        "Karte gesperrt",
    ],
    "French": ["J'ai perdu ma carte", "Comment consulter mon solde ?", "Le virement n'est pas arrivé", "Carte bloquée"],
    "Spanish": ["He perdido mi tarjeta", "¿Cómo consulto mi saldo?", "Quiero cancelar el pedido", "Tarjeta bloqueada"],
    "Italian": ["Ho perso la mia carta", "Come vedo il mio saldo?", "Voglio annullare l'ordine"],
    "Portuguese": ["Perdi o meu cartão", "Como vejo o meu saldo?", "Quero cancelar o pedido"],
    "Dutch": ["Ik ben mijn kaart kwijt", "Hoe kan ik mijn saldo zien?", "Ik wil de bestelling annuleren"],
    "Polish": ["Zgubiłem kartę", "Przelew nie dotarł", "Chcę anulować zamówienie"],
    "Turkish": ["Kartımı kaybettim", "Bakiyemi nasıl öğrenebilirim?", "Siparişi iptal etmek istiyorum"],
    "Vietnamese": ["Tôi bị mất thẻ", "Làm sao xem số dư?", "Khi nào tiền đến?"],
}
ENGLISH = {
    "medicine": ["Systemic lupus erythematosus", "Ménière's disease", "Guillain-Barré syndrome", "Carcinoma in situ"],
    "machines": ["DPR 1 unserviceable", "pump seal leaking", "hyd hose burst", "come adrift", "non operational"],
    "software": ["NullPointerException in main()", "API returns 503", "git rebase conflict", "die() in el.js"],
    "chat": ["yo", "las vegas weather today", "what is por favor in english", "no", "LA or NY?"],
    "numbers": ["42", "", "3.5 %", "€ 20"],
}


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch):
    monkeypatch.setattr(languages, "_warned", set())


@pytest.mark.parametrize("texts", FOREIGN.values(), ids=FOREIGN)
def test_other_languages_are_seen_alone_and_among_twice_as_many_english_texts(texts):
    assert foreign_share(texts) >= 0.5
    assert foreign_share([*texts, *["Where is my card?", "I want to cancel"] * len(texts)]) >= 0.5 / 3


@pytest.mark.parametrize("texts", ENGLISH.values(), ids=ENGLISH)
def test_english_of_any_kind_is_english(texts):
    assert foreign_share(texts) < WARNS_FROM


@pytest.mark.parametrize("name", ["banking77", "clinc150", "failure_modes", "bank_bot"])
def test_no_false_alarm_on_english_data_sets(name):
    file = BENCHMARKS / name / "texts.jsonl"
    if not file.is_file():
        pytest.skip(f"{file} is not here")
    texts = [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]
    assert foreign_share(texts) < 0.01


def test_no_false_alarm_on_medical_terms():
    from fewshot.tasks import load_bundled

    assert foreign_share(load_bundled("medical_terms").texts) < 0.01


def test_one_text_that_only_looks_foreign_is_not_enough():
    assert foreign_share(["das auto"]) == 0
    assert foreign_share(["das auto", "ich weiß nicht"]) == 1
    assert foreign_share(["我的卡在哪里"]) == 1


def test_the_warning_names_multilingual_models_and_comes_once_in_predictions(caplog):
    for _ in range(2):
        warn_of_language(BUNDLED, FOREIGN["Chinese"], once=True)
    assert len(caplog.records) == 1
    assert "100% of the texts" in caplog.text
    assert "paraphrase-multilingual-MiniLM-L12-v2" in caplog.text
    warn_of_language(BUNDLED, FOREIGN["Chinese"])
    assert len(caplog.records) == 2


def test_only_encoders_known_to_be_english_are_talked_of(caplog):
    warn_of_language("intfloat/multilingual-e5-small", FOREIGN["Chinese"])
    assert caplog.records == []
    assert knows_english_alone("sentence-transformers/all-mpnet-base-v2")
    assert knows_english_alone("/models/all-MiniLM-L6-v2/")
    assert not knows_english_alone("/models/ours")
