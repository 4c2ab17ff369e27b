/** A VM as the API shows it, for tests: off, managed, without devices. */

import type { Vm } from './vms.ts';

export function fakeVm(name: string, change: Partial<Vm> = {}): Vm {
  return {
    id: `00000000-0000-4000-8000-${name.padStart(12, '0')}`,
    name,
    project: 'default',
    state: 'off',
    stateReason: null,
    desired: 'off',
    managed: true,
    isProtected: false,
    accel: 'tcg',
    title: null,
    description: null,
    tags: [],
    vcpus: 1,
    memoryBytes: 2 ** 30,
    autostart: false,
    persistent: true,
    arch: 'x86_64',
    machine: 'q35',
    firmware: 'bios',
    hasTpm: false,
    hasVnc: true,
    hasSerial: true,
    agent: 'absent',
    disks: [],
    nics: [],
    bootOrder: [],
    pending: [],
    startedAt: null,
    createdAt: null,
    usage: null,
    operationId: null,
    staleSince: null,
    etag: '"1"',
    ...change,
  };
}
