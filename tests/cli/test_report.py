from __future__ import annotations

import os
import stat
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from smsc_async.records import Format
from smsc_async.simulator import Fault, SimulatedAccount, Simulator, render, sample_tariffs
from tests.cli.running import invoke, piped
from tests.report.pages import data_of, unfolded

DAY = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A list of a tenth less, saved on the first of November."""
    path = tmp_path / "before.json"
    path.write_bytes(render(sample_tariffs(Decimal("0.9")), Format.JSON))
    os.utime(path, (DAY.timestamp(), DAY.timestamp()))
    return path


def accounts_in(page: str) -> list[Any]:
    found: list[Any] = data_of(page)["accounts"]
    return found


@pytest.mark.usefixtures("both")
def test_a_page_has_the_lists_of_the_accounts(tmp_path: Path) -> None:
    path = (
        tmp_path / "a name that is longer than a line of the screen, so that it would be broken in two" / "report.html"
    )
    path.parent.mkdir()
    ran = invoke("report", "theirs", "mine", "-o", str(path), "--title", "Prices of us", "--service", "hlr")
    assert (ran.code, ran.stdout) == (0, ""), ran
    assert ran.stderr.endswith(f"{path}: accounts: 2, lists: 2\n")
    page = path.read_text("utf-8")
    assert [account["name"] for account in accounts_in(page)] == ["theirs", "mine"]
    assert "<title>Prices of us</title>" in page
    assert data_of(page)["service"] == "hlr"
    assert page.count("Made <time") == 1
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.usefixtures("alex")
def test_without_a_name_it_is_the_account_of_the_environment_by_its_login(
    tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("report").code == 0
    (account,) = accounts_in((tmp_path / "report.html").read_text("utf-8"))
    assert (account["name"], account["zones"][0][2]) == ("alex", "3.85")
    (account,) = accounts_in(invoke("report", f"env={saved}", "env", "-o", "-").stdout)
    assert (account["name"], len(account["taken"])) == ("alex", 2)
    # Another account has that name already: that it is the same one, nobody knows.
    two = accounts_in(invoke("report", f"alex={saved}", "env", "-o", "-").stdout)
    assert [account["name"] for account in two] == ["alex", "env"]


@pytest.mark.usefixtures("both")
def test_saved_lists_of_an_account_are_its_past(saved: Path) -> None:
    ran = invoke("report", "theirs", f"mine={saved}", "mine", "-o", "-")
    assert ran.code == 0, ran
    theirs, mine = accounts_in(ran.stdout)
    assert (theirs["name"], mine["name"]) == ("theirs", "mine")
    assert mine["taken"][0] == DAY.timestamp()
    assert unfolded(mine["zones"][0][2], 2) == ["3.47", "3.85"]
    assert mine["changes"][0].startswith("0d0d1")


@pytest.mark.usefixtures("both")
def test_lists_that_a_watch_has_kept_are_the_past_of_their_account(simulator: Simulator) -> None:
    assert invoke("watch", "mine", "--once").code == 0
    simulator.put(SimulatedAccount("alex", "123", tariffs=sample_tariffs(Decimal("1.1"))))
    ran = invoke("report", "mine", "theirs", "--fresh", "-o", "-")
    assert ran.code == 0, ran
    mine, theirs = accounts_in(ran.stdout)
    assert unfolded(mine["zones"][0][2], 2) == ["3.85", "4.24"]
    assert len(theirs["taken"]) == 1
    # Since an instant: the list in force then, and what came after it.
    (mine,) = accounts_in(invoke("report", "mine", "--since", "2100-01-01", "-o", "-").stdout)
    assert unfolded(mine["zones"][0][2], len(mine["taken"]))[-1] == "4.24"
    assert len(mine["taken"]) == 2
    page = invoke("report", "mine", "--since", "2026-01-01", "-o", "-").stdout
    assert "Since the last list that differs" in page


@pytest.mark.usefixtures("both")
def test_a_wrong_password_gets_no_list_of_the_right_one(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, saved: Path
) -> None:
    assert invoke("watch", "mine", "--once").code == 0
    monkeypatch.setenv("A", "wrong")
    ran = invoke("report", "mine", f"old={saved}", "-o", "-")
    assert ran.code == 4
    assert [account["name"] for account in accounts_in(ran.stdout)] == ["old"]


def test_saved_lists_alone_need_no_account_and_no_service(saved: Path) -> None:
    ran = invoke("report", str(saved), "-o", "-")
    assert (ran.code, ran.stderr) == (0, "")
    assert [account["name"] for account in accounts_in(ran.stdout)] == ["before"]


@pytest.mark.skipif(os.name != "posix", reason="pipes have no names there")
def test_a_list_can_come_from_a_pipe_and_is_of_now(saved: Path, tmp_path: Path) -> None:
    before = time.time()
    with piped(saved, tmp_path / "pipe") as pipe:
        (account,) = accounts_in(invoke("report", f"mine={pipe}", "-o", "-").stdout)
    assert account["name"] == "mine"
    assert before - 1 <= account["taken"][0] <= time.time() + 1


@pytest.mark.usefixtures("both")
def test_an_account_that_fails_is_told_and_the_others_are_reported(simulator: Simulator, saved: Path) -> None:
    simulator.fail(Fault.refusal(2), login="boris")
    ran = invoke("report", "mine", "theirs", "-o", "-")
    assert ran.code == 4
    assert "theirs: the service refused with error 2" in ran.stderr
    assert [account["name"] for account in accounts_in(ran.stdout)] == ["mine"]
    assert [account["name"] for account in accounts_in(invoke("report", "theirs", str(saved), "-o", "-").stdout)] == [
        "before"
    ]


@pytest.mark.usefixtures("both")
def test_where_no_list_came_the_page_that_was_there_stays(simulator: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("the page before", "utf-8")
    simulator.fail(Fault.refusal(1), login="alex")
    assert invoke("report", "mine", "--yes", "-o", str(path)).code == 3
    assert path.read_text("utf-8") == "the page before"


def test_a_page_takes_the_place_of_the_one_before_also_behind_a_link(saved: Path, tmp_path: Path) -> None:
    path, link = tmp_path / "report.html", tmp_path / "link.html"
    path.write_text("the page before", "utf-8")
    link.symlink_to(path)
    path.chmod(0o640)
    assert invoke("report", str(saved), "-o", str(link), "--yes").code == 0
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_text("utf-8").startswith("<!doctype html>")


def test_a_device_stays_one(saved: Path) -> None:
    assert invoke("report", str(saved), "-o", os.devnull).code == 0
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_page_that_cannot_be_written_is_told_and_leaves_nothing(saved: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    ran = invoke("report", str(saved), "-o", str(tmp_path / "nowhere" / "report.html"))
    assert ran.code == 14
    assert f"cannot write {tmp_path / 'nowhere' / 'report.html'}: there is no folder" in ran.stderr
    ran = invoke("report", str(saved), "-o", str(tmp_path))
    assert (ran.code, ran.stderr) == (14, f"smsc-async: cannot write {tmp_path}: it is a folder\n")
    # What only the attempt shows: no name is as long as that.
    ran = invoke("report", str(saved), "-o", str(tmp_path / ("x" * 256)))
    assert ran.code == 14
    assert "File name too long" in ran.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.usefixtures("both")
def test_a_folder_that_is_not_there_is_told_before_anything_is_fetched(tmp_path: Path, simulator: Simulator) -> None:
    assert invoke("report", "mine", "-o", str(tmp_path / "nowhere" / "report.html")).code == 14
    assert simulator.log == []


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("missing.json", 14, "there is no file missing.json"),
        ("mine=missing.json", 14, "there is no file missing.json"),
        ("mine=/", 14, "/ is a folder: name a file"),
        ("nobody", 2, "no account 'nobody'"),
        ("=x", 2, "no account '=x'"),
        ("", 2, "the name of the account is empty"),
    ],
)
def test_what_is_neither_an_account_nor_a_file_is_told(source: str, code: int, said: str) -> None:
    ran = invoke("report", source, "-o", "-")
    assert (ran.code, ran.stdout) == (code, "")
    assert said in ran.stderr


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("name", ["smsc.kz", "u@mail.ru", "a/b", "a=b"])
def test_an_account_may_be_called_like_a_file_an_instant_or_an_assignment(
    name: str, plain_environment: Path, simulator: Simulator
) -> None:
    text = plain_environment.read_text("utf-8")
    plain_environment.write_text(text.replace("accounts.theirs", f'accounts."{name}"'), "utf-8")
    ran = invoke("report", name, "-o", "-")
    assert (ran.code, [each["name"] for each in accounts_in(ran.stdout)]) == (0, [name])
    assert invoke("diff", "mine", name).code == 1
    assert len(simulator.log) == 3


@pytest.mark.usefixtures("both")
def test_a_file_that_is_no_list_is_told_before_anything_is_fetched(tmp_path: Path, simulator: Simulator) -> None:
    odd = tmp_path / "odd.json"
    odd.write_text("{}", "utf-8")
    ran = invoke("report", "mine", f"mine={odd}", "-o", "-")
    assert ran.code == 7
    assert f"{odd} is not a tariff list" in ran.stderr
    assert simulator.log == []


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_a_new_page_is_its_owners_alone(saved: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert invoke("report", str(saved), "-o", str(tmp_path / "report.html")).code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report.html").stat().st_mode) == 0o600


@pytest.mark.usefixtures("both")
def test_a_page_that_is_there_is_not_replaced_without_a_question(
    saved: Path, tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("the page before", "utf-8")
    ran = invoke("report", "mine", "-o", str(path))
    assert (ran.code, simulator.log) == (14, [])
    assert "it exists already; --yes replaces it" in ran.stderr
    for answer, is_replaced in (("n\n", False), ("y\n", True)):
        with monkeypatch.context() as patch:
            patch.setattr("smsc_async.cli.report._is_interactive", lambda: True)
            ran = invoke("report", str(saved), "-o", str(path), stdin=answer)
        assert "replace" in ran.stderr
        assert ran.code == (0 if is_replaced else 14)
        assert path.read_text("utf-8").startswith("<!doctype html>") == is_replaced


@pytest.mark.usefixtures("both")
def test_what_it_reads_is_never_overwritten(saved: Path, tmp_path: Path, plain_environment: Path) -> None:
    assert invoke("watch", "mine", "--once").code == 0
    link = tmp_path / "link.json"
    link.symlink_to(saved)
    (tmp_path / "password").write_text("123", "utf-8")
    (tmp_path / "password").chmod(0o600)
    with plain_environment.open("a", encoding="utf-8") as config:
        config.write(f'[accounts.third]\nlogin = "x"\npassword_from = "file:{tmp_path / "password"}"\n')
    states = [tmp_path / f"{name}.sqlite3{end}" for name in ("history", "store") for end in ("", ".key")]
    for path in (saved, link, *states, tmp_path / "history.sqlite3.lock", plain_environment, tmp_path / "password"):
        before = path.read_bytes()
        ran = invoke("report", f"mine={saved}", "third", "-o", str(path), "--yes")
        assert ran.code == 14, path
        assert "name another file to write" in ran.stderr
        assert path.read_bytes() == before


@pytest.mark.parametrize("shape", ["csv", "json", "tsv", "table", ""])
def test_a_shape_of_the_other_commands_is_no_name_of_a_page(saved: Path, shape: str) -> None:
    ran = invoke("report", str(saved), "-o", shape)
    assert (ran.code, ran.stderr) == (
        2,
        f"smsc-async: a report is a page: name a file such as report.html, not -o {shape!r}\n",
    )


def test_a_disk_that_is_full_is_an_error_with_its_reason(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("smsc_async.cli.report.replace_file", replace)
    path = tmp_path / "report.html"
    ran = invoke("report", str(saved), "-o", str(path))
    assert (ran.code, ran.stderr) == (14, f"smsc-async: cannot write {path}: No space left on device\n")
