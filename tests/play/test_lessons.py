"""The lessons' live pages: each name opens what its lesson is about, and a program's numbers are the lesson's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from whygrad.errors import WhygradError
from whygrad.explain.why import Explainer
from whygrad.play.lessons import LESSONS, Lab, Program, is_lesson, lesson_of, record_lesson
from whygrad.play.serve import make_server

ROOT = Path(__file__).resolve().parents[2]


def test_there_is_one_for_each_notebook() -> None:
    numbers = sorted(path.name.partition("-")[0] for path in (ROOT / "lessons").glob("*.py"))
    assert [f"lesson-{number}" for number in numbers] == list(LESSONS)


@pytest.mark.parametrize("name", [name for name, each in LESSONS.items() if isinstance(each, Lab)])
def test_a_lab_opens_with_the_lessons_knobs(name: str) -> None:
    lesson = LESSONS[name]
    assert isinstance(lesson, Lab)
    server = make_server(name)
    try:
        page = server.sessions.open(None)[1]
        assert page["live"]["config"]["level"] == lesson.config.level
        assert page["live"]["config"]["optimizer"] == lesson.config.optimizer
        assert server.sessions.open({"level": "neuron", "seed": 5})[1]["live"]["config"]["seed"] == 5
    finally:
        server.server_close()


def test_the_tanh_neuron_is_the_one_of_lesson_3() -> None:
    found = Explainer(record_lesson("lesson-3")).why("linear.weight[0,0].grad@0", depth=1)
    assert float(found.value) == pytest.approx(2 * (torch.tanh(torch.tensor(2.0)).item() + 0.5) * 0.0706508, rel=1e-5)
    assert found.verdict.kind == "same bits"


def test_low_precision_loses_updates_that_float32_keeps() -> None:
    history = record_lesson("lesson-7").history
    bias = history.column("linear.bias")
    assert bias[-1] == bias[-2]


@pytest.mark.parametrize(
    ("name", "address", "steps"),
    [
        ("lesson-2", "linear.weight[0,0].grad@0", tuple(range(300))),
        ("lesson-5", "output.weight[5,9].grad@200", (0, 200)),
        ("lesson-8", "attention.weights.output[0,3,2]@199", (0, 30, 199)),
    ],
)
def test_a_program_gives_the_numbers_of_its_notebook(name: str, address: str, steps: tuple[int, ...]) -> None:
    before = torch.get_rng_state()
    trace = record_lesson(name)
    assert torch.equal(before, torch.get_rng_state())
    assert tuple(info.number for info in trace.index if info.kept) == steps
    value = float(Explainer(trace).why(address, depth=0).value)
    [notebook] = (ROOT / "lessons").glob(f"{name.removeprefix('lesson-')}-*.ipynb")
    shown = f"{torch.tensor(value, dtype=torch.float32).item():.7g}".replace("-", "−")
    assert shown in notebook.read_text(encoding="utf-8")


def test_a_program_is_served_as_a_recorded_run() -> None:
    server = make_server("lesson-2")
    try:
        name, page = server.sessions.open(None)
        assert (page["live"], page["file"]) == (None, "lesson-2.why")
        with server.sessions.use(name) as answers:
            node = answers.ask("why", {"address": "loss@0"})["nodes"][0]
            assert node["verdict"]["sign"] == "same"
    finally:
        server.server_close()


def test_an_unknown_lesson_is_answered_with_the_list() -> None:
    assert is_lesson("lesson-9")
    assert not is_lesson("lesson-9.why")
    with pytest.raises(WhygradError, match=r"no lesson-9; the lessons are lesson-1 \(one neuron\), .*lesson-8"):
        lesson_of("lesson-9")
    with pytest.raises(WhygradError, match="no lesson-0"):
        make_server("lesson-0")


def test_the_programs_are_there_and_read_no_file() -> None:
    demos = ROOT / "src" / "whygrad" / "demos"
    programs = [each for each in LESSONS.values() if isinstance(each, Program)]
    assert programs
    for each in programs:
        text = (demos / each.file).read_text(encoding="utf-8")
        assert not any(word in text for word in ("open(", "read_text", "Path("))
