"""How good the check of prose is, on documents with errors planted: it finds nearly all, and invents nearly nothing."""

from __future__ import annotations

import pytest

from tests.check import corpus
from whygrad.check.prose.checking import check_document


@pytest.fixture(scope="module")
def figures() -> list[corpus.Figures]:
    return list(corpus.everything())


def test_the_corpus_is_large_enough(figures: list[corpus.Figures]) -> None:
    assert len(figures) >= 12
    assert sum(each.numbers for each in figures) > 400
    assert {corpus.made(each.name).notebook for each in figures} == {True, False}
    assert set(corpus.HELD_OUT) <= {each.name for each in figures}


def test_recall(figures: list[corpus.Figures]) -> None:
    missed = [f"{each.name}: {error}" for each in figures for error in each.missed]
    planted = sum(each.planted for each in figures)
    assert len(missed) <= 0.05 * planted, "\n".join(missed)


def test_false_alarms(figures: list[corpus.Figures]) -> None:
    """At most one in 200 numbers."""
    invented = [f"{each.name} {f.place}: {f.sentence()}" for each in figures for f in each.invented]
    assert len(invented) <= sum(each.numbers for each in figures) / 200, "\n".join(invented)


def test_most_results_are_traced(figures: list[corpus.Figures]) -> None:
    """A checker that leaves everything alone invents nothing either."""
    assert sum(each.traced for each in figures) > 0.7 * sum(each.numbers for each in figures)


def test_a_notebook_with_25_errors() -> None:
    found = corpus.figures("errata")
    assert found.planted >= 25
    assert len(found.missed) <= 1, found.missed
    assert found.invented == []


def test_every_kind_of_error_is_planted(figures: list[corpus.Figures]) -> None:
    kinds = {error.label for each in figures for error in corpus.made(each.name).planted}
    assert kinds >= {
        "wrong digit", "other precision", "stale learning rate", "stale setting", "wrong step", "wrong arithmetic", "wrong claim",
        "wrong grad_fn", "wrong dtype", "wrong shape", "wrong format",
    }  # fmt: skip


def test_a_finding_says_what_is_so_and_why() -> None:
    """The nearest recorded number, and the equation that gives it."""
    it = corpus.made("neuron")
    found = {each.text: each for each in check_document(it.document(True), [it.run.trace]).findings}
    settings = [each for each in found.values() if each.kind == "setting"]
    assert [each.sentence() for each in settings] == ["says the learning rate is 0.01: the code uses 0.1"]
    step = next(each for each in it.planted if each.label == "wrong step" and each.text in found)
    finding = found[step.text]
    assert finding.address.endswith(("@0", "@4"))
    assert finding.derivation.startswith(f"{finding.address} = ")
    assert finding.to_dict()["line"] == step.line


def test_without_a_run_code_outputs_and_arithmetic_count() -> None:
    it = corpus.made("xor")
    right, wrong = check_document(it.document(False)), check_document(it.document(True))
    assert {"setting", "arithmetic", "statement"} <= {each.kind for each in wrong.findings}
    assert not [each for each in right.findings if each.kind != "number"]
