"""The `Page` of one number: no drawing of a run around it, only its why."""

from __future__ import annotations

from typing import Any

from whygrad.explain.derivation import Derivation
from whygrad.explain.why import Explainer
from whygrad.view.answers import Answers, Drawn
from whygrad.view.node import page_nodes
from whygrad.view.numbers import number, typographic

__all__ = ["WhyAnswers"]


class WhyAnswers(Answers):
    """Answers over the run of one derivation, which is itself the first of them."""

    def __init__(self, explainer: Explainer, drawn: Drawn, derivation: Derivation) -> None:
        super().__init__(explainer, drawn)
        self.derivation = derivation

    def page(self) -> dict[str, Any]:
        """The `Page`, of level `why`."""
        d = self.derivation
        value = typographic(number(d.value, d.format))
        return {
            "version": 1,
            "level": "why",
            "why": d.address,
            "title": d.address,
            "about": [],
            "story": [[f"{d.address} = ", [d.address, value]]],
            "leftOut": [],
            "file": "",
            "steps": [],
            "table": {"columns": [], "steps": [], "rows": [], "total": 0},
            "neuron": None,
            "network": None,
            "run": None,
            "live": None,
        }

    def ask(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer one question. Raises WhygradError with what was wrong about it."""
        d = self.derivation
        if kind == "why" and body.get("address") == d.address and d.operands:
            parts = self.explainer.contributions(d.address) if d.role == "gradient" else ()
            return {"nodes": page_nodes(d, parts)}
        return super().ask(kind, body)
