/** Builds the dashboard into `src/web/dist`. No inline scripts and no inlined assets: the server's CSP allows only files of its own. */

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const webFolder = fileURLToPath(new URL('.', import.meta.url));

// Vite wants a default export.
export default defineConfig({
  root: webFolder,
  publicDir: 'public',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        // One file for what every page needs, instead of twenty small requests.
        advancedChunks: {
          groups: [
            {
              name: 'app',
              test: /src\/web\/(components\/(?!console)|state\/|text)|src\/(kernel|contract)\/|node_modules\/(preact|@preact)\//,
            },
          ],
        },
      },
    },
  },
  server: {
    proxy: { '/api': { target: process.env['HV_DEV_SERVER'] ?? 'https://127.0.0.1:8080', secure: false, ws: true } },
  },
});
