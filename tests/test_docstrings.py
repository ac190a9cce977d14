"""Every example in a docstring runs and gives what it says."""

import doctest
import importlib
import pkgutil

import pytest

import fewshot

NAMES = [
    module.name
    for module in pkgutil.walk_packages(fewshot.__path__, "fewshot.")
    if not module.name.endswith("__main__") and "_shipped" not in module.name
]
FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_a_module_run(name):
    module = importlib.import_module(name)

    assert doctest.testmod(module, optionflags=FLAGS).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(len(test.examples) for name in NAMES for test in finder.find(importlib.import_module(name))) >= 10
