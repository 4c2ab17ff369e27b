/** The OpenAPI 3.1 document, made from the same schemas that validate. */

import { z } from 'zod';
import { allRoutes } from '#contract/api.ts';
import { problemSchema } from '#contract/common.ts';
import type { RouteDefinition } from '#contract/define.ts';

type Json = Record<string, unknown>;

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    target: 'draft-2020-12',
  });
  return rest;
}

function parametersOf(definition: RouteDefinition): Json[] {
  const of = (where: 'path' | 'query', schema: z.ZodObject | undefined): Json[] =>
    Object.entries(schema?.shape ?? {}).map(([name, field]) => {
      const json = schemaOf(z.object({ [name]: field }), 'input');
      const properties = json['properties'];
      const required = Array.isArray(json['required']) && json['required'].includes(name);
      return {
        name,
        in: where,
        required: where === 'path' || required,
        schema: typeof properties === 'object' && properties !== null ? Object.values(properties)[0] : {},
      };
    });
  return [...of('path', definition.params), ...of('query', definition.query)];
}

function successOf(key: string, definition: RouteDefinition): Json {
  const status = String(definition.status ?? (definition.response || definition.raw ? 200 : 204));
  if (definition.raw === 'stream')
    return { 200: { description: 'Server-sent events', content: { 'text/event-stream': {} } } };
  if (definition.raw === 'websocket') return { 101: { description: 'WebSocket with binary messages' } };
  if (definition.raw === 'bytes')
    return {
      200: {
        description: 'The bytes',
        content: {
          [key.endsWith('screenshot')
            ? 'image/png'
            : key.endsWith('xml')
              ? 'application/xml'
              : 'application/octet-stream']: {},
        },
      },
    };
  if (!definition.response) return { [status]: { description: 'Done' } };
  return {
    [status]: {
      description: status === '202' ? 'Accepted; follow the operation' : 'Done',
      content: { 'application/json': { schema: schemaOf(definition.response, 'output') } },
    },
  };
}

/** @param version of the program */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const [key, definition] of allRoutes()) {
    const [method = '', path = ''] = key.split(' ');
    const body =
      definition.raw === 'upload'
        ? { required: true, content: { 'application/offset+octet-stream': {} } }
        : definition.body
          ? {
              required: !definition.body.safeParse(undefined).success,
              content: { 'application/json': { schema: schemaOf(definition.body, 'input') } },
            }
          : null;
    paths[path] = {
      ...paths[path],
      [method.toLowerCase()]: {
        operationId: key
          .replace(/[^A-Za-z]+/g, '_')
          .replace(/_$/, '')
          .toLowerCase(),
        summary: definition.summary,
        tags: [path.split('/')[1] ?? ''],
        ...(definition.permission
          ? { 'x-permission': definition.permission }
          : { 'x-public': definition.public, security: [] }),
        parameters: parametersOf(definition),
        ...(body ? { requestBody: body } : {}),
        responses: {
          ...successOf(key, definition),
          default: {
            description: 'Refused or failed',
            content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
          },
        },
      },
    };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Hyper-NixOS',
      version,
      description:
        'Virtual machines on libvirt and QEMU/KVM. Long work answers 202 with an operation; every POST honours Idempotency-Key.',
      license: { name: 'GPL-3.0-or-later', identifier: 'GPL-3.0-or-later' },
    },
    servers: [{ url: '/api/v1' }],
    security: [{ session: [] }],
    paths,
    components: {
      schemas: { Problem: schemaOf(problemSchema, 'output') },
      securitySchemes: { session: { type: 'apiKey', in: 'cookie', name: '__Host-hyper-session' } },
    },
  };
}
