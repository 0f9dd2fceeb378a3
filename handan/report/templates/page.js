// Draws the charts of the page, says what is under the pointer, and filters the page by arm and
// task. All text reaches the page as text, never as HTML.
"use strict";
(() => {
  const { specifications, data, axes, panels, marks } = JSON.parse(
    document.getElementById("charts").textContent
  );
  const START_OF_TRACE = 180; // characters
  const ERRORS = 1; // of Vega's levels of logging
  const DRAWN_AHEAD = "300px"; // charts this near to the window are drawn first

  const rowsOf = ({ columns, rows }) =>
    rows.map((row) => Object.fromEntries(columns.map((column, place) => [column, row[place]])));
  const tables = Object.fromEntries(
    Object.entries(data).map(([name, table]) => [name, rowsOf(table)])
  );
  tables.items.sort((a, b) => a.seconds - b.seconds);
  const itemsOf = Map.groupBy(tables.items, (row) => row.task);

  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  function made(tag, text = "", attributes = {}) {
    const element = document.createElement(tag);
    element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  // Numbers as the page writes them: a real minus sign, no 0 before the point of a correlation.
  const number = (value, digits = 1) =>
    value.toLocaleString("en-US", { maximumFractionDigits: digits }).replace("-", "\u2212");
  const spent = (value) => // 1.37T, as on the axes, where all digits would say nothing more
    value < 1e9 ? number(value)
      : value.toLocaleString("en-US", { notation: "compact", maximumSignificantDigits: 3 });
  const decimal = (value) => value.toFixed(2).replace(/^(-?)0\./, "$1.").replace("-", "\u2212");
  const inWords = (name) => name.replaceAll("_", " ");
  const named = (arm) => {
    const name = made("span");
    const mark = made("span", marks[arm].character, { class: "mark", "aria-hidden": "true" });
    mark.style.color = marks[arm].colour;
    name.append(mark, ` ${arm}`);
    return name;
  };

  // ---- Charts

  const views = new Map(); // identity of a panel -> its Vega view
  const shown = { arm: [], task: [], axis: Object.keys(axes)[0] };

  // The rows of a chart: of training curves all, else items of its arm and task and their lines.
  function rowsFor(name, panel) {
    if (name !== "rows") return structuredClone(tables[name]); // Vega writes into them
    return structuredClone([...tables.items, ...tables[panel.kind]].filter(
      (row) => row.arm === panel.arm && row.task === panel.task
    ));
  }

  async function draw(element) {
    waiting.delete(element);
    sight.unobserve(element);
    const panel = panels[element.id];
    const specification = structuredClone(specifications[panel.kind]);
    const values = { ...panel.parameters, arms: shown.arm, axis: shown.axis, chosen: "" };
    for (const signal of specification.signals)
      if (signal.name in values) signal.value = values[signal.name];
    for (const set of specification.data)
      if (set.name === "rows" || set.name in tables) set.values = rowsFor(set.name, panel);
    const { view } = await vegaEmbed(element, specification, {
      ...{ mode: "vega", renderer: "svg", actions: false, tooltip: false, defaultStyle: false },
      ast: true, // expressions are interpreted: the page allows no eval
      logLevel: ERRORS, // no warning where a layer has no data
    });
    views.set(element.id, view);
    if (panel.kind === "course") set(element.id, { arms: shown.arm, axis: shown.axis });
    const point = (item) => (item?.mark.marktype === "symbol" ? item.datum : null);
    view.addEventListener("pointermove", (event, item) => {
      const datum = point(item);
      if (datum) hover(event, panel, datum);
      else leave(panel);
    });
    element.addEventListener("pointerleave", () => leave(panel));
    view.addEventListener("click", (event, item) => {
      const datum = point(item);
      if (datum) open(event, panel, datum);
    });
  }

  function set(identity, values) {
    const view = views.get(identity);
    for (const [name, value] of Object.entries(values)) view.signal(name, value);
    view.runAsync();
  }

  // Charts are drawn one by one, so that the page answers meanwhile: first those in sight or near
  // it, then the others, so that the page can be printed whole.
  const waiting = new Set(all(".chart"));
  const near = new Set();
  let drawing = false;

  async function drawNext() {
    const unhidden = [...waiting].filter((element) => element.offsetParent !== null);
    const next = unhidden.find((element) => near.has(element)) ?? unhidden[0];
    if (drawing || !next) return;
    drawing = true;
    await draw(next);
    drawing = false;
    setTimeout(drawNext);
  }

  // On paper all charts are in sight. Drawing takes no other turn of the event loop, so that they
  // are there when the page is.
  addEventListener("beforeprint", () => [...waiting].forEach(draw));

  const sight = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries)
        if (isIntersecting) near.add(target);
        else near.delete(target);
      drawNext();
    },
    { rootMargin: DRAWN_AHEAD }
  );

  // ---- What is under the pointer

  const card = document.getElementById("hover");
  let hovered = null;

  function hover(event, panel, datum) {
    if (hovered !== datum) {
      hovered = datum;
      card.replaceChildren(...(panel.kind === "course" ? ofStep(panel, datum) : ofItem(panel, datum)));
      card.hidden = false;
      if (panel.kind !== "course") highlight(panel.task, datum.item);
    }
    const { offsetWidth: width, offsetHeight: height } = card;
    const right = event.clientX + 16 + width > innerWidth;
    const low = event.clientY + 16 + height > innerHeight;
    card.style.left = `${Math.max(4, right ? event.clientX - 16 - width : event.clientX + 16)}px`;
    card.style.top = `${Math.max(4, low ? event.clientY - 16 - height : event.clientY + 16)}px`;
  }

  function leave(panel) {
    if (hovered === null) return;
    hovered = null;
    card.hidden = true;
    if (panel.kind !== "course") highlight(panel.task, chosen[panel.task] ?? "");
  }

  function ofItem(panel, row) {
    const title = made("p");
    title.append(named(row.arm));
    const lines = [
      `${inWords(row.task)}, item ${row.item}`,
      `${number(row.tokens)} reasoning tokens (${row.samples} responses${graded(row)})`,
      `people: ${number(row.seconds)} s`,
    ];
    if (panel.kind === "inflation") {
      lines.push(`base: ${number(row.base_tokens)} tokens`);
      if (row.residual !== null) lines.push(`${number(row.residual, 2)} times the fitted line`);
    }
    return [title, ...lines.map((line) => made("p", line)), ...startOfTrace(row, null)];
  }

  const graded = (row) => (row.right === null ? "" : `, ${row.right} right`);

  function ofStep(panel, row) {
    const title = made("p");
    title.append(named(row.arm), `, step ${number(row.step)}`);
    const lines = [];
    const { measure } = panel.parameters;
    for (const [prefix, on] of [["", "on the probe"], ["full/", "on all items"]]) {
      const [value, low, high] = ["", "_ci_low", "_ci_high"].map((end) => row[prefix + measure + end]);
      if (value === null || value === undefined) continue;
      const bounds = low === null || low === undefined ? "" : ` [${decimal(low)}, ${decimal(high)}]`;
      lines.push(`${panel.title}: ${Math.abs(value) < 10 ? decimal(value) : number(value)}${bounds}, ${on}`);
    }
    for (const key of Object.keys(axes))
      if (key !== "step" && row[key] !== undefined) lines.push(`${axes[key]}: ${spent(row[key])}`);
    if (probed(panel, row)) lines.push("Click to read a response of this step.");
    return [title, ...lines.map((line) => made("p", line))];
  }

  function startOfTrace({ task, item, arm }, step) {
    const trace = window.handanTraces?.find({ task, item, arm, step });
    if (!trace) return [];
    const text = trace.thinking || trace.answer;
    const start = text.length > START_OF_TRACE ? `${text.slice(0, START_OF_TRACE)}\u2026` : text;
    return [made("p", start, { class: "trace" }), made("p", "Click to read it.", { class: "muted" })];
  }

  // An item to which an arm's response at a step is stored: the first by people's time.
  function probed(panel, { arm, step }) {
    for (const task of panel.task ? [panel.task] : shown.task)
      for (const { item } of itemsOf.get(task) ?? [])
        if (window.handanTraces?.find({ task, item, arm, step })) return { task, item, arm, step };
    return null;
  }

  function open(event, panel, row) {
    if (panel.kind === "course") {
      const response = probed(panel, row);
      if (response) tell(response);
      return;
    }
    // A first tap has no hovering before it: it only shows the item.
    const tapped = event.pointerType === "touch" && chosen[row.task] !== row.item;
    choose(row.task, row.item);
    if (!tapped) tell({ task: row.task, item: row.item, arm: row.arm, step: null });
  }

  function tell(detail) {
    hovered = null;
    card.hidden = true;
    document.dispatchEvent(new CustomEvent("handan:item", { detail }));
  }

  // ---- One item in all panels of its task, also by keyboard

  const chosen = {}; // task -> item

  function highlight(task, item) {
    for (const identity of views.keys())
      if (panels[identity].task === task && panels[identity].kind !== "course")
        set(identity, { chosen: item });
  }

  function choose(task, item) {
    chosen[task] = item;
    highlight(task, item);
    const chooser = all(".find-item").find((element) => element.dataset.task === task);
    chooser.querySelector("select").value = item;
    const list = made("ul", "", { class: "legend" });
    for (const row of itemsOf.get(task).filter((row) => row.item === item)) {
      const line = made("li", "", { "data-arm": row.arm });
      const show = made("button", "trace", { type: "button", "aria-label": `Trace of ${row.arm}` });
      show.addEventListener("click", () => tell({ task, item, arm: row.arm, step: null }));
      line.append(named(row.arm), `: ${number(row.tokens)} tokens${graded(row)} `, show);
      list.append(line);
    }
    chooser.querySelector("[role=status]").replaceChildren(...(item ? [list] : []));
    hideFiltered(chooser);
  }

  for (const chooser of all(".find-item")) {
    const { task } = chooser.dataset;
    const items = new Map(itemsOf.get(task).map((row) => [row.item, row.seconds]));
    const select = chooser.querySelector("select");
    for (const [item, seconds] of items)
      select.append(made("option", `${item}, ${number(seconds)} s`, { value: item }));
    select.addEventListener("change", () => choose(task, select.value));
  }

  // ---- The numbers behind the charts of a task, made when they are asked for

  for (const details of all("details.numbers")) {
    details.addEventListener("toggle", () => {
      const region = details.querySelector(".scroll");
      if (!region.childElementCount) region.append(numbersOf(details.dataset.task));
      hideFiltered(region);
    });
  }

  function numbersOf(task) {
    const rows = itemsOf.get(task);
    const arms = [...new Set(rows.map((row) => row.arm))];
    const items = Map.groupBy(rows, (row) => row.item);
    const head = made("tr");
    head.append(made("th", "Item", { scope: "col", class: "text" }));
    head.append(made("th", "People, s", { scope: "col" }));
    for (const arm of arms) head.append(made("th", arm, { scope: "col", "data-arm": arm }));
    const body = made("tbody");
    for (const [item, ofItem] of items) {
      const line = made("tr");
      line.append(made("th", item, { scope: "row" }), made("td", number(ofItem[0].seconds)));
      for (const arm of arms) {
        const row = ofItem.find((found) => found.arm === arm);
        line.append(made("td", row ? number(row.tokens) : "\u2013", { "data-arm": arm }));
      }
      body.append(line);
    }
    const table = made("table");
    table.append(made("thead"), body);
    table.tHead.append(head);
    return table;
  }

  // ---- The filter; its state is a part of the address: #section&arm=...&task=...&axis=...

  const filter = document.getElementById("filter");
  const boxes = (kind) => all(`input[name=${kind}]`, filter);
  const ticked = (kind) => boxes(kind).filter((box) => box.checked).map((box) => box.value);

  function hideFiltered(within = document) {
    const off = (kind) => new Set(boxes(kind).filter((box) => !box.checked).map((box) => box.value));
    const [arms, tasks] = [off("arm"), off("task")];
    for (const element of all("[data-arm], [data-task]", within))
      element.classList.toggle(
        "filtered", arms.has(element.dataset.arm) || tasks.has(element.dataset.task)
      );
  }

  function applied() {
    Object.assign(shown, { arm: ticked("arm"), task: ticked("task") });
    hideFiltered();
    for (const kind of ["arm", "task"]) {
      const count = `${shown[kind].length} of ${boxes(kind).length} ${kind}s`;
      document.getElementById(`${kind}s-shown`).textContent = count;
    }
    for (const identity of views.keys())
      if (panels[identity].kind === "course") set(identity, { arms: shown.arm, axis: shown.axis });
    for (const label of all(".axis-label")) label.textContent = axes[shown.axis];
    window.dispatchEvent(new Event("resize")); // charts that were hidden have no width yet
    if (document.readyState === "complete") drawNext(); // before, nothing is known to be in sight
    document.dispatchEvent(
      new CustomEvent("handan:filter", { detail: { tasks: shown.task, arms: shown.arm } })
    );
  }

  function written() {
    const [section, ...others] = location.hash.slice(1).split("&");
    const state = new URLSearchParams(others.join("&"));
    for (const key of ["arm", "task", "axis"]) state.delete(key);
    for (const kind of ["arm", "task"]) {
      const names = ticked(kind);
      if (names.length === boxes(kind).length) continue;
      for (const name of names.length ? names : [""]) state.append(kind, name);
    }
    if (shown.axis !== Object.keys(axes)[0]) state.append("axis", shown.axis);
    const fragment = [section, ...(state.size ? [state] : [])].join("&");
    history.replaceState(null, "", fragment ? `#${fragment}` : location.pathname + location.search);
  }

  function read() {
    const [section, ...parts] = location.hash.slice(1).split("&");
    if (parts.length) {
      const state = new URLSearchParams(parts.join("&"));
      for (const kind of ["arm", "task"])
        for (const box of boxes(kind))
          box.checked = !state.has(kind) || state.getAll(kind).includes(box.value);
      setAxis(state.get("axis") ?? Object.keys(axes)[0]);
      document.getElementById(section)?.scrollIntoView();
    }
    applied();
  }

  function setAxis(axis) {
    if (!(axis in axes)) return;
    shown.axis = axis;
    for (const radio of all("input[name=axis]")) radio.checked = radio.value === axis;
  }

  filter.addEventListener("change", () => (applied(), written()));
  for (const button of all("button[data-all]", filter))
    button.addEventListener("click", () => {
      for (const box of boxes(button.dataset.kind)) box.checked = button.dataset.all === "true";
      applied();
      written();
    });
  for (const radio of all("input[name=axis]"))
    radio.addEventListener("change", () => (setAxis(radio.value), applied(), written()));
  addEventListener("keydown", (event) => event.key === "Escape" && (card.hidden = true));
  addEventListener("hashchange", () => (location.hash.includes("&") ? read() : written()));
  addEventListener("DOMContentLoaded", () => {
    for (const control of all(".needs-script")) control.hidden = false;
    read();
    for (const element of waiting) sight.observe(element);
  });
})();
