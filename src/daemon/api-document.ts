/** The one route that belongs to no feature: the description of all of them. */

import type { Handlers } from '#platform/feature.ts';
import { openApiDocument } from './http/openapi.ts';

export function apiDocument(version: string): Handlers {
  let document: Record<string, unknown> | null = null;
  return {
    'GET /openapi.json': () => {
      document ??= openApiDocument(version);
      return document;
    },
  };
}
