"use strict";
// The trace browser: one item, and what every arm wrote about it, side by side. Names and texts
// are written by models and by whoever named them, so they reach the page as textContent only.
(() => {
  const SAMPLE = 0, GREEDY = -1;
  const data = JSON.parse(document.getElementById("responses")?.textContent ?? "null");
  const rows = (data?.responses ?? []).map(
    ([item, arm, step, sample, status, grade, tokens, answerTokens, thinking, answer]) => ({
      item, arm, step, sample, tokens, answerTokens, status: data.texts[status],
      grade: data.texts[grade], thinking: data.texts[thinking], answer: data.texts[answer],
    }));
  const key = (task, item, arm, step) => JSON.stringify([task, item, arm, step ?? null]);
  const taskOf = item => data.tasks[item.task];
  const byName = new Map(rows.filter(row => row.sample === SAMPLE).map(row => {
    const item = data.items[row.item];
    return [key(taskOf(item).name, item.name, data.arms[row.arm].name, row.step), row];
  }));

  // Response 0 of an arm to an item, or null; `step` is null for the final evaluation.
  window.handanTraces = {
    find: ({task, item, arm, step}) => {
      const row = byName.get(key(task, item, arm, step));
      if (!row) return null;
      const {thinking, answer, status, grade, tokens} = row;
      return {thinking, answer, status, grade, tokens};
    },
  };
  if (!data) return;

  const part = name => document.getElementById(`browser-${name}`);
  const rowsOf = data.items.map(() => []);
  for (const row of rows) rowsOf[row.item].push(row);
  const hasCourse = item => rowsOf[item].some(row => row.step !== null);
  // Places of the slider: every step of which responses are stored, then the final evaluation.
  const steps = [...new Set(rows.map(row => row.step).filter(step => step !== null))];
  const moments = [...steps.sort((a, b) => a - b), null];

  // What the filter of the page leaves.
  const shown = {
    tasks: new Set(data.tasks.map(task => task.name)),
    arms: new Set(data.arms.map(arm => arm.name)),
  };
  const chosen = {item: start(0), step: null, sample: SAMPLE, arm: null};

  function itemsOf(task) {
    return data.items.flatMap((item, index) => (item.task === task ? [index] : []));
  }

  // The item of median time in a task, of those asked along training if there are any.
  function start(task) {
    const items = itemsOf(task), along = items.filter(hasCourse);
    const candidates = along.length ? along : items;
    return candidates[Math.floor((candidates.length - 1) / 2)];
  }

  const figure = (value, digits = 0) =>
    value.toLocaleString("en", {maximumFractionDigits: digits, minimumFractionDigits: digits});
  const words = name => name.replaceAll("_", " ");
  const sentence = text => text.charAt(0).toUpperCase() + text.slice(1);
  const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;
  const moment = step => (step === null ? "final evaluation" : `step ${figure(step)}`);
  const ofPeople = item => taskOf(item).source !== "analytic";

  function demandOf(item) {
    if (item.demand === null) return "people's time unknown";
    const value = figure(item.demand, 1);
    return ofPeople(item) ? `${value} s` : `analytic cost ${value}`;
  }

  // What the item asks, beside the others of its task.
  function standing(item, place, items) {
    const order = `number ${place + 1} of ${items.length} items, from least to most`;
    if (item.demand === null) return `People's time is not known; ${order}.`;
    const asks = ofPeople(item) ? `People take ${demandOf(item)}` : sentence(demandOf(item));
    return `${asks}, ${figure(item.demand / taskOf(item).demand, 2)} times the task's mean; ${order}.`;
  }

  function element(name, classes, text) {
    const made = document.createElement(name);
    if (classes) made.className = classes;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function option(value, text) {
    const made = element("option", "", text);
    made.value = value;
    return made;
  }

  const latest = (values, until) => Math.max(...values.filter(value => value <= until));

  // What an arm wrote at the chosen moment: along training its latest response until then, and
  // without such a response that of its final evaluation.
  function responseOf(arm) {
    const own = rowsOf[chosen.item].filter(row => row.arm === arm);
    const along = own.filter(row => row.step !== null);
    const step = latest(along.map(row => row.step), chosen.step ?? -1);
    return along.find(row => row.step === step)
      ?? own.find(row => row.step === null && row.sample === chosen.sample) ?? null;
  }

  const tokensOf = row =>
    `${row.tokens === null ? "unknown number of" : figure(row.tokens)} reasoning tokens`;

  // Tokens if the arm spent its mean in proportion to what the item asks; null if unknown.
  function proportionate(row) {
    const item = data.items[row.item], task = taskOf(item);
    const usual = task.means[row.arm][row.sample === GREEDY ? 1 : 0];
    if (row.step !== null || usual === null || item.demand === null) return null;
    return usual * item.demand / task.demand;
  }

  function bar(row, longest) {
    const tick = proportionate(row);
    const made = element("div", "effort");
    made.setAttribute("role", "img");
    made.setAttribute("aria-label",
      tokensOf(row) + (tick === null ? "" : `; in proportion it would be ${figure(tick)}`));
    const fill = element("div", "fill");
    fill.style.width = `${100 * (row.tokens ?? 0) / longest}%`;
    fill.style.background = data.arms[row.arm].colour;
    made.append(fill);
    if (tick !== null) {
      const mark = element("div", "tick");
      mark.style.left = `${100 * tick / longest}%`;
      made.append(mark);
    }
    return made;
  }

  function lengths(row) {
    const usual = data.items[row.item].means[row.arm];
    const drawn = row.step === null && row.sample === SAMPLE && usual !== null;
    return tokensOf(row)
      + (drawn ? ` (mean of all its responses: ${figure(usual)})` : "")
      + (row.answerTokens === null ? "" : `, ${figure(row.answerTokens)} in the answer`);
  }

  function span(name, classes, text) {
    const made = element("div", `trace ${classes}`);
    made.setAttribute("role", "group");
    made.setAttribute("aria-label", name);
    made.append(element("span", "tag", name), text);
    return made;
  }

  function card(row, longest) {
    const arm = data.arms[row.arm], signs = {right: "✓ ", wrong: "✗ "};
    const made = element("article", "card");
    made.dataset.arm = arm.name;
    if (arm.name === chosen.arm) made.setAttribute("aria-current", "true");
    const title = element("h4"), mark = element("span", "mark", arm.mark);
    mark.style.color = arm.colour;
    mark.setAttribute("aria-hidden", "true");
    title.append(mark, " ", arm.name);
    const which = row.sample === GREEDY ? "at T = 0" : `response ${row.sample}`;
    const last = row.step !== null && row.step < chosen.step ? ", the latest until then" : "";
    made.append(title, element("p", "muted", arm.role),
      element("p", "", `${sentence(moment(row.step))}, ${which}${last}`),
      element("p", `grade ${row.grade.replace(" ", "-")}`,
        `${signs[row.grade] ?? ""}${row.grade}, ${words(row.status)}`),
      bar(row, longest), element("p", "muted", lengths(row)));
    if (row.thinking) made.append(span("thinking", "thinking", row.thinking));
    made.append(span("answer", "", row.answer || "–"));
    return made;
  }

  function draw() {
    const item = data.items[chosen.item], task = taskOf(item), items = itemsOf(item.task);
    const along = hasCourse(chosen.item), place = items.indexOf(chosen.item);
    part("task").value = item.task;
    part("item").value = chosen.item;
    // Not 'disabled', which would take the focus from a button that is pressed.
    part("previous").setAttribute("aria-disabled", place === 0);
    part("next").setAttribute("aria-disabled", place === items.length - 1);
    part("step").disabled = !along;
    part("step").value = along ? moments.indexOf(chosen.step) : moments.length - 1;
    const when = along ? moment(chosen.step) : "final evaluation (this item was not asked along training)";
    part("moment").textContent = when;
    part("step").setAttribute("aria-valuetext", when);
    part("sample").disabled = along && chosen.step !== null;
    part("sample").value = chosen.sample;

    part("title").textContent = `${sentence(words(task.name))}, item ${item.name}`;
    const question = part("question");
    question.replaceChildren();
    if (item.question !== null) question.append("Question: ", element("code", "", item.question));
    if (item.right_answer !== null)
      question.append(", right answer ", element("code", "", item.right_answer));

    const found = data.arms.map((arm, position) => ({arm, row: responseOf(position)}))
      .filter(({arm}) => shown.arms.has(arm.name));
    const longest = Math.max(1, ...rowsOf[chosen.item].flatMap(
      row => [row.tokens ?? 0, proportionate(row) ?? 0]));
    part("cards").replaceChildren(
      ...found.filter(({row}) => row).map(({row}) => card(row, longest)));
    // Long texts scroll, also by keyboard.
    for (const trace of part("cards").querySelectorAll(".trace"))
      if (trace.scrollHeight > trace.clientHeight) trace.tabIndex = 0;
    const without = found.filter(({row}) => !row).map(({arm}) => arm.name);
    part("note").textContent = standing(item, place, items)
      + (without.length ? ` No such response of ${without.join(", ")}.` : "")
      + (found.length ? "" : " All arms are filtered out.");
    part("said").textContent = `${part("title").textContent}: ${part("note").textContent} ${when}`;
  }

  function fillItems(task) {
    part("item").replaceChildren(...itemsOf(task).map(index => {
      const item = data.items[index], known = item.means.filter(value => value !== null);
      const tokens = known.length ? `, ${figure(mean(known))} tokens` : "";
      const along = hasCourse(index) ? ", with steps" : "";
      return option(index, `${item.name}: ${demandOf(item)}${tokens}${along}`);
    }));
  }

  function fillTasks() {
    part("task").replaceChildren(...data.tasks.map((task, index) => {
      const made = option(index, sentence(words(task.name)));
      made.disabled = !shown.tasks.has(task.name);
      return made;
    }));
  }

  function choose(changes) {
    const before = data.items[chosen.item].task;
    Object.assign(chosen, {arm: null}, changes);
    if (data.items[chosen.item].task !== before) fillItems(data.items[chosen.item].task);
    draw();
  }

  // A choice of the reader is kept in the address, #traces&item=TASK/ITEM&step=STEP, beside what
  // the filter keeps there.
  const address = () => new URLSearchParams(location.hash.split("&").slice(1).join("&"));

  function chooseAndKeep(changes) {
    choose(changes);
    const kept = address(), item = data.items[chosen.item];
    kept.set("item", `${taskOf(item).name}/${item.name}`);
    kept.delete("step");
    if (chosen.step !== null) kept.set("step", chosen.step);
    history.replaceState(null, "", `#traces&${kept}`);
  }

  function openFromAddress() {
    const kept = address(), wanted = kept.get("item");
    const item = data.items.findIndex(one => `${taskOf(one).name}/${one.name}` === wanted);
    if (item < 0) return;
    choose({item, step: kept.has("step") ? momentOf(Number(kept.get("step"))) : null});
    document.getElementById("traces").scrollIntoView();
  }

  // The moment on the slider that shows a step; null, the final evaluation, if there is none.
  function momentOf(step) {
    const found = latest(steps, step ?? -1);
    return found >= 0 ? found : null;
  }

  function neighbour(by) {
    const items = itemsOf(data.items[chosen.item].task);
    const item = items[items.indexOf(chosen.item) + by];
    if (item !== undefined) chooseAndKeep({item});
  }

  part("task").addEventListener("change",
    event => chooseAndKeep({item: start(Number(event.target.value))}));
  part("item").addEventListener("change", event => chooseAndKeep({item: Number(event.target.value)}));
  part("sample").addEventListener("change", event => choose({sample: Number(event.target.value)}));
  part("step").addEventListener("input", event => chooseAndKeep({step: moments[event.target.value]}));
  part("previous").addEventListener("click", () => neighbour(-1));
  part("next").addEventListener("click", () => neighbour(1));
  document.getElementById("browser").addEventListener("keydown", event => {
    const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!by || event.target.matches("select, input") || event.ctrlKey || event.altKey
      || event.metaKey) return;
    event.preventDefault();
    neighbour(by);
  });
  document.addEventListener("handan:filter", event => {
    shown.tasks = new Set(event.detail.tasks);
    shown.arms = new Set(event.detail.arms);
    fillTasks();
    const task = data.tasks.findIndex(one => shown.tasks.has(one.name));
    const hidden = !shown.tasks.has(taskOf(data.items[chosen.item]).name);
    choose(hidden && task >= 0 ? {item: start(task)} : {});
  });
  document.addEventListener("handan:item", event => {
    const {task, item: name, arm, step} = event.detail;
    const item = data.items.findIndex(one => taskOf(one).name === task && one.name === name);
    document.getElementById("traces").scrollIntoView();
    part("title").focus({preventScroll: true});
    if (item >= 0) return chooseAndKeep({item, arm, step: momentOf(step), sample: SAMPLE});
    for (const emptied of ["question", "note", "cards"]) part(emptied).replaceChildren();
    part("title").textContent = `No response to item ${name} of ${words(task)} is stored here`;
    part("said").textContent = part("title").textContent;
  });
  addEventListener("hashchange", openFromAddress);

  part("step").max = moments.length - 1;
  part("sample").append(option(SAMPLE, `number ${SAMPLE}`));
  if (rows.some(row => row.sample === GREEDY)) part("sample").append(option(GREEDY, "at T = 0"));
  document.getElementById("browser").hidden = false;
  fillTasks();
  fillItems(data.items[chosen.item].task);
  draw();
  openFromAddress();
})();
