// Puts an interactive chart in the place of each still figure that has one. Whatever goes wrong, the
// still figure stays.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const page = width => {
    const columns = width < 640 ? 1 : 2;
    const values = {
      ink: style("--ink"), paper: style("--paper"), columns, width: width - 70, wide: Math.max(width - 10, 640),
      half: Math.floor(width / columns) - 66, "legend-columns": width < 640 ? 2 : 6,
    };
    for (let place = 0; place < 8; place++) values["colour-" + place] = style("--colour-" + place);
    return values;
  };

  const config = () => {
    const [ink, soft, line] = ["--ink", "--soft", "--line"].map(style);
    const font = getComputedStyle(document.body).fontFamily;
    return {
      background: "transparent", font, view: { stroke: null },
      axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: soft, tickColor: soft,
        labelFontSize: 11, titleFontSize: 12, titleFontWeight: "normal" },
      legend: { labelColor: ink, titleColor: soft, labelFontSize: 12, titleFontSize: 11,
        titleFontWeight: "normal", symbolOpacity: 1 },
    };
  };

  const embed = async (place, fill) => {
    const text = document.getElementById(place.dataset.chart).textContent;
    const spec = JSON.parse(text, (key, value) =>
      typeof value === "string" && value.startsWith("page:") && value.slice(5) in fill ? fill[value.slice(5)] : value);
    // Interpreted: the page's own rules forbid making code from text.
    await vegaEmbed(place, spec, { actions: false, ast: true, renderer: "svg", config: config(),
      tooltip: { theme: dark.matches ? "dark" : "light" } });
    return Math.ceil(place.querySelector("svg").getBoundingClientRect().width) - place.clientWidth;
  };

  const draw = async place => {
    const still = place.previousElementSibling;
    try {
      place.hidden = false;
      const fill = page(place.clientWidth);
      // How wide an axis is depends on its labels, which are known once they are drawn.
      const beyond = await embed(place, fill);
      if (beyond > 0) {
        fill.width -= beyond;
        fill.half -= Math.ceil(beyond / fill.columns);
        fill.wide = Math.max(fill.wide - beyond, 640);
        await embed(place, fill);
      }
      still.classList.add("replaced");
    } catch (error) {
      place.hidden = true;
      still.classList.remove("replaced");
      console.warn(error);
    }
  };

  const all = () => document.querySelectorAll("[data-chart]").forEach(draw);
  let width = innerWidth, timer;
  dark.addEventListener("change", all);
  addEventListener("resize", () => {
    if (innerWidth === width) return;  // a phone's address bar comes and goes
    width = innerWidth;
    clearTimeout(timer);
    timer = setTimeout(all, 200);
  });
  all();
})();
