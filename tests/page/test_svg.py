"""Axes and text of the charts."""

import pytest

from fewshot.page.svg import Axis, breakable, picture, text, tick_label, visible


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.0, 1.0], (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ([0.842, 0.861], (0.84, 0.845, 0.85, 0.855, 0.86, 0.865)),
        ([0.3, 0.3], (0.28, 0.285, 0.29, 0.295, 0.3)),
        ([0.0, 0.0], (0.0, 0.005, 0.01, 0.015, 0.02)),
    ],
)
def test_an_axis_ends_at_round_numbers_around_its_values(values, ticks):
    axis = Axis.around(values, 10.0, 110.0)
    assert axis.ticks() == pytest.approx(ticks)
    assert axis.low <= min(values)
    assert axis.high >= max(values)
    assert axis.at(axis.low) == 10
    assert axis.at(axis.high) == 110


def test_an_axis_whose_end_comes_first_goes_up():
    axis = Axis(0.0, 1.0, 300.0, 0.0)
    assert axis.at(0.25) == 225


def test_numbers_of_an_axis_are_short():
    assert [tick_label(0.845, True), tick_label(0.2, False), tick_label(1.0, True)] == ["84.5", "0.2", "100"]


def test_what_is_hidden_in_a_text_is_written_out():
    assert visible("a\x00b\u202ec\ud800") == "a␀b\\u202ec\\ud800"
    assert visible("नमस्ते 👩‍🔬") == "नमस्ते 👩‍🔬"


def test_words_are_escaped():
    assert text(1.0, 2.0, '<b>&"') == '<text x="1.0" y="2.0" text-anchor="middle">&lt;b&gt;&amp;&quot;</text>'
    assert breakable("<a_b>") == "&lt;a_<wbr>b&gt;"
    svg = picture("name", "<title>", "a & b", (10.0, 10.0), []).svg
    assert '<title id="name-title">&lt;title&gt;</title><desc id="name-said">a &amp; b</desc>' in svg
