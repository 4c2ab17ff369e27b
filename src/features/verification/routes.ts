/** HTTP of proofs: start one, list, show, files of the evidence, settings of a VM. */

import type { ProofSettings } from '#contract/verification.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import { vmObject } from '#features/vms/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { FoundObject, Handlers } from '#platform/feature.ts';
import type { EvidenceFiles } from './evidence-files.ts';
import type { ProofRow } from './migrations.ts';
import type { StartProof } from './start-proof.ts';
import { type ProofStore, proofOf, summaryOf } from './store.ts';

export interface RouteParts {
  readonly store: ProofStore;
  readonly files: EvidenceFiles;
  readonly known: Pick<InventoryApi, 'vm' | 'named'>;
  readonly startProof: StartProof;
}

/** A proof belongs to its VM, also when that is gone. */
export const proofObject = ({ id, vm_id, vm_name, project }: ProofRow): FoundObject => ({
  type: 'proof',
  id,
  name: `proof of ${vm_name}`,
  project,
  vmId: vm_id,
});

export function createProofRoutes({ store, files, known, startProof }: RouteParts): Handlers {
  const rowOf = async (id: string): Promise<ProofRow> => {
    const row = await store.row(id);
    if (row === null) throw new AppError('not_found', { detail: `There is no proof "${id.slice(0, 80)}".` });
    return row;
  };
  const vmOf = (id: string) => {
    const vm = known.vm(id);
    if (vm === null) throw new AppError('not_found', { detail: `There is no VM "${id.slice(0, 80)}".` });
    return vm;
  };

  return {
    'POST /vms/{id}/proofs': async (request) => {
      const vm = vmOf(request.params.id);
      return startProof(
        { id: vm.id, name: vm.name, project: vm.project },
        { pointId: request.body.point ?? null, level: request.body.level ?? null },
        { ...request, action: 'POST /vms/{id}/proofs' },
      );
    },

    'GET /proofs': async ({ query, reach }) => {
      const { limit, cursor, vm, verdict } = query;
      const vmId = vm === undefined ? undefined : (known.vm(vm)?.id ?? known.named(vm)[0]?.id ?? vm);
      const { rows, total } = await store.list({
        limit: limit + 1,
        of: reach('backup.read'),
        ...(vmId === undefined ? {} : { vmId }),
        ...(verdict === undefined ? {} : { verdict }),
        ...(cursor === undefined ? {} : { before: cursor }),
      });
      const items = rows.slice(0, limit).map(summaryOf);
      return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null, total };
    },

    'GET /proofs/{id}': async ({ params, may }) => {
      const row = await rowOf(params.id);
      const proof = proofOf(row);
      // What a program in the guest printed is data of the guest.
      if (may('backup.files', proofObject(row))) return proof;
      const { guest } = proof.evidence;
      return { ...proof, evidence: { ...proof.evidence, guest: { ...guest, probe: withoutOutput(guest.probe) } } };
    },

    'GET /proofs/{id}/file': async ({ params, query }) => {
      const row = await rowOf(params.id);
      const { files: kept } = proofOf(row).evidence;
      const file = kept.find(({ name }) => name === query.name);
      if (file === undefined)
        throw new AppError('wrong_state', {
          detail: 'This proof has no such file.',
          hint: kept.length === 0 ? 'It has none.' : `It has ${kept.map(({ name }) => name).join(', ')}.`,
        });
      return {
        contentType: file.contentType,
        bytes: await files.read(row.id, file),
        headers: { 'cache-control': 'private, max-age=86400, immutable' },
      };
    },

    'GET /vms/{id}/proof-settings': ({ params }) => store.settings(vmOf(params.id).id),

    'PATCH /vms/{id}/proof-settings': async ({ params, body, may }) => {
      const vm = vmOf(params.id);
      if (body.probe?.kind === 'script' && !may('backup.files', vmObject(vm)))
        throw new AppError('forbidden', {
          detail: 'A program in the guest reads its files: that needs the permission backup.files.',
          params: { permission: 'backup.files' },
        });
      const settings: ProofSettings = { ...(await store.settings(vm.id)), ...withoutUndefined(body) };
      if (settings.level === 5 && settings.probe === null)
        throw new AppError('invalid_input', {
          detail: 'Level 5 asks the guest something, and nothing was said to ask.',
          fields: [{ path: 'probe', problem: 'is missing', mend: 'Say what is asked, or choose a lower level.' }],
        });
      await store.setSettings(vm.id, settings);
      return settings;
    },
  };
}

const withoutOutput = (probe: string | null) => probe?.split(':')[0] ?? null;

function withoutUndefined(body: { readonly [Key in keyof ProofSettings]?: ProofSettings[Key] | undefined }) {
  return {
    ...(body.level === undefined ? {} : { level: body.level }),
    ...(body.marker === undefined ? {} : { marker: body.marker }),
    ...(body.probe === undefined ? {} : { probe: body.probe }),
    ...(body.hasNetwork === undefined ? {} : { hasNetwork: body.hasNetwork }),
  };
}
