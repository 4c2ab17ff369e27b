import '../../vms/store.ts';
