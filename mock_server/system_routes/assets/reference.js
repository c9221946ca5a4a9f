// Shows the published contract. Everything that would send data to another host is off.
const element = document.getElementById("reference");
Scalar.createApiReference(element, {
  url: new URL(element.dataset.contract, location.href).href,
  withDefaultFonts: false,
  telemetry: false,
  hideClientButton: true,
  hideTestRequestButton: true,
  showDeveloperTools: "never",
  agent: { disabled: true },
  mcp: { disabled: true },
  documentDownloadType: "direct",
});
