// Shows the published contract, with a token in the sample requests. Everything that would send data to another host is off.
const element = document.getElementById("reference");
const schemes = element.dataset.schemes.split(" ").filter(Boolean);
Scalar.createApiReference(element, {
  url: new URL(element.dataset.contract, location.href).href,
  authentication: {
    preferredSecurityScheme: schemes[0],
    securitySchemes: Object.fromEntries(schemes.map((scheme) => [scheme, { token: element.dataset.token }])),
  },
  withDefaultFonts: false,
  telemetry: false,
  hideClientButton: true,
  hideTestRequestButton: true,
  showDeveloperTools: "never",
  agent: { disabled: true },
  mcp: { disabled: true },
  documentDownloadType: "direct",
});
