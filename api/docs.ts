import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RequestHandler, Router } from 'express';

/** The files of Swagger UI that the page needs; nothing else of the package is served. */
const assets = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];
const assetsDirectory = dirname(fileURLToPath(import.meta.resolve('swagger-ui-dist/package.json')));

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tenure API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

/** `validatorUrl: null`: the page would otherwise send the document's address to a server on the internet. */
const start = `const dark = matchMedia('(prefers-color-scheme: dark)');
const followScheme = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
followScheme();
dark.addEventListener('change', followScheme);
SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#reference',
  validatorUrl: null,
  deepLinking: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
});
`;

/** Scripts and styles from here only; `style-src-attr` is what Swagger UI's own elements need. Nothing is fetched from elsewhere. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "style-src-attr 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** `/openapi.json` and, at `/docs`, the reference pages made from it. */
export function docsPages(document: object): Router {
  const router = Router();
  const withPolicy: RequestHandler = (_req, res, next) => {
    res.set('Content-Security-Policy', contentSecurityPolicy);
    next();
  };
  router.get('/openapi.json', (_req, res) => void res.json(document));
  router.get('/docs', withPolicy, (_req, res) => void res.type('html').send(page));
  router.get('/docs/start.js', withPolicy, (_req, res) => void res.type('js').send(start));
  for (const asset of assets) router.get(`/docs/${asset}`, withPolicy, sendAsset(asset));
  return router;
}

function sendAsset(asset: string): RequestHandler {
  return (_req, res) => res.sendFile(asset, { root: assetsDirectory, maxAge: '1h' });
}
