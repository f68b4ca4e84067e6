// The page: its tables made searchable and sortable, its search field, its keys, its printing.

const SHOWN_AT_ONCE = 200;
const PRINTED_AT_MOST = 5000;
const tableViews = [];
let service = data.services.indexOf(data.service);

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
find("#time-zone").textContent = `Times are in ${zone}.`;
for (const time of document.querySelectorAll("time")) time.textContent = local(Date.parse(time.dateTime) / 1000);

// --- prices

const panels = [...document.querySelectorAll(".panel")];
panels.forEach((panel, place) => {
  const { lines } = data.accounts[place];
  const zones = lines.filter(({ kind }) => kind === "zone");
  const others = lines.slice(zones.length, -1);
  const open = ({ line }) => openChart(line, service);
  const add = (table, linesOfTable) => {
    const rows = [...table.tBodies[0].rows];
    const last = rows.length - 1;
    // Beyond the rows are lines that the newest list has no more: those show among the changes only.
    const models = rows.map((row, number) => adopted(row, linesOfTable(number, last)));
    tableViews.push(new TableView(table, models, { open }));
  };
  add(find(".zones", panel), (number) => zones[number]);
  add(find(".codes", panel), (number, last) => (number === last ? lines.at(-1) : others[number]));
});

function showPanel([place]) {
  panels.forEach((panel, number) => panel.classList.toggle("away", number !== place));
  showMatchCount();
}

// --- comparison

function compareAccounts(table) {
  const rows = [...table.tBodies[0].rows];
  const together = [...sideBySide("zone", ".zones", 0), ...sideBySide("operator", ".codes", 1)];
  const models = together.map(({ line, prices }, number) => Object.assign(adopted(rows[number], line), { prices }));
  for (const row of rows) row.hidden = false;
  const tableView = new TableView(table, models, {
    open: ({ line }) => openChart(line, service),
    matches: ({ line }) => line.kind === "zone" || data.messages.includes(service),
  });
  tableViews.push(tableView);
  const show = ([chosen]) => {
    service = chosen;
    find("#compared-service").textContent = data.services[service];
    const wins = panels.map(() => 0);
    for (const model of models.filter(tableView.matches)) markCheapest(model, wins);
    showWins(wins);
    tableView.draw();
  };
  choices(find("#services"), "Price of", data.services, { checked: [service], changed: show });
  show([service]);
}

// As `compare` orders them: those of the first list, then what the others add. A table has `more` rows than lines.
function sideBySide(kind, table, more) {
  const lines = new Map();
  panels.forEach((panel, place) => {
    const count = find(table, panel).tBodies[0].rows.length - more;
    for (const line of data.accounts[place].lines.filter((each) => each.kind === kind).slice(0, count)) {
      if (!lines.has(line.id)) lines.set(line.id, { line, prices: panels.map(() => null) });
      lines.get(line.id).prices[place] = line;
    }
  });
  return [...lines.values()];
}

function markCheapest({ line: { kind }, prices, row }, wins) {
  const values = prices.map((line) => (line ? latest(line.price(service)) : null));
  const known = values.filter((price) => price !== null);
  const cheapest = known.length ? known.reduce((one, other) => (isLess(other, one) ? other : one)) : null;
  const isBest = values.map((price) => price !== null && isSame(price, cheapest));
  // Where all are the same, none is the cheapest; nor where an operator has a price that is not known.
  const marks = !isBest.every(Boolean) && (kind === "zone" || known.length === values.length);
  values.forEach((price, place) => {
    const best = marks && isBest[place];
    const cell = row().cells[place + 2];
    cell.className = best ? "best" : "";
    cell.replaceChildren(price ?? MISSING, ...(best ? [make("span", {}, " cheapest")] : []));
    wins[place] += best;
  });
}

function showWins(wins) {
  const texts = wins.flatMap((count, place) => [place ? ", " : "", make("bdi", {}, data.accounts[place].name), ` in ${count}`]);
  find("#wins").replaceChildren("Lines in which an account is the cheapest: ", ...texts, ".");
}

// --- changes

function* changesOf(account) {
  for (let step = account.changes.length - 1; step >= 0; step -= 1) {
    for (const [, place, letters] of account.changes[step].matchAll(/(\d+)([a-z]\S*)/g)) {
      for (const [, kind, price] of letters.matchAll(/([a-z])(\d?)/g)) {
        yield new Change(account, step + 1, account.lines[Number(place)], kind, price);
      }
    }
  }
}

class Change {
  constructor(account, list, line, kind, price) {
    Object.assign(this, { account, list, line, kind });
    this.priced = price === "" ? null : Number(price);
  }

  get service() {
    return this.priced ?? service;
  }

  get texts() {
    return (this.cellTexts ??= this.makeTexts());
  }

  makeTexts() {
    const { account, list, line, kind, priced } = this;
    const price = priced === null ? null : { zone: data.services[priced], operator: "cost", mail: "mail" }[line.kind];
    const values = priced === null ? [] : unfolded(line.price(priced), account.taken.length);
    const [from, to] = [values[list - 1] ?? null, values[list] ?? null];
    const [by, percent] = from !== null && to !== null ? difference(from, to) : [null, null];
    return [String(account.taken[list]), account.name, KINDS[kind][0], line.id, this.names.join(" → "), price, from, to, by, percent];
  }

  get names() {
    const { line, list } = this;
    if (this.kind === "n") return [line.nameIn(list - 1), line.nameIn(list)];
    return [(line.kind === "zone" && line.nameIn(list).trim()) || line.title];
  }

  value(column) {
    return this.texts[column];
  }

  row() {
    return (this.element ??= this.build());
  }

  build() {
    const [seconds, who, kind, id, , ...prices] = this.texts;
    // Each for itself: a name that turns letters round must not turn the other.
    const names = this.names.flatMap((name, place) => [place ? " → " : "", make("bdi", {}, name)]);
    const [, sign] = KINDS[this.kind];
    return make(
      "tr",
      {},
      make("td", {}, timeElement(Number(seconds))),
      make("td", {}, make("bdi", {}, who)),
      make("td", {}, make("span", { class: `kind ${kind}` }, `${sign} ${kind}`)),
      make("td", {}, id),
      make("th", { scope: "row" }, opener(this, ...names)),
      ...prices.map((text) => make("td", {}, text ?? "")),
    );
  }
}

function listChanges() {
  const table = find(".changes");
  const models = data.accounts.flatMap((account) => [...changesOf(account)]);
  // Of one instant in the order of the accounts: the sort keeps it.
  models.sort((one, other) => other.account.taken[other.list] - one.account.taken[one.list]);
  const present = Object.keys(KINDS).filter((kind) => models.some((model) => model.kind === kind));
  let kinds = [];
  let chosenAccount = null;
  const tableView = new TableView(table, models, {
    open: ({ line, service: price }) => openChart(line, price),
    step: SHOWN_AT_ONCE,
    printed: PRINTED_AT_MOST,
    matches: ({ kind, account }) =>
      (!kinds.length || kinds.includes(kind)) && (chosenAccount === null || chosenAccount === account),
    onDraw: showChangeCount,
  });
  tableViews.push(tableView);
  const again = () => tableView.drawUpTo(SHOWN_AT_ONCE);
  const names = present.map((kind) => `${KINDS[kind][1]} ${KINDS[kind][0]} ${models.filter((each) => each.kind === kind).length}`);
  const changed = (places) => { kinds = places.map((place) => present[place]); again(); };
  if (present.length) choices(find("#kinds"), "Kind", names, { type: "checkbox", changed });
  if (present.length && data.accounts.length > 1) {
    const accounts = ["all", ...data.accounts.map(({ name }) => make("bdi", {}, name))];
    const one = ([place]) => { chosenAccount = data.accounts[place - 1] ?? null; again(); };
    choices(find("#whose"), "Account", accounts, { checked: [0], changed: one });
  }
  tableView.search(wanted());
}

function showChangeCount({ models, matching, rows }) {
  const left = matching.length - rows.length;
  const texts = left ? `${rows.length} of ${matching.length} changes` : `${matching.length} changes`;
  find("#changed").textContent = models.length ? texts : "No list differs from the one before it.";
  find(".changes").hidden = !matching.length;
}

// --- search and keys

const input = find("#search");
const wanted = () => plain(input.value).split(/\s+/).filter(Boolean);
const isShown = ({ body }) => body.offsetParent !== null;

function showMatchCount() {
  const shown = tableViews.filter((tableView) => isShown(tableView) && tableView.body.closest(".panel"));
  const count = shown.reduce((sum, tableView) => sum + tableView.matching.length, 0);
  const all = shown.reduce((sum, tableView) => sum + tableView.models.length, 0);
  find("#found").textContent = input.value.trim() ? `${count} of ${all} lines` : "";
}

function search() {
  for (const tableView of tableViews) tableView.search(wanted());
  showMatchCount();
  const prices = find("#prices");
  // At the top of the page the matches would be below the screen: on a phone two screens below it.
  if (input.value.trim() && prices.getBoundingClientRect().top > innerHeight / 2) prices.scrollIntoView();
}

input.addEventListener("input", search);
input.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    event.preventDefault();
    if (!input.value) input.blur();
    input.value = "";
    search();
  } else if (event.key === "ArrowDown" || event.key === "Enter") {
    event.preventDefault();
    tableViews.filter(isShown).some((tableView) => tableView.enter());
  }
});
addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input[type=search], textarea, select");
  if (event.key !== "/" || isTyping || dialog.open || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  input.focus();
  input.select();
});

// --- beginning

const names = data.accounts.map(({ name }) => make("bdi", {}, name));
if (names.length > 1) choices(find("#accounts"), "Account", names, { checked: [0], changed: showPanel });
showPanel([0]);
document.documentElement.classList.add("ready");
const compared = find(".compared");
if (compared) compareAccounts(compared);
for (const tableView of tableViews) tableView.draw();
// There can be a hundred thousand of them: after the first paint.
requestAnimationFrame(() => setTimeout(() => {
  listChanges();
  // For the first letter of a search, which would wait for it otherwise.
  for (const { lines } of data.accounts) for (const line of lines) line.searched;
}));
