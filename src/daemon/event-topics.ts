/** Who may hear of which event: the same permission on the same object as reading it would need. */

import type { ApiEventName, ApiEvents } from '#contract/events.ts';
import { alertAsSeen, alertObject } from '#features/alerts/index.ts';
import { imageAsSeen } from '#features/images/index.ts';
import { operationObject } from '#features/operations/index.ts';
import { type ObjectRef, SYSTEM } from '#platform/feature.ts';
import type { Topic } from './http/event-stream.ts';

type Topics = { readonly [Name in ApiEventName]: (payload: ApiEvents[Name]) => Topic };

/** How objects are found of which an event tells the id alone. */
export interface EventObjects {
  network(id: string): ObjectRef;
  pool(id: string): ObjectRef;
  image(image: ApiEvents['image.changed']): ObjectRef;
}

/** A new event without a line here does not compile. */
export function eventTopics(
  objects: EventObjects,
): <Name extends ApiEventName>(name: Name, payload: ApiEvents[Name]) => Topic {
  const topics: Topics = {
    'vm.changed': ({ id, project }) => ['vm.read', { type: 'vm', id, project, vmId: id }],
    'vm.removed': ({ id, project }) => ['vm.read', { type: 'vm', id, project, vmId: id }],
    'operation.changed': (operation) => ['operation.read', operationObject(operation)],
    'job.changed': ({ id, project }) => ['vm.read', { type: 'vm', id, project, vmId: id }],
    'image.changed': (image) => ['image.read', objects.image(image), (may) => imageAsSeen(image, may)],
    'image.removed': ({ id, project }) => ['image.read', { type: 'image', id, project }],
    // For those who saw it until now; of what it is since, it tells nothing.
    'image.unshared': ({ id, project }) => ['image.read', { type: 'image', id, project, sharedWith: 'all' }],
    'upload.changed': ({ id, project }) => ['image.upload', { type: 'upload', id, project }],
    'upload.removed': ({ id, project }) => ['image.upload', { type: 'upload', id, project }],
    'trash.changed': ({ id, project, vmId }) => ['vm.read', { type: 'trash', id, project, vmId }],
    'network.changed': ({ id }) => ['network.read', objects.network(id)],
    'pool.changed': ({ id }) => ['storage.read', objects.pool(id)],
    'host.changed': () => ['host.read', SYSTEM],
    'preflight.changed': () => ['host.read', SYSTEM],
    'health.changed': () => ['host.read', SYSTEM],
    'audit.recorded': () => ['audit.read', SYSTEM],
    'access.changed': () => ['access.read', SYSTEM],
    'project.changed': ({ id }) => ['project.read', { type: 'project', id, project: id }],
    'project.removed': ({ id }) => ['project.read', { type: 'project', id, project: id }],
    'channel.changed': ({ id, project }) => ['alert.read', { type: 'channel', id, project }],
    'silence.changed': ({ id, project }) => ['alert.read', { type: 'silence', id, project }],
    // A message is seen where the alerts of its project are.
    'notice.changed': ({ project }) => [
      'alert.read',
      project === null ? SYSTEM : { type: 'project', id: project, project },
    ],
    'alert.changed': (alert) => ['alert.read', alertObject(alert), (may) => alertAsSeen(alert, may)],
    'rule.changed': ({ id, project }) => ['alert.read', { type: 'rule', id, project }],
    'backup.changed': ({ id, project, vmId }) => ['backup.read', { type: 'restore-point', id, project, vmId }],
    'repository.changed': ({ id }) => ['backup.read', { type: 'repository', id, project: null, sharedWith: 'all' }],
    'healing.changed': () => ['host.read', SYSTEM],
    'proof.recorded': ({ id, project, vmId }) => ['backup.read', { type: 'proof', id, project, vmId }],
    'schedule.changed': ({ id }) => ['backup.read', { type: 'schedule', id, project: null, sharedWith: 'all' }],
    'healing.acted': ({ project, vmId }) =>
      vmId === null ? ['host.read', SYSTEM] : ['vm.read', { type: 'vm', id: vmId, project, vmId }],
  };
  // The event's name picks the line that was checked against its payload above.
  return (name, payload) => (topics[name] as (payload: ApiEvents[typeof name]) => Topic)(payload);
}
