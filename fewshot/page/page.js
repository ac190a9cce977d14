for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const header = button.parentElement, body = header.closest("table").tBodies[0];
    const up = header.getAttribute("aria-sort") === "descending";
    for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => {
      const text = row.cells[header.cellIndex].textContent.trim(), number = parseFloat(text.replace(/,/g, ""));
      return Number.isNaN(number) ? text : number;
    };
    const numbers = header.classList.contains("n");
    const order = (a, b) => {
      const x = value(a), y = value(b);
      if (numbers) return (typeof x === "number" ? x : -1) - (typeof y === "number" ? y : -1);
      return String(x).localeCompare(String(y));
    };
    const rows = [...body.rows].sort((a, b) => up ? order(a, b) : order(b, a));
    body.append(...rows);
  });
}
