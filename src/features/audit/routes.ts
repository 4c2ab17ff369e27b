/** The routes of the audit slice. */

import type { Answer } from '#contract/api.ts';
import type { AuditStatus } from '#contract/audit.ts';
import { chainHash, chainLine, GENESIS } from '#contract/audit-chain.ts';
import { AppError } from '#kernel/errors.ts';
import type { Handlers } from '#platform/feature.ts';
import { prevOf, viewOfBody } from './body.ts';
import { EXPORT_TYPES, exportStream } from './export/index.ts';
import type { Reader } from './reader.ts';
import type { AuditApi } from './store.ts';

export interface AuditRoutesParts {
  readonly reader: Reader;
  readonly record: AuditApi['record'];
  status(): Promise<AuditStatus>;
  /** Begins a check of the whole chain. */
  startCheck(): void;
  publicKey(): string;
  readonly version: string;
  evidence(): Promise<Answer<'GET /audit/evidence'>>;
}

export function createAuditRoutes(parts: AuditRoutesParts): Handlers {
  const { reader, record, status, startCheck, publicKey, version, evidence } = parts;

  return {
    'GET /audit': ({ query }) => reader.page(query),
    async 'GET /audit/records/{id}'({ params }) {
      const row = await reader.byRef(params.id);
      if (!row) throw new AppError('not_found', { detail: `There is no audit record "${params.id}".` });
      const prev = prevOf(row.body);
      const [before, stub] = await Promise.all([reader.at(row.seq - 1), reader.stub()]);
      const expected = before?.hash ?? /"hash":"([0-9a-f]{64})"/.exec(stub?.body ?? '')?.[1] ?? GENESIS;
      const covering = (await reader.checkpoints(row.seq, Number.MAX_SAFE_INTEGER))[0];
      return {
        record: viewOfBody(row.seq, row.body, row.hash),
        line: chainLine(row.body, row.hash),
        prev,
        isWhole: chainHash(prev, row.body) === row.hash && prev === expected,
        checkpointSeq: covering?.seq ?? null,
      };
    },
    'GET /audit/status': () => status(),
    'POST /audit/verify'() {
      startCheck();
      return status();
    },
    async 'GET /audit/export'({ query, identity, requestId }) {
      const { format, ...filter } = query;
      // Records leave the machine: that is worth one of its own, although nothing is changed.
      await record({
        phase: 'outcome',
        outcome: 'done',
        actor: identity.user,
        via: identity.via,
        address: identity.address,
        sessionId: identity.sessionId ?? identity.tokenId,
        action: 'GET /audit/export',
        permission: 'audit.export',
        actorId: identity.userId,
        method: identity.method,
        objectType: null,
        objectId: null,
        objectName: null,
        requestId,
        operationId: null,
        code: null,
        params: query,
      });
      const { contentType, ending } = EXPORT_TYPES[format];
      return {
        contentType,
        bytes: exportStream(format, filter, { reader, publicKey: publicKey(), version }),
        headers: { 'content-disposition': `attachment; filename="audit.${ending}"` },
      };
    },
    'GET /audit/evidence': () => evidence(),
  };
}
