"""The commands and their arguments. What a command needs is imported when it runs: ``--help`` has to be quick.

Long, since all that can be typed is here to be read; what is done with it is not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from smsc_async.cli import options as o
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.exit import Commands, open_streams, report
from smsc_async.cli.formats import Direction, Output
from smsc_async.records import Service

__all__ = ["app", "run"]

app: typer.Typer = typer.Typer(
    name="smsc-async",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain text: flags are shown as flags, and there is nothing for NO_COLOR to leave out
    pretty_exceptions_enable=False,  # they show locals, credentials among them
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=o.examples(
        "accounts add main --login alex --password-from keyring", "tariffs --zone latvia", 'price --operator "mts ru"'
    ),
)
accounts_app: typer.Typer = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(accounts_app, name="accounts", help="Add, list, check and remove accounts of the configuration file.")


def _show_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        typer.echo(f"smsc-async {version('smsc-async')}")
        raise typer.Exit


@app.callback()
def _global_options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Tariff lists of the SMSC HTTP API, within the provider's limits."""


@app.command(epilog=o.examples("demo"))
def demo() -> None:
    """See it work: a simulated service, four formats over a real socket, and the quota.

    Needs no account and no network. Takes about six seconds.
    """
    from smsc_async.cli.demo import run_demo

    run_demo()


@app.command(
    epilog=o.examples("tariffs", "tariffs main --zone latvia --operator mts", "tariffs -o csv --bom > prices.csv")
)
def tariffs(
    account: o.AccountName = None,
    *,
    zone: Annotated[
        list[str] | None,
        typer.Option(metavar="ZONE", help="A zone: its number or a part of its name; repeat for more."),
    ] = None,
    operator: o.Operators = None,
    service: Annotated[list[Service] | None, typer.Option(help="Prices to show; repeat for more.")] = None,
    fresh: o.Fresh = False,
    output: o.OutputOption = Output.TABLE,
    columns: o.Columns = None,
    bom: o.Bom = False,
    decimal_comma: o.DecimalComma = False,
    password_from: o.PasswordFrom = None,
    deadline: o.Deadline = o.DEADLINE,
) -> None:
    """Show the tariff list of an account, whole or in part."""
    from smsc_async.cli.profiles import find_profile
    from smsc_async.cli.selection import check_list_columns, check_names, select
    from smsc_async.cli.session import fetch
    from smsc_async.cli.tariffs_output import print_age, write_selection

    shape = o.shape(output, columns, bom=bom, decimal_comma=decimal_comma)
    check_names(zones=zone or (), operators=operator or ())
    check_list_columns(shape.columns, service or ())
    profile = find_profile(account, source=password_from)
    whole = fetch(profile, fresh=fresh, deadline=deadline)
    print_age(profile.name, whole)
    write_selection(select(whole, zones=zone or (), operators=operator or (), services=service or ()), shape)


@app.command(
    epilog=o.examples(
        "price --zone latvia",
        'price --operator "mts ru" --count 1000',
        'price --zone 1 --operator 25001 --text "Hello!"',
    )
)
def price(
    account: o.AccountName = None,
    *,
    zone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="A zone: its number, or a part of its name that no other zone has."),
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option(
            metavar="OPERATOR",
            help="An operator: its code, or its network's name and country (mts ru); its individual tariff comes before "
            "the zone's price.",
        ),
    ] = None,
    service: Annotated[Service, typer.Option(help="What is sent.")] = Service.API,
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="A text, to count its parts.")] = None,
    parts: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Parts of one message, if there is no --text; each is charged.", show_default="1"
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="How many messages.")] = 1,
    fresh: o.Fresh = False,
    output: o.OutputOption = Output.TABLE,
    columns: o.Columns = None,
    bom: o.Bom = False,
    decimal_comma: o.DecimalComma = False,
    password_from: o.PasswordFrom = None,
    deadline: o.Deadline = o.DEADLINE,
) -> None:
    """Show what messages to one destination cost, times parts and count."""
    from smsc_async.cli.parts import parts_of
    from smsc_async.cli.pricing import PRICE_COLUMNS, price_row, write_row
    from smsc_async.cli.profiles import find_profile
    from smsc_async.cli.selection import check_columns, check_names
    from smsc_async.cli.session import fetch
    from smsc_async.cli.tariffs_output import print_age

    if zone is None and operator is None:
        raise CliError("price of what? Name a --zone, an --operator or both", ExitCode.USAGE)
    if text is not None and parts is not None:
        raise CliError("how many parts? Name --text or --parts, not both", ExitCode.USAGE)
    each = (parts or 1) if text is None else parts_of(text).parts
    shape = o.shape(output, columns, bom=bom, decimal_comma=decimal_comma)
    check_columns(shape.columns, PRICE_COLUMNS)
    check_names(zones=[] if zone is None else [zone], operators=[] if operator is None else [operator])
    profile = find_profile(account, source=password_from)
    whole = fetch(profile, fresh=fresh, deadline=deadline)
    print_age(profile.name, whole)
    write_row(price_row(whole, zone=zone, operator=operator, service=service, parts=each, count=count), shape)


@app.command(epilog=o.examples('parts "Hello!"', "parts - < message.txt"))
def parts(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="The text, or - for standard input without its last line break.")
    ],
    *,
    output: o.OutputOption = Output.TABLE,
    columns: o.Columns = None,
) -> None:
    """Count the SMS parts that a text takes, and show its alphabet."""
    from smsc_async.cli.files import decoded_text, read_bounded
    from smsc_async.cli.pricing import write_parts
    from smsc_async.environment import without_line_break

    if text == "-":
        text = without_line_break(decoded_text(read_bounded(sys.stdin.buffer, "standard input"), "standard input"))
    write_parts(text, o.shape(output, columns))


@app.command(
    epilog=o.examples(
        "compare main reserve",
        "compare main reserve --mix 1/25001=1000 --mix latvia=200",
        "compare main reserve --operator KZ -o csv",
    )
)
def compare(
    accounts: o.AccountNames,
    *,
    service: Annotated[Service, typer.Option(help="Which price.")] = Service.API,
    mix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ZONE[/OPERATOR]=COUNT",
            help="Traffic to sum up, of a zone or of one operator in it; repeat for more.",
        ),
    ] = None,
    operator: o.Operators = None,
    fresh: o.Fresh = False,
    output: o.OutputOption = Output.TABLE,
    columns: o.Columns = None,
    bom: o.Bom = False,
    decimal_comma: o.DecimalComma = False,
    password_from: o.PasswordFrom = None,
    deadline: o.Deadline = o.DEADLINE,
) -> None:
    """Show accounts side by side, zones and individual tariffs of operators, with the cheapest of each row marked."""
    from smsc_async.analysis.compare import compare as compared
    from smsc_async.cli.compare import (
        check_operators,
        comparison_columns,
        fetch_for_comparison,
        read_mix,
        write_comparison,
    )
    from smsc_async.cli.selection import check_columns, check_names

    shape, traffic = o.shape(output, columns, bom=bom, decimal_comma=decimal_comma), read_mix(mix or ())
    check_operators(operator or (), service)
    check_names(operators=operator or ())
    check_columns(shape.columns, comparison_columns(dict.fromkeys(accounts)))
    lists, code = fetch_for_comparison(accounts, source=password_from, fresh=fresh, deadline=deadline)
    if lists:
        write_comparison(compared(lists, service=service), traffic, shape, operators=operator or ())
    raise typer.Exit(code)


@app.command(epilog=o.examples("diff yesterday.json now", "diff main@2026-11-01 main@now", "diff main reserve -o json"))
def diff(
    old: o.OldList,
    new: o.NewList,
    *,
    history: o.HistoryFile = None,
    output: o.OutputOption = Output.TABLE,
    columns: o.Columns = None,
    bom: o.Bom = False,
    decimal_comma: o.DecimalComma = False,
    password_from: o.PasswordFrom = None,
    deadline: o.Deadline = o.DEADLINE,
) -> None:
    """Show what changed between two lists; ends with 1 if anything did.

    A saved list is what `tariffs -o json` wrote, or an answer of the service in any of its formats. ACCOUNT@INSTANT, such as
    main@2026-11-01, is the list that a watch has kept and that was in force at that instant.
    """
    from smsc_async.analysis.diff import diff as changed
    from smsc_async.cli.compare import read_lists
    from smsc_async.cli.diff_output import CHANGE_COLUMNS, write_changes
    from smsc_async.cli.selection import check_columns
    from smsc_async.cli.session import new_history

    shape = o.shape(output, columns, bom=bom, decimal_comma=decimal_comma)
    check_columns(shape.columns, CHANGE_COLUMNS)
    # The history is looked up if a list of it is wanted.
    before, after = read_lists(
        (old, new), source=password_from, deadline=deadline, history=lambda: new_history(history)
    )
    changes = changed(before, after)
    write_changes(changes, shape)
    raise typer.Exit(ExitCode.DIFFERENT if changes else ExitCode.OK)


@app.command(
    "report",
    epilog=o.examples(
        "report", "report main reserve -o prices.html", "report main main=monday.json --since 2026-10-28"
    ),
)
def make_report(
    accounts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ACCOUNT|[ACCOUNT=]FILE",
            help="Accounts to fetch, and saved lists of earlier times; without any, the account of the environment, "
            "or the file's default.",
            show_default=False,
            autocompletion=o.complete_account_or_file,
        ),
    ] = None,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to, or - for standard output.")
    ] = "report.html",
    title: Annotated[str, typer.Option(help="What the page is called.")] = "Tariffs",
    service: Annotated[
        Service, typer.Option(help="Which price the comparison and the charts show first.")
    ] = Service.API,
    history: o.HistoryFile = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT", help="Compare with the list of then, such as 2026-10-28, and chart from then on."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Replace a page that is there without a question.")] = False,
    fresh: o.Fresh = False,
    password_from: o.PasswordFrom = None,
    deadline: o.Deadline = o.DEADLINE,
) -> None:
    """Write a page to search, sort, compare, chart and print: one HTML file that needs no network."""
    from datetime import UTC, datetime

    from smsc_async.cli.durations import parse_instant
    from smsc_async.cli.report import check_place, gather, inputs_of, write_page
    from smsc_async.cli.session import new_history
    from smsc_async.report import render_report

    instant = None if since is None else parse_instant(since)
    lists = new_history(history, is_needed=False)
    check_place(output, inputs_of(accounts or (), lists, password_from), may_replace=yes)
    snapshots, code = gather(
        accounts or (),
        history=lists,
        since=instant,
        password_from=password_from,
        fresh=fresh,
        deadline=deadline,
    )
    if snapshots:
        page = render_report(snapshots, title=title, service=service, since=instant, generated_at=datetime.now(UTC))
        write_page(page, output, snapshots)
    raise typer.Exit(code)


@app.command(epilog=o.examples("watch main --every 15m", "watch main --once -o json"))
def watch(
    accounts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ACCOUNT",
            help="Accounts of the configuration file, or env.",
            show_default=False,
            autocompletion=o.complete_account,
        ),
    ] = None,
    *,
    everybody: Annotated[bool, typer.Option("--all", help="Watch all accounts of the configuration file.")] = False,
    every: Annotated[str, typer.Option(metavar="DURATION", help="How often to look, such as 90s, 15m or 1h.")] = "15m",
    once: Annotated[bool, typer.Option("--once", help="Look once and end, as a job for cron.")] = False,
    zone: Annotated[
        list[str] | None, typer.Option(help="A zone's number or part of its name; repeat for more.")
    ] = None,
    operator: o.Operators = None,
    service: Annotated[list[Service] | None, typer.Option(help="Prices to watch; repeat for more.")] = None,
    min_change: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="The smallest change of a price to report, such as 1%.")
    ] = None,
    only: Annotated[Direction | None, typer.Option(help="Report prices that went this way.")] = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="Run for each report, which it gets as JSON on standard input; no shell."),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(envvar="SMSC_WEBHOOK", metavar="URL", help="Post each report as JSON to an https:// URL."),
    ] = None,
    notify: Annotated[
        str | None,
        typer.Option(
            envvar="SMSC_NOTIFY",
            metavar="URL",
            help="Send each report as text to a service that apprise knows, such as Telegram, Slack or mail (the extra notify).",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Write nothing but changes and errors, so that cron sends no mail.")
    ] = False,
    history: o.HistoryFile = None,
    reader: Annotated[
        str, typer.Option(help="The name under which deliveries are recorded: each name gets all changes.")
    ] = "watch",
    output: o.OutputOption = Output.TABLE,
    password_from: o.PasswordFrom = None,
    deadline: o.Deadline = o.DEADLINE,
) -> None:
    """Report what changes in the lists of accounts, each change once, until Ctrl-C.

    Lists are kept in a history; what changed while no watch ran is reported by the next one.
    """
    from smsc_async.cli.durations import parse_duration
    from smsc_async.cli.files import checked_text
    from smsc_async.cli.notify import command_receiver, notification_receiver, webhook_receiver
    from smsc_async.cli.profiles import all_profiles, find_profile, secret_variables
    from smsc_async.cli.selection import check_names
    from smsc_async.cli.session import new_history
    from smsc_async.cli.watch import Lines, Plan, new_filter, run_watch

    if output not in {Output.TABLE, Output.JSON}:
        raise CliError("a watch writes -o table, or -o json with a line for each report", ExitCode.USAGE)
    if everybody and accounts:
        raise CliError("which accounts? Name some of them, or --all", ExitCode.USAGE)
    check_names(zones=zone or (), operators=operator or ())
    lines = Lines(tuple(zone or ()), tuple(operator or ()))
    names: Iterable[str | None] = dict.fromkeys(accounts or ()) or (None,)
    profiles = all_profiles() if everybody else [find_profile(name, source=password_from) for name in names]
    receivers = [
        *([] if run is None else [command_receiver(run, secret_variables(profiles))]),
        *([] if webhook is None else [webhook_receiver(webhook)]),
        *([] if notify is None else [notification_receiver(notify)]),
    ]
    plan = Plan(
        every=parse_duration(every),
        once=once,
        deadline=deadline,
        history=new_history(history),
        reader=checked_text(reader, "--reader"),
        as_json=output is Output.JSON,
        receivers=tuple(receivers),
        lines=lines,
        changes=new_filter(lines, services=service or (), min_change=min_change, only=only),
        quiet=quiet,
    )
    raise typer.Exit(run_watch(profiles, plan))


@app.command(
    epilog=o.examples(
        "history main", "history main --zone latvia --since 2026-11-01", "history main --operator mts --chart mts.svg"
    )
)
def history(
    account: Annotated[
        str | None,
        typer.Argument(
            metavar="ACCOUNT",
            help="Whose lists; without it those of all accounts.",
            show_default=False,
            autocompletion=o.complete_account,
        ),
    ] = None,
    *,
    zone: Annotated[str | None, typer.Option(metavar="ZONE", help="A zone whose price to show over time.")] = None,
    operator: Annotated[
        str | None, typer.Option(metavar="OPERATOR", help="An operator whose price to show over time.")
    ] = None,
    mail: Annotated[bool, typer.Option("--mail", help="Show the e-mail price over time.")] = False,
    service: Annotated[Service, typer.Option(help="Which price.")] = Service.API,
    since: o.Since = None,
    until: Annotated[str | None, typer.Option(metavar="INSTANT", help="Up to then; now is an instant, too.")] = None,
    chart: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the price into a .png or .svg (the extra plot).")
    ] = None,
    prune: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Drop lists older than, say, 90d that changed nothing.")
    ] = None,
    history: o.HistoryFile = None,
    output: o.OutputOption = Output.TABLE,
    columns: o.Columns = None,
    bom: o.Bom = False,
    decimal_comma: o.DecimalComma = False,
) -> None:
    """Show the lists that were kept over time, or one price over time. Asks the service for nothing."""
    from smsc_async.cli import history as history_reads
    from smsc_async.cli.chart import check_chart, draw_prices
    from smsc_async.cli.durations import parse_duration, parse_instant
    from smsc_async.cli.history_output import PERIOD_COLUMNS, POINT_COLUMNS, write_periods, write_prices
    from smsc_async.cli.selection import check_columns, check_names
    from smsc_async.cli.session import new_history

    shape = o.shape(output, columns, bom=bom, decimal_comma=decimal_comma)
    check_names(zones=[] if zone is None else [zone], operators=[] if operator is None else [operator])
    wanted = history_reads.Wanted(zone=zone, operator=operator, mail=mail, service=service)
    check_columns(shape.columns, POINT_COLUMNS if wanted.any else PERIOD_COLUMNS)
    stored = new_history(history)
    if history is not None:
        history_reads.check_exists(stored)
    if prune is not None:
        history_reads.prune(stored, account, parse_duration(prune))
        return
    if chart is not None:
        history_reads.check_price_wanted(wanted)
        check_chart(chart, stored.path)
    first, last = (None if text is None else parse_instant(text) for text in (since, until))
    periods = history_reads.read_periods(stored, account, since=first, until=last)
    if not wanted.any:
        write_periods(periods, shape)
        return
    points, title = history_reads.prices_of(periods, wanted)
    write_prices(points, title, shape)
    if chart is not None and points:
        draw_prices(points, chart, title=title)


@app.command(epilog=o.examples("simulator", "simulator --login alex --login boris --change-every 30s"))
def simulator(
    *,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="The address to listen at; passwords come over plain HTTP.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="The port; 0 for one that is free.")
    ] = 8025,
    login: Annotated[
        list[str] | None,
        typer.Option(metavar="LOGIN", help="A login, its password 123; repeat for more. Without any: alex."),
    ] = None,
    api_key: Annotated[
        list[str] | None, typer.Option(metavar="LOGIN=KEY", help="An API key of a login; repeat for more.")
    ] = None,
    md5: Annotated[bool, typer.Option("--md5", help="Accept the MD5 of a password too, as for old accounts.")] = False,
    accept_host: Annotated[
        list[str] | None, typer.Option(help="A further host name of this server, such as that of its container.")
    ] = None,
    window: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Seconds in which three identical requests of a login are answered."),
    ] = 60.0,
    latency: Annotated[float, typer.Option(metavar="SECONDS", help="Seconds until it answers.")] = 0.0,
    change_every: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Change a few prices every so often, such as 30s: something to watch."),
    ] = None,
) -> None:
    """Run a simulated service to point clients at, until Ctrl-C."""
    from smsc_async.cli.durations import parse_duration
    from smsc_async.cli.simulator import new_accounts, new_simulator, run_simulator

    accounts = new_accounts(login or ["alex"], api_keys=api_key or (), accepts_md5=md5)
    every = 0.0 if change_every is None else parse_duration(change_every)
    service = new_simulator(accounts, per=window, latency=latency)
    run_simulator(service, accounts, host=host, port=port, change_every=every, hosts=accept_host or ())


@app.command(epilog=o.examples("status", "status main -o json"))
def status(
    accounts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ACCOUNT", help="Accounts; without any, all of them.", autocompletion=o.complete_account
        ),
    ] = None,
    *,
    history: o.HistoryFile = None,
    output: o.OutputOption = Output.TABLE,
    columns: o.Columns = None,
) -> None:
    """Show accounts, where their passwords are, what is left of their quotas, and files. Sends and creates nothing."""
    from smsc_async.cli.profiles import all_profiles, find_profile
    from smsc_async.cli.selection import check_columns
    from smsc_async.cli.status import STATUS_COLUMNS, write_status

    shape = o.shape(output, columns)
    check_columns(shape.columns, STATUS_COLUMNS)
    profiles = [find_profile(name) for name in dict.fromkeys(accounts)] if accounts else all_profiles()
    write_status(profiles, history, shape)


@accounts_app.command(
    "add",
    epilog=o.examples(
        "accounts add main --login alex --password-from keyring",
        "accounts add main --login alex --password-from file:secret.txt",
        "accounts add bykey --api-key-from env:SMSC_KEY",
    ),
)
def add_account(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name that the commands are to know it by.")],
    *,
    login: Annotated[str | None, typer.Option(metavar="LOGIN", help="The login at the service.")] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the service is; by default https://smscentre.com/sys/.")
    ] = None,
    password_from: o.PasswordFrom = None,
    api_key_from: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Where the API key is, in place of a password.")
    ] = None,
) -> None:
    """Add an account. The file says where its password is, and never holds it; a keyring without it asks for it now."""
    from smsc_async.cli import accounts

    accounts.add_account(name, login=login, base_url=base_url, password_from=password_from, api_key_from=api_key_from)


@accounts_app.command("list", epilog=o.examples("accounts list", "accounts list -o json"))
def list_accounts(*, output: o.OutputOption = Output.TABLE, columns: o.Columns = None) -> None:
    """Show all accounts, and where their passwords are. Sends nothing."""
    from smsc_async.cli.accounts import ACCOUNT_COLUMNS, write_accounts
    from smsc_async.cli.selection import check_columns

    shape = o.shape(output, columns)
    check_columns(shape.columns, ACCOUNT_COLUMNS)
    write_accounts(shape)


@accounts_app.command("check", epilog=o.examples("accounts check", "accounts check main"))
def check_accounts(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Accounts; without any, all of them.", autocompletion=o.complete_account),
    ] = None,
    *,
    deadline: o.Deadline = o.DEADLINE,
) -> None:
    """Fetch the list of each account, and show whether the service accepts its password."""
    from smsc_async.cli import accounts

    raise typer.Exit(accounts.check_accounts(names or (), deadline=deadline))


@accounts_app.command("remove", epilog=o.examples("accounts remove main"))
def remove_account(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The account.", autocompletion=o.complete_account)],
) -> None:
    """Remove an account from the file. Its lists in the history and its password stay where they are."""
    from smsc_async.cli import accounts

    accounts.remove_account(name)


def run() -> NoReturn:
    """Run the command that the arguments of the process name, and end the process with its exit code."""
    open_streams()
    try:
        sys.exit(app())
    except Exception as error:  # noqa: BLE001  # a fault of ours: a user gets a traceback with --debug only
        sys.exit(report(error, debug="--debug" in sys.argv))
