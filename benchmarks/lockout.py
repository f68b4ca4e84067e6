"""Authorization errors: every scenario of the lockout rules in virtual time, counted at the server.

A scenario that asks how many errors the rules permit runs against a server that counts and does not block: a blocked
address would hide every error after the fifth.

    uv run python -m benchmarks.lockout                 # the table, in about a minute
    uv run python -m benchmarks.lockout --write         # the table in docs/lockout.md
    uv run python -m benchmarks.lockout --rules         # other wordings of the rules, and why they were replaced
    uv run python -m benchmarks.lockout --rules --quick # few seeds, to see that everything runs
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from unittest import mock

import attrs

from benchmarks import lockout_wordings
from benchmarks.lockout_world import IN_BULK, START, Account, Call, Store, World
from benchmarks.page import BEGIN, DOCS, END
from benchmarks.pairing import Line
from smsc_async.fetch import lockout as rules

TITLE = "Lockout: errors at the server, accounts served and waits, in virtual time; round trips of 80 to 140 ms"
SEEDS, QUICK_SEEDS = 1000, 20
MINUTE, HALF_HOUR, HOUR = 60.0, 1800.0, 3600.0
CONFIRMED, PROVEN = 600.0, 7200.0


@attrs.frozen
class Row:
    """One line of the table; `ok` is the required outcome, as the scenario checked it."""

    number: str
    scenario: str
    errors: str
    served: str
    wait: str
    required: str
    ok: bool


def accounts(count: int, name: str = "u") -> list[Account]:
    return [Account(f"{name}{number}") for number in range(count)]


def wrong(*logins: str) -> list[Account]:
    return [Account(login, "wrong") for login in logins]


def seconds(value: float) -> str:
    return f"{value:.1f} s"


def moved(ago: float, at_once: int) -> Callable[[], Row]:
    """1: everybody is refused from the start, in passes every ten minutes for three hours."""

    def run() -> Row:
        world = World(1)
        world.server.blocks, world.server.moved = False, True
        users = accounts(300)
        world.store.worked(users, ago)
        for passes in range(18):
            world.at(passes * 10 * MINUTE, lambda: world.bulk(users, at_once=at_once))
        world.run(4 * HOUR)
        kind = "confirmed" if ago < HALF_HOUR else "proven"
        order = "a fleet" if at_once > 1 else "one after another"
        name = f"300 {kind} accounts, address moved, {order}"
        return Row("1", name, str(world.server.peak()), "0 of 300", "", "≤ 4", world.server.peak() <= 4)

    return run


def moved_mixed(seeds: int = 100) -> Row:
    peak = 0
    for seed in range(seeds):
        world = World(seed)
        world.server.blocks, world.server.moved = False, True
        users = accounts(300)
        world.store.worked(users[:100], PROVEN)
        world.store.worked(users[100:200], CONFIRMED)
        world.events.random.shuffle(users)
        world.bulk(users)
        world.run(10 * MINUTE)
        peak = max(peak, world.server.peak())
    name = f"100 confirmed, 100 proven, 100 new, address moved, {seeds} seeds"
    return Row("1", name, f"≤ {peak}", "0 of 300", "", "≤ 4", peak <= 4)


def moved_midway(seeds: int = 20) -> Row:
    """The address moves within a pass, and is allowed again after 40 minutes; the accounts are called every ten."""
    peak, served, wait = 0, 300, 0.0
    for seed in range(seeds):
        world = World(seed)
        world.server.blocks = False
        users = accounts(300)
        world.store.worked(users, CONFIRMED)
        world.at(world.events.random.uniform(0.2, 0.9), partial(setattr, world.server, "moved", True))
        world.at(40 * MINUTE, partial(setattr, world.server, "moved", False))
        for passes in range(10):
            world.at(passes * 10 * MINUTE, partial(world.bulk, users))
        world.run(2 * HOUR)
        peak = max(peak, world.server.peak())
        back = [call for call in world.calls if call.ending == "list" and call.ended_at > START + 40 * MINUTE]
        first = {call.account: call.ended_at for call in sorted(back, key=lambda each: -each.ended_at)}
        served = min(served, len(first))
        wait = max(wait, *(at - START - 40 * MINUTE for at in first.values()))
    name = "300 confirmed accounts, address moves in the pass, back after 40 min, called every 10 min"
    return Row(
        "1", name, f"≤ {peak}", f"{served} of 300", f"{wait / 60:.0f} min", "≤ 50 + 4", peak <= 54 and served == 300
    )


def changed(count: int, ago: float, seeds: int, limit: float) -> Row:
    """2: passwords that changed at the provider, at random places of one pass."""
    above, peak, endings = 0, 0, Counter[str]()
    for seed in range(seeds):
        world = World(seed)
        world.server.blocks = False
        users = accounts(300)
        world.store.worked(users, ago)
        for user in world.events.random.sample(users, count):
            world.server.passwords[user.login] = "new"
        world.bulk(users)
        world.run(5 * MINUTE)
        above += world.server.peak() > 4
        peak = max(peak, world.server.peak())
        endings += world.endings()
    share = above / seeds
    others = {"list", "TrialsExhausted", "AuthenticationError", "CredentialsRefused"}
    kind = "confirmed" if ago < HALF_HOUR else "proven"
    return Row(
        "2",
        f"{count} of 300 {kind} accounts changed, {seeds} seeds",
        f"> 4 in {share:.1%}, ≤ {peak}",
        f"{endings['list'] / seeds:.0f} of {300 - count}, others TrialsExhausted",
        "",
        f"> 4 in < {limit:.0%}, ≤ 8",
        share < limit and peak <= 8 and set(endings) <= others,
    )


def changed_one() -> Row:
    """One password changed; the program calls all accounts every minute, this one too."""
    world = World(2)
    world.server.blocks = False
    users = accounts(50)
    world.store.worked(users, CONFIRMED)
    world.server.passwords["u7"] = "new"
    for minute in range(40):
        world.at(minute * MINUTE, lambda: world.bulk(users))
    world.run(HOUR)
    name = "1 of 50 confirmed accounts changed, all called every minute for 40 min"
    lost = sum(call.ending == "TrialsExhausted" for call in world.calls)
    ok = len(world.server.errors) == 1 and lost == 0
    return Row(
        "2", name, str(world.server.peak()), f"{len(world.served())} of 49", f"{lost} refused", "1, all served", ok
    )


def changed_loop() -> Row:
    """The accounts that scenario 2 leaves, with the loop that repeats them."""
    world = World(2)
    users = accounts(300)
    world.store.worked(users, PROVEN)
    for user in world.events.random.sample(users, 10):
        world.server.passwords[user.login] = "new"

    def repeat(call: Call) -> None:
        if call.ending == "TrialsExhausted":
            world.events.after(max(1.0, call.retry_after), lambda: world.call(call.account, done=repeat))

    world.bulk(users, then=repeat)
    world.run(6 * HOUR)
    ok = len(world.served()) == 290 and world.server.peak() <= 4
    name = "10 of 300 proven accounts changed, with the loop of scenario 12"
    return Row("2", name, str(world.server.peak()), f"290 in {world.span() / 60:.0f} min", "", "≤ 4, all served", ok)


def typos_and_watches() -> Row:
    world = World(3)
    users = accounts(300)
    world.store.worked(users[:150], PROVEN)
    world.store.worked(users[150:], CONFIRMED)
    for number, user in enumerate(wrong("n0", "n1", "n2", "n3")):
        world.at(number, partial(world.call, user, 5.0))
    world.at(60.0, lambda: world.bulk(users))
    world.run(10 * MINUTE)
    name = "four typos of four new users, then 150 confirmed and 150 proven accounts"
    ok = len(world.served()) == 300 and world.span() - 60.0 <= MINUTE
    served = f"{len(world.served())} in {seconds(world.span() - 60.0)}"
    return Row("2a", name, str(world.server.peak()), served, seconds(world.longest_wait()), "300 in 60 s", ok)


def short_deadline() -> Row:
    world = World(4)
    world.server.takes = 2.0
    [user] = wrong("u")
    for second in range(3600):
        world.at(second, lambda: world.call(user, deadline=1.0))
    world.run(HOUR + MINUTE)
    later = {call.ending for call in world.calls[3:2600]}
    ok = len(world.server.errors) == 2 and world.server.peak() == 1 and later == {"CredentialsRefused"}
    name = "a wrong password, replies after 2 s, called every second with 1 s for an hour"
    return Row(
        "3", name, f"{len(world.server.errors)} (peak {world.server.peak()})", "", "", "1, again after 45 min", ok
    )


def gateway(repeat: int) -> Callable[[], Row]:
    def run() -> Row:
        world = World(5)
        world.server.blocks = False
        world.server.fault = lambda _: "gateway"
        users = wrong("u0", "u1", "u2")
        for number in range(repeat):
            for user in users:
                world.at(number * 15.0, partial(world.call, user, 10.0))
        world.run(HOUR)
        calls = "called once" if repeat == 1 else f"called {repeat} times in 30 min"
        peak, required = world.server.peak(), "≤ 4, 1 per call" if repeat == 1 else "≤ 4 per credentials"
        most = max(Counter(user for _, user in world.server.requests).values())
        ok = peak <= 4 and len(world.server.requests) == 3 if repeat == 1 else most <= 4
        return Row(
            "4",
            f"a gateway answers 504 after counting; three wrong passwords, {calls}",
            str(peak),
            "",
            "",
            required,
            ok,
        )

    return run


def wrong_in_front() -> Row:
    world = World(6)
    bad = wrong("w0", "w1", "w2", "w3")
    users = accounts(36)
    for passes in range(5):
        world.at(passes * HALF_HOUR, lambda: world.bulk([*bad, *users]))
    world.run(2 * HALF_HOUR - 1)
    served, tries = len(world.served()), len(world.server.errors)
    world.run(3 * HOUR)
    name = "40 new accounts, four wrong ones in front, every 30 min"
    ok = served == 36 and tries == 4 and world.server.peak() <= 4
    return Row("5", name, str(world.server.peak()), f"{served} of 36 after two runs", "", "all in two runs", ok)


def cut_for(unlucky: set[Account], user: Account) -> str | None:
    return "cut" if user in unlucky else None


def cuts() -> Row:
    spans: list[float] = []
    served: list[int] = []
    for rate in (0, 20):
        world = World(7)
        users = accounts(200)
        unlucky = set(world.events.random.sample(users, len(users) // rate)) if rate else set[Account]()
        world.server.fault = partial(cut_for, unlucky)
        world.bulk(users)
        world.run(HOUR)
        spans.append(world.span())
        served.append(len(world.served()))
    ok = served[1] >= 188 and spans[1] <= 3 * spans[0]
    name = "200 new accounts, 5 % of the connections cut"
    return Row("6", name, "0", f"{served[1]} of 200", f"{spans[1] / spans[0]:.2f} × the time", "≥ 188, ≤ 3 ×", ok)


def typist() -> Row:
    world = World(8)
    for number in range(4):
        world.at(number, partial(world.call, Account("a", f"typo {number}"), 5.0))
    world.at(10.0, lambda: world.call(Account("b")))
    world.run(MINUTE)
    ok = world.calls[-1].ending == "list" and world.longest_wait() == 0.0 and world.server.peak() == 2
    name = "one login mistypes four times, then another login"
    return Row("7", name, str(world.server.peak()), "1 of 1", seconds(world.longest_wait()), "at once", ok)


def resets() -> Row:
    world = World(9)
    world.server.fault = lambda _: "cut" if world.now < 1.0 else None
    for user in accounts(4, "cut"):
        world.call(user)
    world.at(1.0, lambda: world.call(Account("b")))
    world.run(MINUTE)
    ok = world.calls[-1].ending == "list" and world.calls[-1].took <= 10.0
    return Row("8", "four trials reset, then a new account", "0", "1 of 1", seconds(world.longest_wait()), "≤ 10 s", ok)


def killed() -> Row:
    """The worker holds all four places, and the third token of a login whose other two are used for longer."""
    world = World(10)
    world.server.takes = 1.0
    dying = world.new_client()
    world.store.of(Account("b")).worked_at = START - CONFIRMED
    world.store.tokens["b"].update({"first": START + HOUR, "second": START + HOUR})
    for user in [*accounts(3, "new"), Account("b")]:
        dying.call(user)
    world.at(0.5, dying.kill)
    world.at(1.0, lambda: world.call(Account("c")))
    world.at(1.0, lambda: world.call(Account("b"), deadline=100.0))
    world.run(5 * MINUTE)
    place, token = world.calls[0].ended_at - START, world.calls[1].ended_at - START
    ok = world.calls[0].ending == world.calls[1].ending == "list" and place <= 66.0 + 1.2 and token <= 96.0 + 1.2
    free = f"place {place:.0f} s, token {token:.0f} s"
    return Row("9", "a worker is killed during four trials", "0", "2 of 2", free, "66 s, 96 s, + 1.2 s", ok)


def watches() -> Row:
    world = World(11)
    users = accounts(300)
    for number in (17, 60, 111, 200, 288):
        users[number] = Account(users[number].login, "wrong")
    unlucky = {users[number] for number in (3, 4, 90, 250)}

    def fault(user: Account) -> str | None:
        if user not in unlucky:
            return None
        unlucky.discard(user)
        return "cut"

    def watch(user: Account) -> None:
        def next_round(call: Call) -> None:
            if call.ending not in {"AuthenticationError", "CredentialsRefused"}:
                alive.add(user)
                world.events.after(10 * MINUTE, lambda: watch(user))
            else:
                alive.discard(user)

        world.call(user, done=next_round)

    alive: set[Account] = set()
    world.server.fault = fault
    for user in users:
        watch(user)
    world.run(HOUR + MINUTE)
    ended = {user for user in users if user not in alive}
    ok = {user.password for user in ended} == {"wrong"} and len(alive) == 295 and world.server.peak() <= 4
    served = f"{len(alive)} alive, {len(world.served())} served"
    name = "300 watches, five wrong passwords, four cuts, an hour"
    return Row("10", name, str(world.server.peak()), served, "", "295 alive", ok)


def hasty_tenant() -> Row:
    world = World(12)
    world.server.takes = 0.3
    users = accounts(40)
    world.store.worked(users[:20], CONFIRMED)
    for tenth in range(600):
        hasty = Account(f"hasty{tenth % 9}")
        world.at(tenth / 10, partial(world.client.call, hasty, 0.1))
    for number, user in enumerate(users):
        world.at(20.0 + number / 2, partial(world.call, user))
    world.run(5 * MINUTE)
    ok = len(world.served()) == 40 and world.client.opened == 0 and world.longest_wait() < 0.5
    name = "a tenant of nine logins with deadlines of 0.1 s, replies after 0.3 s"
    return Row("11", name, "0", "40 of 40", seconds(world.longest_wait()), "none waits, closed", ok)


def first_night() -> Row:
    world = World(13)
    users = accounts(300)
    for user in world.events.random.sample(range(300), 5):
        users[user] = Account(users[user].login, "wrong")
    endings = Counter[str]()

    def repeat(call: Call) -> None:
        endings[call.ending] += 1
        if call.ending == "TrialsExhausted":
            world.events.after(max(1.0, call.retry_after), lambda: world.call(call.account, done=repeat))

    world.bulk(users, then=repeat)
    world.run(4 * HOUR)
    ok = len(world.served()) == 295 and world.server.peak() <= 4
    ok = (
        ok
        and set(endings) == {"list", "AuthenticationError", "TrialsExhausted"}
        and endings["AuthenticationError"] == 5
    )
    served = f"295 in {world.span() / 60:.0f} min, {endings['TrialsExhausted']} repeats"
    return Row(
        "12",
        "300 new accounts, five wrong, first night",
        str(world.server.peak()),
        served,
        "",
        "all, with the loop",
        ok,
    )


def crash_loop(shared: bool) -> Callable[[], Row]:  # noqa: FBT001
    def run() -> Row:
        world = World(14)
        [user] = wrong("u")

        def start() -> None:
            world.store = world.store if shared else Store()
            world.client = world.new_client()
            world.call(user)

        for number in range(7):
            world.at(number * 10.0, start)
        world.run(5 * MINUTE)
        store = "a shared store" if shared else "a store for each start"
        count, required = len(world.server.errors), "1" if shared else "5, documented"
        return Row(
            "13",
            f"a program with a wrong password starts seven times, {store}",
            str(count),
            "",
            "",
            required,
            count == (1 if shared else 5),
        )

    return run


SCENARIOS: tuple[Callable[[], Row], ...] = (
    moved(PROVEN, IN_BULK), moved(PROVEN, 1), moved(CONFIRMED, IN_BULK), moved(CONFIRMED, 1), moved_mixed, moved_midway,
    changed_one, changed_loop, typos_and_watches, short_deadline, gateway(1), gateway(100), wrong_in_front, cuts, typist,
    resets, killed, watches, hasty_tenant, first_night, crash_loop(shared=True), crash_loop(shared=False),
)  # fmt: skip


def scenarios(seeds: int = SEEDS) -> list[Row]:
    rows = [
        changed(10, PROVEN, seeds, 0.01),
        changed(30, PROVEN, max(1, seeds // 2), 0.01),
        changed(10, CONFIRMED, max(1, seeds // 5), 0.05),
        *(scenario() for scenario in SCENARIOS),
    ]
    return sorted(rows, key=lambda row: float(row.number.replace("a", ".5")))


def wordings(seeds: int) -> Iterator[Row]:
    """The scenarios in which the wordings of the rules differ."""
    yield moved_mixed(seeds)
    yield moved_midway(max(1, seeds // 5))
    yield changed(10, PROVEN, 3 * seeds, 0.01)
    yield changed(10, CONFIRMED, seeds, 0.05)
    yield changed_one()


def run(rounds: int) -> list[Line]:
    """The rows as the page of benchmarks shows them."""
    return [
        Line(f"{row.number}. {row.scenario}", f"{row.errors} errors", row.served, row.wait, None, row.required)
        for row in scenarios(QUICK_SEEDS if rounds == 1 else SEEDS)
    ]


def table(rows: list[Row]) -> str:
    lines = [
        "| # | scenario | errors at the server | accounts served | extra wait | required | ok |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.number} | {row.scenario} | {row.errors} | {row.served} | {row.wait} | {row.required} | {'yes' if row.ok else 'NO'} |"
        for row in rows
    ]
    return "\n".join(lines)


def write(text: str) -> Path:
    """Put the table between the marks of the page."""
    page = DOCS / "lockout.md"
    before, rest = page.read_text("utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}", "utf-8")
    return page


def main() -> None:
    quick = "--quick" in sys.argv
    if "--rules" not in sys.argv:
        text = table(scenarios(QUICK_SEEDS if quick else SEEDS))
        print(f"written to {write(text)}" if "--write" in sys.argv else text)
        return
    for name, patches in lockout_wordings.WORDINGS.items():
        with ExitStack() as stack:
            for function, replacement in patches.items():
                stack.enter_context(mock.patch.object(rules, function, replacement))
            print(f"\n{name}\n\n{table(list(wordings(2 if quick else 100)))}")


if __name__ == "__main__":
    main()
