from __future__ import annotations

import json
import os
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from smsc_async.cli.passwords import account_of
from smsc_async.cli.profiles import Profile, all_profiles, find_profile
from smsc_async.simulator import SimulatedAccount, Simulator
from tests.cli.running import Ran, invoke
from tests.cli.test_profiles import on_terminal_typing

ADD = ("accounts", "add", "main", "--login", "alex", "--password-from")


def add(*arguments: str) -> Ran:
    return invoke("accounts", "add", *arguments)


def test_an_account_is_added_listed_and_removed(plain_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "123")
    ran = invoke(*ADD, "env:PW", "--base-url", "https://smsc.kz/sys/")
    assert (ran.code, ran.stdout) == (0, "")
    assert ran.stderr == f"main: added to {plain_environment}\ntry it: smsc-async accounts check main\n"
    assert all_profiles() == [Profile("main", "alex", "https://smsc.kz/sys/", "env:PW")]
    assert "123" not in plain_environment.read_text("utf-8")
    listed = invoke("accounts", "list", "-o", "json")
    assert json.loads(listed.stdout) == {
        "accounts": [
            {
                "account": "main",
                "login": "alex",
                "base_url": "https://smsc.kz/sys/",
                "password_from": "env:PW",
                "problem": None,
            }
        ]
    }
    assert invoke("accounts", "list").stdout.splitlines()[-1].split() == [
        "main",
        "alex",
        "https://smsc.kz/sys/",
        "env:PW",
    ]
    assert invoke("accounts", "remove", "main").code == 0
    assert all_profiles() == []


def test_a_file_is_found_from_every_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("123\n", "utf-8")
    (tmp_path / "secret.txt").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("secret.txt", "./secret.txt", "~/secret.txt"):
        assert invoke(*ADD, f"file:{name}").code == 0
        monkeypatch.chdir("/")
        assert account_of(find_profile("main")).secret.reveal() == "123"
        assert invoke("accounts", "remove", "main").code == 0
        monkeypatch.chdir(tmp_path)


def test_a_single_account_is_the_default_and_several_have_to_be_told_apart(plain_environment: Path) -> None:
    assert add("one", "--login", "a", "--password-from", "prompt").code == 0
    assert find_profile(None).name == "one"
    assert add("two", "--login", "b", "--password-from", "prompt").code == 0
    ran = invoke("tariffs")
    assert (ran.code, ran.stdout) == (2, "")
    assert f'which account? Name one of one, two, or put default = "…" at the top of {plain_environment}' in ran.stderr


def test_what_the_user_wrote_stays_as_it_is(plain_environment: Path) -> None:
    written = (
        '# mine\r\ndefault = "b"  # the cheap one\r\n\r\n[accounts.a]\r\nlogin = "a" # first\r\npassword_from = "prompt"\r\n'
        '\r\n[accounts."b"]\r\nlogin = "b"\r\npassword_from = "prompt"\r\n# the end\r\n'
    )
    plain_environment.write_bytes(written.encode("utf-8-sig"))
    plain_environment.chmod(0o640)
    assert add("c d", "--login", 'x"\\', "--password-from", "prompt").code == 0
    assert tomllib.loads(plain_environment.read_text("utf-8"))["accounts"]["c d"]["login"] == 'x"\\'
    assert plain_environment.read_text("utf-8").startswith(
        '# mine\ndefault = "b"  # the cheap one\n\n[accounts.a]\nlogin'
    )
    assert plain_environment.stat().st_mode & 0o777 == 0o640
    assert invoke("accounts", "remove", "c d").code == 0
    assert invoke("accounts", "remove", "b").code == 0
    text = plain_environment.read_text("utf-8")
    assert text == '# mine\n\n[accounts.a]\nlogin = "a" # first\npassword_from = "prompt"\n\n'
    assert list(plain_environment.parent.glob(".config*")) == []


def test_the_first_account_makes_the_file_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMSC_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "new"))
    assert invoke("accounts", "list").stderr == (
        "no accounts: smsc-async accounts add main --login LOGIN --password-from prompt\n"
    )
    assert not (tmp_path / "new").exists()
    assert invoke(*ADD, "prompt").code == 0
    path = tmp_path / "new" / "smsc-async" / "config.toml"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("main", "--login", "a"), 2, "account 'main' has neither, and needs either password_from or api_key_from"),
        (("main", "--login", "a", "--password-from", "prompt", "--api-key-from", "prompt"), 2, "account 'main' has both"),
        (("main", "--password-from", "prompt"), 2, "account 'main' needs a login"),
        (("main", "--login", "a", "--password-from", "secret"), 2, "must be one of prompt, stdin, keyring, env:NAME, file:PATH"),
        (("main", "--login", "a", "--password-from", "file:"), 2, "must be one of"),
        (("main", "--login", "a\n", "--password-from", "prompt"), 2, "account 'main': login must be a text"),
        (("main", "--login", " ", "--password-from", "prompt"), 2, "login must be a text"),
        (("env", "--login", "a", "--password-from", "prompt"), 2, "no account can be called 'env'"),
        (("", "--login", "a", "--password-from", "prompt"), 2, "no account can be called ''"),
        (("a\x1b", "--login", "a", "--password-from", "prompt"), 2, "no account can be called 'a\\x1b'"),
        (("main", "--login", "a", "--password-from", "prompt", "--base-url", "http://x.test/"), 2, "account 'main': base_url must be https"),
        (("there", "--login", "a", "--password-from", "prompt"), 2, "there is an account 'there'"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_is_refused_before_anything_is_written(
    arguments: tuple[str, ...], code: int, said: str, plain_environment: Path
) -> None:
    plain_environment.write_text('[accounts.there]\nlogin = "a"\npassword_from = "prompt"\n', "utf-8")
    before = plain_environment.read_bytes()
    ran = add(*arguments)
    assert (ran.code, ran.stdout) == (code, "")
    assert said in ran.stderr
    assert plain_environment.read_bytes() == before


INLINE = 'accounts = {a = {login = "a", password_from = "prompt"}, b = {login = "b", password_from = "prompt"}}\n'
STRINGS = '[accounts.a]\nlogin = """x\n[accounts.b]\n"""\n'
DOTTED = "[accounts]\na.login = 'a'\na.password_from = 'prompt'\nb.login = 'b'\nb.password_from = 'prompt'\n"


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (INLINE, ("remove", "a")),
        (INLINE, ADD[1:]),
        (DOTTED, ("remove", "a")),
        (STRINGS, ("remove", "a")),
        ("x = 1", ADD[1:]),
    ],
)
def test_a_file_that_is_written_in_another_way_is_left_alone(
    text: str, arguments: tuple[str, ...], plain_environment: Path
) -> None:
    plain_environment.write_text(text, "utf-8")
    ran = invoke("accounts", *arguments, *(["prompt"] if arguments[0] == "add" else []))
    assert ran.code == 2
    assert "change it by hand" in ran.stderr or "unknown member" in ran.stderr
    assert plain_environment.read_text("utf-8") == text


@pytest.mark.skipif(os.name == "nt", reason="there are no such modes")
def test_a_file_that_others_can_change_is_not_believed(
    plain_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_environment.chmod(0o602)
    for arguments in (("accounts", "list"), ("tariffs",), (*ADD, "prompt")):
        ran = invoke(*arguments)
        assert (ran.code, ran.stderr) == (
            14,
            f"smsc-async: others may change {plain_environment}: chmod go-w {plain_environment}, and own it\n",
        )
    plain_environment.chmod(0o664)
    assert invoke("accounts", "list").code == 0
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert invoke("accounts", "list").code == (0 if os.getuid() == 0 else 14)


def test_an_account_that_is_not_there_cannot_be_removed_or_checked() -> None:
    assert "no account 'main' in" in invoke("accounts", "remove", "main").stderr
    ran = invoke("accounts", "check", "main")
    assert (ran.code, "no account 'main', since there are none in" in ran.stderr) == (2, True)
    ran = invoke("accounts", "check")
    assert (ran.code, "no accounts: smsc-async accounts add" in ran.stderr) == (2, True)


@pytest.mark.usefixtures("both")
def test_accounts_are_checked_against_the_service(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> None:
    assert invoke("accounts", "check", "mine").stdout == "mine: the service accepts it: 66 zones, 27 operators\n"
    assert len(simulator.log) == 1
    monkeypatch.setenv("B", "wrong")
    ran = invoke("accounts", "check")
    assert ran.code == 4
    assert [line.partition(":")[0] for line in ran.stdout.splitlines()] == ["mine", "theirs"]
    assert "wrong" not in ran.stdout.replace("wrong login", "").replace("wrong password", "")


@pytest.mark.usefixtures("both")
def test_a_refused_password_is_sent_again_if_the_account_was_corrected_at_the_service(simulator: Simulator) -> None:
    simulator.put(SimulatedAccount("alex", "another"))
    assert invoke("accounts", "check", "mine").code == 4
    simulator.put(SimulatedAccount("alex", "123"))  # as an address that is allowed now
    ran = invoke("accounts", "check", "mine")
    assert (ran.code, "smsc-async accounts check --again" in ran.stdout, len(simulator.log)) == (4, True, 1)
    assert invoke("accounts", "check", "mine", "--again").code == 0
    assert invoke("tariffs", "mine").code == 0


@pytest.mark.usefixtures("both")
def test_a_password_that_is_not_there_is_one_result_of_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A")
    ran = invoke("accounts", "check")
    assert (ran.code, ran.stdout.splitlines()) == (
        2,
        [
            "mine: A is not set: it is to hold the password of 'mine'",
            "theirs: the service accepts it: 66 zones, 27 operators",
        ],
    )
    monkeypatch.delenv("B")
    assert [line.partition(" is ")[0] for line in invoke("accounts", "check").stdout.splitlines()] == [
        "mine: A",
        "theirs: B",
    ]


def test_a_keyring_without_the_password_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    entries: dict[tuple[str, str], str] = {}

    def get_password(service: str, user: str) -> str | None:
        return entries.get((service, user))

    def set_password(service: str, user: str, password: str) -> None:
        entries[service, user] = password

    keyring = SimpleNamespace(get_password=get_password, set_password=set_password)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    on_terminal_typing(monkeypatch, "s3cret")
    ran = invoke(*ADD, "keyring")
    assert entries == {("smsc-async", "smscentre.com/alex"): "s3cret"}
    assert ran.stderr.startswith("the password is in the keyring\n")
    on_terminal_typing(monkeypatch, "another one")
    assert add("same", "--login", "alex", "--password-from", "keyring").code == 0
    assert add("key", "--login", "alex", "--api-key-from", "keyring").code == 0
    assert add("other", "--login", "alex", "--password-from", "keyring", "--base-url", "https://smsc.kz/").code == 0
    assert entries == {
        ("smsc-async", "smscentre.com/alex"): "s3cret",
        ("smsc-async", "smscentre.com/key:alex"): "another one",
        ("smsc-async", "smsc.kz/alex"): "another one",
    }
    assert add("a b", "--login", "alex", "--password-from", "keyring").stderr.endswith(" check 'a b'\n")
    assert "still in the keyring" in invoke("accounts", "remove", "other").stderr
    assert "password" not in invoke("accounts", "remove", "key").stderr


def test_an_account_whose_password_a_keyring_cannot_take_is_not_added(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_password(*_: str) -> None:
        raise RuntimeError("no backend")

    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=get_password))
    ran = invoke(*ADD, "keyring")
    assert (ran.code, "the keyring does not answer (RuntimeError: no backend)" in ran.stderr) == (2, True)
    assert all_profiles() == []


def test_a_change_that_another_program_makes_meanwhile_is_not_lost(
    plain_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_password(*_: str) -> str:
        plain_environment.write_text("# of an editor\n", "utf-8")
        return "123"

    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=get_password))
    ran = invoke(*ADD, "keyring")
    assert (ran.code, "was changed meanwhile: run the command again" in ran.stderr) == (14, True)
    assert plain_environment.read_text("utf-8") == "# of an editor\n"
    assert invoke(*ADD, "keyring").code == 0
    assert plain_environment.read_text("utf-8").startswith("# of an editor\n\n[accounts.main]\n")
