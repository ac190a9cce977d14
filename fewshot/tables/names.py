"""Usual names of columns of texts and of labels, in English, German, French and Spanish; the likeliest first."""

import re
from collections.abc import Iterable, Sequence

TEXTS = (
    *("text", "texts", "txt", "message", "messages", "mail", "mails", "email", "emails", "body", "sentence"),
    *("sentences", "utterance", "utterances", "question", "questions", "query", "queries", "content", "comment"),
    *("comments", "review", "reviews", "tweet", "post", "complaint", "feedback", "request", "transcript"),
    *("document", "description", "nachricht", "nachrichten", "satz", "frage", "fragen", "anfrage", "inhalt"),
    *("kommentar", "beschwerde", "beschreibung", "bewertung", "texte", "courriel", "phrase", "demande", "contenu"),
    *("commentaire", "avis", "réclamation", "texto", "mensaje", "mensajes", "correo", "frase", "pregunta"),
    *("consulta", "contenido", "comentario", "queja", "reseña", "input", "term", "title", "titel", "titre"),
    *("título", "subject", "betreff"),
)
LABELS = (
    *("label", "labels", "category", "categories", "class", "classes", "intent", "intents", "target", "targets"),
    *("tag", "tags", "topic", "topics", "label text", "label name", "class name", "class label", "sentiment"),
    *("kategorie", "kategorien", "klasse", "absicht", "thema", "etikett", "bezeichnung", "catégorie", "catégories"),
    *("classe", "intention", "étiquette", "thème", "sujet", "categoría", "categorías", "categoria", "clase"),
    *("intención", "etiqueta", "tema", "department", "abteilung", "type", "typ", "y"),
)
_METADATA = re.compile(r"\b(id|ids|nr|no|date|time|lang|language|length|len|count|score|probability|hash)\b")


def plain_name(column: str) -> str:
    """The normalised name of a column, by which columns are compared.

    Example:
        >>> [plain_name(column) for column in ("Label_Text", " E-Mail ", "messageBody")]
        ['label text', 'email', 'message body']
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column.strip())
    words = re.sub(r"[\W_]+", " ", spaced).casefold().strip()
    return {"e mail": "email", "e mails": "emails"}.get(words, words)


def known_names(cells: Iterable[str]) -> int:
    """The number of cells that are usual names of columns."""
    return sum(plain_name(cell) in (*TEXTS, *LABELS) for cell in cells if len(cell) < 50)


def is_header(cells: Sequence[str]) -> bool:
    """True for two or more cells that are all names of columns, one at least of texts or labels.

    Example:
        >>> is_header(["id", "text"]), is_header(["Message", " please"]), is_header(["text"])
        (True, False, False)
    """
    own = [cell.strip('" ') for cell in cells]
    of_data = known_names(own)
    return len(own) > 1 and of_data > 0 and of_data + sum(map(is_metadata, own)) >= len(own)


def is_metadata(column: str) -> bool:
    """True if a name is that of an id, a date, a language, a length or a score."""
    return _METADATA.search(plain_name(column)) is not None


def by_name(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The column of one of these names, the likeliest first; else the only one that has such a word in its name.

    Example:
        >>> by_name(["id", "Customer message", "Category"], TEXTS), by_name(["id", "mood"], LABELS)
        ('Customer message', None)
    """
    plain_names = {column: plain_name(column) for column in columns if len(column) < 200}
    for name in names:
        for column, plain in plain_names.items():
            if plain == name:
                return column
    matches = [
        column for column, plain in plain_names.items() if set(plain.split()) & set(names) and not is_metadata(column)
    ]
    return matches[0] if len(matches) == 1 else None
