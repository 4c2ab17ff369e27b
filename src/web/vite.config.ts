/** Builds the dashboard into `src/web/dist`. No inline scripts and no inlined assets: the server's CSP allows only files of its own. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const webFolder = fileURLToPath(new URL('.', import.meta.url));

const COMPRESSED = /\.(js|css|html|svg|webmanifest)$/;

/** Lays a .br and a .gz beside each text file, so that the server need not compress at every request. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    async writeBundle({ dir = '' }, bundle) {
      for (const name of Object.keys(bundle).filter((file) => COMPRESSED.test(file))) {
        const path = join(dir, name);
        const content = await readFile(path);
        const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };
        await writeFile(`${path}.br`, await promisify(brotliCompress)(content, brotli));
        await writeFile(`${path}.gz`, await promisify(gzip)(content, { level: 9 }));
      }
    },
  };
}

// Vite wants a default export.
export default defineConfig({
  root: webFolder,
  publicDir: 'public',
  plugins: [compressed()],
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
              test: /src\/web\/(components\/(?!console|graph)|state\/|text(?!-(alerts|backups)))|src\/(kernel|contract\/(?!rules))\/|node_modules\/(preact|@preact)\//,
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
