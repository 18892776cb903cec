const result = document.getElementById("result");
function element(name, text, parent) {
  const e = document.createElement(name);
  e.textContent = text;
  parent.appendChild(e);
  return e;
}
function series(labels) {
  const all = Object.entries(labels).filter(([name]) => name !== "__name__");
  const text = all.map(([name, value]) => name + "=" + JSON.stringify(value)).join(", ");
  return (labels.__name__ || "") + (text ? "{" + text + "}" : "") || "{}";
}
function rows(data) {
  if (data.resultType === "scalar" || data.resultType === "string")
    return [["", data.result[1]]];
  const shown = v => typeof v === "string" ? v : JSON.stringify(v);
  return data.result.map(r => [series(r.metric), data.resultType === "vector"
    ? shown((r.value || r.histogram)[1])
    : (r.values || []).concat(r.histograms || []).map(p => shown(p[1]) + " @" + p[0]).join("\n")]);
}
document.getElementById("query").addEventListener("submit", async event => {
  event.preventDefault();
  result.textContent = "";
  try {
    const body = new URLSearchParams(new FormData(event.target));
    body.set("limit", "1000");
    const reply = await fetch("api/v1/query", {method: "POST", body});
    const text = await reply.text();
    if (!text.startsWith("{")) throw new Error(text);
    const answer = JSON.parse(text);
    if (answer.status !== "success") throw new Error(answer.errorType + ": " + answer.error);
    for (const note of (answer.warnings || []).concat(answer.infos || []))
      element("p", note, result);
    const found = rows(answer.data);
    element("p", found.length + (found.length === 1 ? " row" : " rows"), result);
    const table = element("table", "", result);
    for (const [name, value] of found) {
      const row = element("tr", "", table);
      element("td", name, row);
      element("td", value, row).style.whiteSpace = "pre-wrap";
    }
  } catch (e) {
    element("p", e.message, result).className = "error";
  }
});
const linked = new URLSearchParams(location.search).get("g0.expr");
if (linked) {
  document.getElementById("query").elements.query.value = linked;
  document.getElementById("query").requestSubmit();
}
