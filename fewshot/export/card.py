"""The README of an exported classifier: a description, and a program that runs it."""

from fewshot.export.description import DESCRIPTION, MODELS, RUNTIMES, TOKENIZER, Description

_LOAD = {
    "onnx": 'session = onnxruntime.InferenceSession(f"{folder}/model.onnx")',
    "openvino": 'model = openvino.Core().compile_model(f"{folder}/model.xml", "CPU")',
}
_RUN = {
    "onnx": "logits, *score = session.run(None, inputs)",
    "openvino": "logits, *score = model(inputs).to_tuple()",
}
_EXAMPLE = '''"""python classify.py FOLDER "a text" "another text": the label of each text, and its probability."""

import json
import sys

import numpy as np
import {runtime}
from tokenizers import Tokenizer

folder, *texts = sys.argv[1:]
with open(f"{{folder}}/{description}", encoding="utf-8") as file:
    about = json.load(file)
tokenizer = Tokenizer.from_file(f"{{folder}}/{tokenizer}")  # cuts and pads by itself
{load}

encoded = tokenizer.encode_batch(texts)
columns = {{
    "input_ids": [encoding.ids for encoding in encoded],
    "attention_mask": [encoding.attention_mask for encoding in encoded],
    "token_type_ids": [encoding.type_ids for encoding in encoded],
}}
inputs = {{name: np.array(columns[name], dtype=np.int64) for name in about["inputs"]}}
{run}
scaled = logits / about["temperature"]

if about["thresholds"] is None:  # one label a text
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    probabilities = powers / powers.sum(1, keepdims=True)
    for number, (text, row) in enumerate(zip(texts, probabilities)):
        best = int(row.argmax())
        rejected = about["rejects_below"] is not None and score[0][number] < about["rejects_below"]
        print(text, "none of the labels" if rejected else about["labels"][best], f"{{row[best]:.4f}}", sep="\\t")
else:  # any number of labels
    for text, row in zip(texts, 1 / (1 + np.exp(-scaled))):
        chosen = np.flatnonzero(row >= about["thresholds"])
        print(text, *(f"{{about['labels'][number]}} {{row[number]:.4f}}" for number in chosen), sep="\\t")
'''


def example(kind: str) -> str:
    """A program that classifies texts with an exported folder, without this package."""
    parts = {"runtime": RUNTIMES[kind], "load": _LOAD[kind], "run": _RUN[kind]}
    return _EXAMPLE.format(**parts, description=DESCRIPTION, tokenizer=TOKENIZER)


def card(description: Description) -> str:
    """The README in Markdown."""
    masked = (
        "\nPersonal data is to be masked before a text is read (`fewshot` does so); the program below does not.\n"
        if description.mask_personal_data
        else ""
    )
    limit = description.max_length
    extent = "all of a text" if limit is None else f"the first {limit} tokens of a text"
    return f"""---
library_name: fewshot-text
pipeline_tag: text-classification
tags:
- few-shot
- fewshot
- {description.kind}
---

# A text classifier of {len(description.labels)} labels, exported

`{MODELS[description.kind][0]}` goes from token ids to logits, in {description.precision}; it reads {extent}. Labels,
temperature and thresholds are in `{DESCRIPTION}`. No text that the classifier was fitted on is in this folder.
{masked}
```python
from fewshot import ExportedClassifier

classifier = ExportedClassifier.from_pretrained("this folder")
classifier.predict(["a new text"])
```

Without `fewshot`: `pip install numpy tokenizers {RUNTIMES[description.kind]}`, and

```python
{example(description.kind)}```
"""
