import '#features/vms/store.ts';
