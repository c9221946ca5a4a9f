// Starts Swagger UI with a token filled in, and with a filter of the tags that ignores case.
function filterTags(operationsByTag, phrase) {
  return operationsByTag.filter((operations, tag) => tag.toLowerCase().includes(phrase.toLowerCase()));
}
const element = document.getElementById("ui");
window.ui = SwaggerUIBundle({
  url: new URL(element.dataset.contract, location.href).href,
  domNode: element,
  deepLinking: true,
  persistAuthorization: true,
  displayRequestDuration: true,
  docExpansion: "list",
  filter: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [() => ({ fn: { opsFilter: filterTags } })],
  onComplete: () => {
    for (const scheme of element.dataset.schemes.split(" ").filter(Boolean)) {
      window.ui.preauthorizeApiKey(scheme, element.dataset.token);
    }
  },
});
