"""The demo shows its first page without importing torch or matplotlib, and skips Gradio's stub generation."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, sys, time
import sat_probe.demo.app as demo
import gradio as gr
from gradio import component_meta
demo.build_app(demo.DemoSettings())
demo.explore_tab.saved_page()
class Own(gr.Textbox):
    EVENTS = ["change"]
own = Own(value="kept")
print(json.dumps({
    "imported": sorted({"torch", "transformers", "matplotlib", "scipy.signal", "datasets"} & set(sys.modules)),
    "writer": component_meta.create_or_modify_pyi.__module__,
    "value": own.value,
    "listens": callable(own.change) and callable(gr.Dropdown.input),
    "finders": [type(finder).__module__ for finder in sys.meta_path].count("sat_probe.demo"),
}))
"""


def started(before: str = "") -> dict[str, object]:
    result = subprocess.run(
        [sys.executable, "-c", before + SCRIPT], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(result.stdout.splitlines()[-1])


def test_first_page_needs_no_heavy_import():
    seen = started()
    assert seen["imported"] == []
    assert seen["writer"] == "sat_probe.demo"
    assert seen["value"] == "kept", "components and their events still work"
    assert seen["listens"]
    assert seen["finders"] == 0


def test_gradio_imported_before_is_left_unchanged():
    seen = started("import gradio;")
    assert seen["writer"] == "gradio.component_meta"
    assert seen["finders"] == 0
