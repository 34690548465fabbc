"""The Compare and Report tabs in a browser, wide and narrow, light and dark."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sat_probe.demo.browse.published import bundled_report
from tests.hub.made_reports import made_report
from tests.spaces_demo.conftest import NARROW, PUBLISHED, STRANGE, open_tab, visiting

pytestmark = pytest.mark.browser


def saved_csv(page, name: str, folder: Path) -> pd.DataFrame:
    with page.expect_download() as download:
        page.get_by_role("link", name=name).click()
    download.value.save_as(folder / "saved.csv")
    return pd.read_csv(folder / "saved.csv", dtype=object)


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def upload_second(page, path: Path) -> None:
    """Upload the second table, and wait until the upload is complete."""
    page.get_by_text("or upload a table of heads").last.click()
    page.locator("input[type=file]:not([accept*=audio])").last.set_input_files(path)
    page.locator(".file-preview", has_text=path.stem).wait_for()


def unnamed_figures(page) -> int:
    return page.locator("svg[role=img]:not([aria-label]), svg[role=img][aria-label='']").count()


def test_compare_an_uploaded_table_with_the_bundled_report(browser, explorer, tmp_path):
    heads = bundled_report().heads.copy()
    heads.loc[0, "category"] = "diagonal" if heads.loc[0, "category"] != "diagonal" else "global"
    heads.to_parquet(tmp_path / "mine.parquet")
    with visiting(browser, explorer) as page:
        open_tab(page, "Compare")
        upload_second(page, tmp_path / "mine.parquet")
        page.get_by_role("button", name="Compare", exact=True).click()
        page.get_by_text(f"1 of {len(heads)} heads have another category").wait_for()
        page.get_by_role("img", name="Category of every head, mine.parquet").wait_for()
        assert page.locator("svg[role=img]:visible").count() >= 8
        assert unnamed_figures(page) == 0
        saved = saved_csv(page, f"Save all {len(heads)} heads", tmp_path)
        assert saved["changed"].tolist().count("True") == 1


def test_filter_sort_and_save_the_heads_of_a_report(browser, explorer, tmp_path):
    heads = bundled_report().heads
    with visiting(browser, explorer) as page:
        open_tab(page, "Report")
        page.get_by_role("link", name=f"Save {len(heads)} of {len(heads)} heads").wait_for()
        assert page.get_by_text("bundled", exact=True).first.is_visible()
        page.get_by_label("From layer").fill("1")
        wanted = heads[heads["layer"] >= 1]
        page.get_by_role("link", name=f"Save {len(wanted)} of {len(heads)} heads").wait_for()
        page.get_by_label("largest first").check()
        page.get_by_role("checkbox", name="global").uncheck()
        wanted = wanted[wanted["category"] != "global"]
        page.get_by_role("link", name=f"Save {len(wanted)} of {len(heads)} heads").wait_for()
        saved = saved_csv(page, f"Save {len(wanted)} of {len(heads)} heads", tmp_path)
    wanted = wanted.sort_values(["layer", "head"]).sort_values("layer", ascending=False, kind="stable")
    for column in wanted.select_dtypes("number"):
        assert saved[column].astype(float).tolist() == wanted[column].tolist(), column


def test_names_in_a_published_dataset_are_escaped(browser, explorer):
    with visiting(browser, explorer, theme="dark") as page:
        open_tab(page, "Report")
        page.get_by_role("link", name="heads as CSV").wait_for()
        page.get_by_label("Report", exact=True).click()
        page.get_by_role("option", name=PUBLISHED).click()
        page.get_by_role("link", name="Save 6 of 6 heads").wait_for()
        page.get_by_label("Model").last.click()
        page.get_by_role("option", name="img src=x").click()
        page.locator("dd", has_text=STRANGE).wait_for()
        assert page.locator("img[src=x]").count() == 0
        assert page.evaluate("document.body.classList.contains('dark')")


def test_a_file_that_is_no_table_is_refused_in_one_line(browser, explorer, tmp_path):
    (tmp_path / "<b>heads.csv").write_text("not,a table\n1,2\n", encoding="utf-8")
    with visiting(browser, explorer) as page:
        open_tab(page, "Compare")
        page.get_by_role("img", name="Category of every head").first.wait_for()
        upload_second(page, tmp_path / "<b>heads.csv")
        page.get_by_role("button", name="Compare", exact=True).click()
        page.get_by_text("lacks the column 'layer'").wait_for()


def test_a_narrow_dark_screen_needs_no_sideways_scrolling(browser, explorer):
    with visiting(browser, explorer, NARROW, "dark") as page:
        ready = {"Compare": page.get_by_role("heading", name="Head by head"), "Report": page.locator("a.csv")}
        for name, last in ready.items():
            open_tab(page, name)
            last.filter(visible=True).wait_for()
            assert fits(page), name
            assert unnamed_figures(page) == 0
            captions = page.locator("caption").filter(visible=True)
            assert captions.count()
            assert all(caption.bounding_box()["width"] < NARROW for caption in captions.all()), "cut off"
        page.get_by_role("region", name="Heads of the report").focus()
        assert page.evaluate("document.activeElement.getAttribute('role')") == "region"


def test_the_report_tab_can_be_used_with_the_keyboard_alone(browser, explorer):
    heads = made_report().heads
    assert len(heads) == 6
    with visiting(browser, explorer) as page:
        open_tab(page, "Explore")
        page.get_by_role("tab", name="Explore").focus()
        for _ in range(3):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.innerText") == "Report":
                break
        page.keyboard.press("Enter")
        page.get_by_role("link", name="heads as CSV").wait_for()
        page.get_by_label("To layer").focus()
        page.keyboard.type("0")
        first = (bundled_report().heads["layer"] == 0).sum()
        page.get_by_role("link", name=f"Save {first} of").wait_for()
