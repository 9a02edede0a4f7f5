// Lets the table of all trials be sorted, filtered and searched; a page of rows stands in the document
// at a time. Text is only ever set as text.
(() => {
  const ROWS = 50;
  const columns = JSON.parse(document.getElementById("trials-data").textContent);
  const table = document.getElementById("trials-table"), form = document.getElementById("trials-find");
  const [search, ...selects] = form.querySelectorAll("input, select");
  const count = form.querySelector("[role=status]"), steps = [...form.querySelectorAll("[data-step]")];
  const heads = [...table.tHead.rows[0].cells], total = columns[0].at.length;

  // Each column holds its distinct texts once, and the numbers to sort and compare them by.
  const text = (column, row) => column.words ? column.words[column.at[row]] : String(column.at[row] ?? "–");
  const value = (column, row) => {
    const number = column.sort ? column.sort[row] : column.words ? Number(text(column, row)) : column.at[row];
    return number === null || Number.isNaN(number) ? null : number;
  };
  const lower = columns.map(column => column.words?.map(word => word.toLowerCase()));
  const has = (place, row, term) =>
    (lower[place] ? lower[place][columns[place].at[row]] : text(columns[place], row)).includes(term);
  const find = title => columns.findIndex(column => column.title.toLowerCase() === title);

  // "kernel_mid=5", "top-1>80"; any other word may stand in any cell.
  const test = term => {
    const parts = /^([^=<>]+)([=<>])(.+)$/.exec(term), place = parts ? find(parts[1]) : -1;
    if (place < 0) return row => columns.some((_, at) => has(at, row, term));
    const column = columns[place], bound = Number(parts[3].replace("%", ""));
    if (parts[2] === "=") return row => text(column, row).toLowerCase() === parts[3]
      || !Number.isNaN(bound) && value(column, row) === bound;
    return row => value(column, row) !== null && (parts[2] === "<" ? value(column, row) < bound : value(column, row) > bound);
  };

  const all = [...Array(total).keys()];
  let found = all, first = 0, sorted = null;

  const compare = (column, sign) => (a, b) => {
    const [x, y] = [value(column, a), value(column, b)];
    if (x !== null && y !== null) return sign * (x - y);
    if (x !== null || y !== null) return x === null ? 1 : -1;  // what has no number comes last
    return sign * text(column, a).localeCompare(text(column, b));
  };

  const show = () => {
    first = Math.max(0, Math.min(first, Math.floor((found.length - 1) / ROWS) * ROWS));
    table.tBodies[0].replaceChildren(...found.slice(first, first + ROWS).map(row => {
      const line = document.createElement("tr");
      for (const column of columns) {
        const cell = line.insertCell();
        cell.textContent = text(column, row);
        if (column.number) cell.className = "n";
      }
      return line;
    }));
    const last = Math.min(first + ROWS, found.length);
    count.textContent = found.length ? `${first + 1} to ${last} of ${found.length}` : "none";
    if (found.length < total) count.textContent += ` (${total} in all)`;
    steps[0].disabled = first === 0;
    steps[1].disabled = last >= found.length;
    for (const step of steps) step.hidden = found.length <= ROWS;
  };

  const choose = () => {
    const tests = search.value.toLowerCase().split(/\s+/).filter(Boolean).map(test);
    selects.forEach((select, at) => {
      const column = columns[find(["epochs", "status"][at])];
      if (select.value) tests.push(row => text(column, row) === select.value);
    });
    found = all.filter(row => tests.every(passes => passes(row)));
    if (sorted) found.sort(compare(sorted.column, sorted.sign));
    first = 0;
    show();
  };

  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => {
      const column = columns[place];
      sorted = { column, sign: sorted?.column === column ? -sorted.sign : column.down ? -1 : 1 };
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sorted.sign > 0 ? "ascending" : "descending");
      choose();
    });
    head.replaceChildren(button);
  });
  ["epochs", "status"].forEach((title, at) => {
    const column = columns[find(title)], words = new Set(all.map(row => text(column, row)));
    const ordered = [...words].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    selects[at].append(new Option(`any ${title}`, ""), ...ordered.map(word => new Option(word, word)));
    selects[at].addEventListener("change", choose);
  });
  let timer;
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(choose, 120); });
  form.addEventListener("submit", event => { event.preventDefault(); choose(); });
  for (const step of steps) step.addEventListener("click", () => { first += step.dataset.step * ROWS; show(); });
  document.getElementById("trials-rest")?.remove();
  form.hidden = false;
  show();
})();
