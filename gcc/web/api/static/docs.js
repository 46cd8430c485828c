// Shows /openapi.json. No validator: it is a service on another host.
// In the colours that the reader prefers, also when that changes.
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", colour);
colour();

// The rows of the table of errors by their codes: problem details name /docs#CODE.
const marking = new MutationObserver(() => {
  const codes = [...document.querySelectorAll(".info td:first-child code")].filter((code) => /^[A-Z_]+$/.test(code.textContent));
  if (!codes.length) return;
  marking.disconnect();
  for (const code of codes) code.closest("tr").id = code.textContent;
  show();
});
const show = () => {
  document.querySelector("tr.meant")?.classList.remove("meant");
  const row = document.getElementById(location.hash.replace(/^#\/?/, "")); // Swagger UI writes #CODE as #/CODE
  if (row?.tagName !== "TR") return;
  row.classList.add("meant");
  row.tabIndex = -1;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "center" });
};
marking.observe(document.getElementById("docs"), { childList: true, subtree: true });
addEventListener("hashchange", show);

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  validatorUrl: null,
  deepLinking: true,
  persistAuthorization: false,
  displayRequestDuration: true,
});
