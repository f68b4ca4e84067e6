// A table that can be searched, sorted and walked through with the keyboard. A model of a row has `line`, which is
// searched and charted; `value(column)`, text or null; `row()`, its element; and `service`, which the chart shows.

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const ROWS_AT_ONCE = 350;
const MOVES = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity };

class TableView {
  constructor(table, models, { open, step = ROWS_AT_ONCE, printed = Infinity, matches = () => true, onDraw = () => {} }) {
    Object.assign(this, { body: table.tBodies[0], models, open, step, limit: step, matches, onDraw });
    // All rows of 20,000 zones would take seconds, each time that something is typed.
    this.more = make("button", { type: "button", class: "more" }, "Show more");
    this.more.addEventListener("click", () => this.showMore());
    const cell = make("td", { colspan: table.tHead.rows[0].cells.length }, this.more);
    table.append(make("tfoot", {}, make("tr", {}, cell)));
    addEventListener("beforeprint", () => this.drawUpTo(printed));
    addEventListener("afterprint", () => this.drawUpTo(step));
    this.words = [];
    this.matching = models;
    this.sorting = null;
    this.heads = [...table.tHead.rows[0].cells];
    this.heads.forEach((head, column) => this.makeSortable(head, column));
    this.body.addEventListener("keydown", (event) => this.walk(event));
    this.body.addEventListener("focusin", (event) => this.stopAt(event.target));
    this.body.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.open(button.model);
    });
  }

  makeSortable(head, column) {
    const button = make("button", { type: "button", class: "sort" });
    button.append(...head.childNodes);
    button.addEventListener("click", () => this.sortBy(column));
    head.append(button);
  }

  // Up, down, and as the list has them.
  sortBy(column) {
    const isSame = this.sorting?.column === column;
    this.sorting = isSame && this.sorting.way < 0 ? null : { column, way: isSame ? -1 : 1 };
    this.heads.forEach((head, place) => {
      if (this.sorting?.column !== place) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", this.sorting.way > 0 ? "ascending" : "descending");
    });
    this.draw();
  }

  search(words) {
    this.words = words;
    this.drawUpTo(this.step);
  }

  drawUpTo(limit) {
    this.limit = limit;
    this.draw();
  }

  showMore() {
    const next = this.rows.length;
    this.drawUpTo(this.limit + this.step);
    this.stops[next].focus();
  }

  draw() {
    this.matching = this.models.filter(
      (model) => this.matches(model) && this.words.every((word) => model.line.searched.includes(word)),
    );
    if (this.sorting) this.matching = this.sorted(this.matching);
    this.rows = this.matching.slice(0, this.limit).map((model) => model.row());
    this.body.replaceChildren(...this.rows);
    this.more.closest("tfoot").hidden = this.rows.length === this.matching.length;
    this.stops = this.rows.map((row) => find("button", row));
    if (this.stops.length && !this.stops.includes(this.stop)) this.stopAt(this.stops[0]);
    this.onDraw(this);
  }

  sorted(models) {
    const { column, way } = this.sorting;
    const isNumber = this.heads[column].dataset.type === "number";
    const keyed = models.map((model) => [this.key(model.value(column), isNumber), model]);
    // What is missing stands last, whichever way.
    keyed.sort(([one], [other]) => {
      if (one === null || other === null) return (one === null) - (other === null);
      return way * (isNumber ? one - other : collator.compare(one, other));
    });
    return keyed.map(([, model]) => model);
  }

  key(value, isNumber) {
    if (value === null || !isNumber) return value;
    const number = Number(value.replace("−", "-"));
    return Number.isNaN(number) ? null : number;
  }

  // One row of a table is in the order of the Tab key; the arrows lead to the others.
  stopAt(button) {
    if (!button.model) return;
    if (this.stop) this.stop.tabIndex = -1;
    this.stop = button;
    button.tabIndex = 0;
  }

  walk(event) {
    const step = MOVES[event.key];
    const place = this.stops.indexOf(event.target);
    if (step === undefined || place < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.stops[Math.min(Math.max(place + step, 0), this.stops.length - 1)].focus();
  }

  enter() {
    this.stop?.focus();
    return this.rows.length > 0;
  }
}

// The button in a row that opens its chart.
function opener(model, ...children) {
  const button = make("button", { type: "button", class: "open", tabindex: "-1", "aria-haspopup": "dialog" }, ...children);
  button.model = model;
  return button;
}

// A row that stands on the page already. It gets its button when it is first drawn.
function adopted(row, line, service = null) {
  const model = { line, service };
  const head = find("th", row);
  model.row = () => {
    // A name can be empty; a button cannot.
    if (!find("button", head)) head.replaceChildren(opener(model, head.textContent.trim() || line.title));
    return row;
  };
  model.value = (column) => {
    const text = row.cells[column].firstChild?.textContent ?? "";
    return text === MISSING ? null : text;
  };
  return model;
}

// Chips of which one is chosen, or with `type: "checkbox"` any number. Returns what is chosen.
function choices(place, legend, names, { type = "radio", checked = [], changed }) {
  const inputs = names.map((name, value) => {
    const input = make("input", { type, name: place.id, value });
    input.checked = checked.includes(value);
    return input;
  });
  const labels = inputs.map((input, value) => make("label", {}, input, make("span", {}, ...[names[value]].flat())));
  place.replaceChildren(make("fieldset", {}, make("legend", {}, legend), ...labels));
  place.onchange = () => changed(chosen());
  const chosen = () => inputs.filter((input) => input.checked).map((input) => Number(input.value));
  return chosen;
}
