// CommonJS for the sake of a `require` inside a function: the OpenTelemetry SDK is evaluated by runs that are traced, and
// costs the others nothing. (Each run evaluates its own copy of whatever it imports.)
exports.interceptorsOfSdk = () => {
  const sdk = require('@temporalio/interceptors-opentelemetry/lib/workflow/index.js');
  return {
    inbound: new sdk.OpenTelemetryInboundInterceptor(),
    outbound: new sdk.OpenTelemetryOutboundInterceptor(),
    internals: new sdk.OpenTelemetryInternalsInterceptor(),
  };
};
