from __future__ import annotations

import getpass
import io
import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import platformdirs
import pytest

from smsc_async import Account
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.passwords import account_of
from smsc_async.cli.profiles import account_names, all_profiles, config_file, find_profile
from tests.cli.running import Terminal, spawn


def refused(name: str | None = None) -> str:
    with pytest.raises(CliError) as caught:
        account_of(find_profile(name))
    assert caught.value.code is ExitCode.USAGE
    return str(caught.value)


def on_terminal_typing(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    def getpass_(prompt: str, stream: object) -> str:
        return password

    monkeypatch.setattr(getpass, "getpass", getpass_)


def write(config: Path, members: str) -> None:
    config.write_text(f"[accounts.alex]\n{members}\n", "utf-8")


def test_the_environment_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    monkeypatch.setenv("SMSC_PASSWORD", "123")
    monkeypatch.setenv("SMSC_BASE_URL", "https://example.test/sys/")
    profile = find_profile(None)
    account = account_of(profile)
    assert (profile.name, profile.base_url) == ("env", "https://example.test/sys/")
    assert (account.login, account.secret.reveal(), account.uses_api_key) == ("alex", "123", False)
    assert find_profile("env") == profile


@pytest.mark.parametrize("login", ["alex", None])
def test_an_api_key_suffices_with_or_without_a_login(login: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMSC_API_KEY", "k-4711")
    if login:
        monkeypatch.setenv("SMSC_LOGIN", login)
    account = account_of(find_profile(None))
    assert (account.secret.reveal(), account.uses_api_key) == ("k-4711", True)
    assert login is None or account.login == login


def test_without_any_account_the_ways_to_name_one_are_told() -> None:
    assert "accounts add main --login LOGIN --password-from prompt, or set SMSC_LOGIN and SMSC_PASSWORD" in refused()
    assert "no account in the environment" in refused("env")


def test_a_login_without_a_password_is_asked_for_on_a_terminal_and_told_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert "SMSC_PASSWORD is not set" in refused()
    asked: list[str] = []

    def answer(prompt: str, stream: object) -> str:
        asked.append(prompt)
        assert stream is sys.stderr
        return "123"

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", answer)
    assert account_of(find_profile(None)).secret.reveal() == "123"
    assert asked == ["password of alex: "]


def test_an_account_of_the_file_has_its_own_host_and_source(
    plain_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(plain_environment, 'login = "alex"\npassword_from = "env:ALEX"\nbase_url = "https://example.test/"')
    monkeypatch.setenv("ALEX", "123")
    profile = find_profile("alex")
    assert (profile.base_url, profile.source) == ("https://example.test/", "env:ALEX")
    assert account_of(profile).secret.reveal() == "123"


def test_a_password_can_come_from_standard_input(plain_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(plain_environment, 'login = "alex"\npassword_from = "prompt"')
    for body in (b"1 2 3\nmore\n", b"1 2 3\r\n", b"1 2 3", b"\xef\xbb\xbf1 2 3\r\n", "1 2 3\r\nmore".encode("utf-16")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body)))
        assert account_of(find_profile("alex", source="stdin")).secret.reveal() == "1 2 3"


def test_a_password_can_come_from_the_keyring(plain_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def get_password(service: str, user: str) -> str | None:
        return "123" if (service, user) == ("smsc-async", "smscentre.com/alex") else None

    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=get_password))
    write(plain_environment, 'login = "alex"\npassword_from = "keyring"')
    assert account_of(find_profile("alex")).secret.reveal() == "123"
    write(plain_environment, 'login = "vera"\npassword_from = "keyring"')
    assert refused("alex") == "the keyring has no password: keyring set smsc-async smscentre.com/vera"
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert 'pip install "smsc-async[keyring]"' in refused("alex")


def test_a_keyring_that_does_not_answer_is_told(plain_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def get_password(service: str, user: str) -> str | None:
        raise RuntimeError("locked")

    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=get_password))
    write(plain_environment, 'login = "alex"\npassword_from = "keyring"')
    assert "the keyring does not answer (RuntimeError: locked)" in refused("alex")


def test_without_a_terminal_nothing_is_asked(plain_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(prompt: str, stream: object) -> str:
        warnings.warn("echo", getpass.GetPassWarning, stacklevel=1)
        raise AssertionError("it would be shown")

    monkeypatch.setattr(getpass, "getpass", ask)
    write(plain_environment, 'login = "alex"\npassword_from = "prompt"')
    assert "there is no terminal to ask for the password: name another source with --password-from" in refused("alex")


def test_an_end_of_input_is_an_empty_password(plain_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(prompt: str, stream: object) -> str:
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", ask)
    write(plain_environment, 'login = "alex"\npassword_from = "prompt"')
    assert "account 'alex', password from prompt: the password is empty" in refused("alex")


def test_an_account_of_the_file_can_have_a_key(plain_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "k-4711")
    write(plain_environment, 'api_key_from = "env:KEY"')
    assert account_of(find_profile("alex")).uses_api_key


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ('login = "alex"\npassword = "s3cret-word"', "holds a password: take it out"),
        ('login = "alex"\npassword_from = "env:A"\nhost = "x"', "unknown member 'host'"),
        ('login = "alex"', "has neither, and needs either password_from or api_key_from"),
        (
            'login = "alex"\npassword_from = "env:A"\napi_key_from = "env:A"',
            "has both, and needs either password_from or",
        ),
        ('login = 1\npassword_from = "env:A"', "config.toml: login must be a text in quotes"),
        ('login = "alex"\npassword_from = ""', "config.toml: password_from must be a text in quotes that is not empty"),
        ('login = "alex"\npassword_from = "env:A"\nbase_url = ""', "config.toml: base_url must be a text"),
        (
            'login = "a"\npassword_from = "env:A"\nbase_url = "http://x.test/"',
            "config.toml: base_url must be https: the",
        ),
        ("", "has neither, and needs either password_from or api_key_from"),
        ('password_from = "env:A"', "needs a login"),
        ('login = "alex"\npassword_from = "file"', "must be one of prompt, stdin, keyring, env:NAME, file:PATH"),
        ('login = "alex"\npassword_from = "env:"', "must be one of"),
        ('login = "alex"\npassword_from = "env:NOT_SET"', "NOT_SET is not set"),
        ('login = "alex"\npassword_from = "stdin"', "is empty"),
        ('login = " "\npassword_from = "env:A"', "account 'alex'"),
        ("login = ", "is not TOML"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_what_to_do(
    members: str, said: str, plain_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(plain_environment, members)
    monkeypatch.setenv("A", "s3cret-word")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    told = refused("alex")
    assert said in told
    assert "s3cret-word" not in told


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ('[accounts]\nmain = "alex"', "main", "account 'main' in {path} must be a table: [accounts.main]"),
        ("accounts = 5", "main", "accounts in {path} must be tables, such as [accounts.main]"),
        (
            '[acounts.main]\nlogin = "alex"',
            "main",
            "{path} has an unknown member 'acounts'; there are accounts, default",
        ),
        (
            'default = "mian"\n[accounts.main]',
            None,
            "no account 'mian' in {path}, whose default it is; there are: main (did you mean main?)",
        ),
        ("default = 5\n[accounts.main]", None, "default in {path} must be the name of an account, in quotes"),
        ("[accounts.main]", "", "the name of the account is empty"),
    ],
)
def test_a_file_of_another_shape_is_told(text: str, name: str | None, said: str, plain_environment: Path) -> None:
    plain_environment.write_text(text, "utf-8")
    assert refused(name) == said.format(path=plain_environment)


def test_a_file_that_was_named_and_is_not_there_is_told(
    plain_environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain_environment.unlink()
    with pytest.raises(CliError) as caught:
        find_profile("main")
    assert (str(caught.value), caught.value.code) == (
        f"there is no file {plain_environment} (SMSC_CONFIG)",
        ExitCode.FILES,
    )
    monkeypatch.delenv("SMSC_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert "no account 'main', since there are none in" in refused("main")


def test_the_address_of_the_environment_may_be_empty_and_is_named_where_it_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    monkeypatch.setenv("SMSC_BASE_URL", "")
    assert find_profile(None).base_url == "https://smscentre.com/sys/"
    monkeypatch.setenv("SMSC_BASE_URL", "smsc.kz/sys/")
    assert refused(None).startswith("SMSC_BASE_URL must be an https:// URL such as")


@pytest.mark.parametrize(
    "url", ["https://smscentre.com\t.evil.example/", "https://smsc\u0435ntre.com/sys/", "https://smscentre.com\n/", "\ufeffhttps://smscentre.com/"]
)  # fmt: skip
def test_an_address_that_looks_like_another_one_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    monkeypatch.setenv("SMSC_BASE_URL", url)
    assert "SMSC_BASE_URL must be printable ASCII" in refused(None)


@pytest.mark.parametrize("login", ["alex\r", "al\nex", "\ufeffalex", "al\u202eex"])
def test_a_login_that_can_be_none_is_refused(
    login: str, plain_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMSC_LOGIN", login)
    assert "SMSC_LOGIN has a line break or a control character in it" in refused(None)
    monkeypatch.delenv("SMSC_LOGIN")
    write(plain_environment, f'login = {json.dumps(login)}\npassword_from = "prompt"')
    assert "without control characters" in refused("alex")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_the_file_is_read_as_any_editor_saves_it(encoding: str, line_break: str, plain_environment: Path) -> None:
    text = line_break.join(['default = "маша"', '[accounts."маша"]', 'login = "maria"', 'password_from = "prompt"', ""])
    plain_environment.write_bytes(text.encode(encoding))
    assert find_profile(None) == find_profile("маша")
    assert account_names() == ["маша"]


def test_the_address_of_the_environment_is_not_for_accounts_of_the_file(
    plain_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(plain_environment, 'login = "alex"\npassword_from = "prompt"')
    monkeypatch.setenv("SMSC_BASE_URL", "http://127.0.0.1:8025/sys/")
    assert find_profile("alex").base_url == "https://smscentre.com/sys/"
    assert find_profile(None).base_url == "https://smscentre.com/sys/"
    assert all_profiles() == [find_profile("alex")]


def test_an_account_that_is_not_there_is_told_with_those_that_are(plain_environment: Path) -> None:
    assert "accounts add boris" in refused("boris")
    write(plain_environment, 'login = "alex"\npassword_from = "prompt"')
    assert "no account 'boris'" in refused("boris")
    assert "there are: alex" in refused("boris")


def test_the_file_is_in_the_users_folder_for_configuration(
    monkeypatch: pytest.MonkeyPatch, plain_environment: Path
) -> None:
    assert config_file() == plain_environment
    monkeypatch.delenv("SMSC_CONFIG")
    assert config_file() == platformdirs.user_config_path("smsc-async") / "config.toml"


def test_the_environment_may_name_a_file_with_the_password_or_the_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    path.write_text("hunter2\n")
    path.chmod(0o600)
    for name in ("SMSC_LOGIN", "SMSC_PASSWORD", "SMSC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SMSC_API_KEY_FILE", str(path))
    assert account_of(find_profile(None)) == Account.with_api_key("hunter2")
    monkeypatch.delenv("SMSC_API_KEY_FILE")
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    monkeypatch.setenv("SMSC_PASSWORD_FILE", str(path))
    assert account_of(find_profile(None)) == Account("alex", "hunter2")
    monkeypatch.setenv("SMSC_PASSWORD", "123")
    with pytest.raises(CliError, match="both set"):
        find_profile(None)


@pytest.mark.skipif(sys.platform != "linux", reason="locales with letters of ASCII alone")
def test_a_source_that_the_locale_cannot_name_is_refused_with_a_way_out(plain_environment: Path) -> None:
    plain_environment.write_text('[accounts.main]\nlogin = "alex"\npassword_from = "file:/дом/pw"\n', "utf-8")
    variables = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "SMSC_CONFIG": str(plain_environment)}
    ran = spawn("accounts", "list", **variables, PYTHONUTF8="0")
    assert (ran.code, ran.stderr.partition(": the ")[2]) == (
        2,
        "encoding of the locale has no such letters: set PYTHONUTF8=1\n",
    )
    assert spawn("accounts", "list", **variables).code == 0
    with pytest.raises(CliError, match="no such letters"):
        find_profile(None, source="file:\ud800")
