import '#libvirt/rpc.ts';
