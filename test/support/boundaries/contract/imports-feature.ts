import '#features/vms/index.ts';
