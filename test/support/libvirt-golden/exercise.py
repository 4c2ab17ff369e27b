"""Calls as much of libvirt's API as can be called, so that the frames of libvirt's own client can be recorded.

Whether a call succeeds does not matter: what it sends is recorded either way.
Arguments: URI, work folder, "qemu" or "test"; anything more prints what libvirt refused.
"""

import sys
import threading
import time

import libvirt

uri, folder, driver = sys.argv[1:4]
VERBOSE = len(sys.argv) > 4
libvirt.registerErrorHandler(lambda *_: None, None)
libvirt.virEventRegisterDefaultImpl()


def loop():
    while True:
        libvirt.virEventRunDefaultImpl()


threading.Thread(target=loop, daemon=True).start()
connection = libvirt.open(uri)


def attempt(work, *arguments):
    try:
        return work(*arguments)
    except (libvirt.libvirtError, TypeError, OverflowError) as error:
        if VERBOSE:
            print(f"{work}: {error}", file=sys.stderr)
        return None


def disk(name):
    return f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{folder}/{name}.qcow2'/><target dev='vda' bus='virtio'/></disk>"


UUID = "6b1f3a52-8a53-4d0c-9c55-0d7b6a1f2e01"
DOMAIN = f"""<domain type='{driver}'><name>golden</name><uuid>{UUID}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type{" arch='x86_64' machine='q35'" if driver == "qemu" else ""}>hvm</type></os>{"<features><acpi/></features>" if driver == "qemu" else ""}
<devices>{disk("a") if driver == "qemu" else ""}{"<serial type='pty'/><graphics type='vnc'><listen type='socket'/></graphics><video><model type='vga'/></video><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel><controller type='pci' index='0' model='pcie-root'/><controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/><interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>" if driver == "qemu" else ""}</devices></domain>"""


def ignore(*_):
    pass


for event in [0, 1, 3, 6, 9, 10, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25]:
    last = attempt(connection.domainEventRegisterAny, None, event, ignore, None)
attempt(connection.domainEventDeregisterAny, last)
attempt(connection.networkEventRegisterAny, None, 0, ignore, None)
for event in [0, 1]:
    attempt(connection.storagePoolEventRegisterAny, None, event, ignore, None)
    attempt(connection.nodeDeviceEventRegisterAny, None, event, ignore, None)
    attempt(connection.secretEventRegisterAny, None, event, ignore, None)

for work in [
    connection.getLibVersion,
    connection.getHostname,
    connection.getCapabilities,
    connection.getSysinfo,
    connection.getInfo,
    connection.getCPUMap,
    connection.getFreeMemory,
]:
    attempt(work)
attempt(connection.getDomainCapabilities, None, "x86_64", "q35", "qemu")
attempt(connection.getCPUStats, -1)
attempt(connection.getMemoryStats, -1)
attempt(connection.getFreePages, [4], 0, 1)
attempt(connection.setIdentity, {"user-name": "golden", "unix-user-id": 1000, "process-id": 1}, 1)
CPU = "<cpu><arch>x86_64</arch><model>qemu64</model></cpu>"
attempt(connection.compareHypervisorCPU, None, "x86_64", None, "qemu", CPU)
attempt(connection.baselineHypervisorCPU, None, "x86_64", None, "qemu", [CPU])

# Networks, filters, secrets, node devices
network = attempt(connection.networkDefineXMLFlags, "<network><name>golden</name><bridge name='vbrgold'/><ip address='192.0.2.1' netmask='255.255.255.0'><dhcp><range start='192.0.2.2' end='192.0.2.9'/></dhcp></ip></network>", 1)
if network:
    attempt(network.create)
    attempt(network.XMLDesc, 0)
    attempt(network.setAutostart, True)
    attempt(network.update, 3, 4, -1, "<host mac='52:54:00:00:00:02' ip='192.0.2.5'/>", 3)
    attempt(network.DHCPLeases)
    attempt(connection.networkLookupByName, "golden")
    attempt(connection.networkLookupByUUIDString, network.UUIDString())
    attempt(connection.listAllNetworks)
nwfilter = attempt(connection.nwfilterDefineXMLFlags, "<filter name='golden' chain='root'/>", 0)
attempt(connection.nwfilterLookupByName, 'golden')
if nwfilter:
    attempt(nwfilter.XMLDesc, 0)
    attempt(nwfilter.undefine)
secret = attempt(connection.secretDefineXML, "<secret ephemeral='no' private='yes'><usage type='volume'><volume>/golden</volume></usage></secret>")
if secret:
    attempt(secret.setValue, b"golden!")
    attempt(connection.listAllSecrets)
    attempt(connection.secretLookupByUUIDString, secret.UUIDString())
    attempt(secret.undefine)
attempt(connection.listAllDevices)
device = attempt(connection.nodeDeviceLookupByName, "computer")
if device:
    attempt(device.XMLDesc)
    # "computer" is no PCI device: libvirt's client asks for its XML and stops, or sends and is refused.
    attempt(device.detachFlags, None)
    attempt(device.reAttach)
    attempt(device.reset)

# Storage
pool = attempt(connection.storagePoolDefineXML, f"<pool type='dir'><name>golden</name><target><path>{folder}/pool</path></target></pool>")
if pool:
    for work in [pool.build, pool.create, pool.refresh, pool.info, pool.XMLDesc]:
        attempt(work)
    attempt(pool.setAutostart, 1)
    attempt(connection.listAllStoragePools)
    attempt(connection.storagePoolLookupByName, "golden")
    attempt(connection.storagePoolLookupByUUIDString, pool.UUIDString())
    XML = "<volume><name>{}</name><capacity unit='KiB'>64</capacity><target><format type='raw'/></target></volume>"
    volume = attempt(pool.createXML, XML.format("v"), 0)
    if volume:
        attempt(pool.listAllVolumes)
        attempt(pool.storageVolLookupByName, "v")
        attempt(connection.storageVolLookupByPath, volume.path())
        attempt(volume.infoFlags, 0)
        attempt(volume.XMLDesc)
        attempt(volume.resize, 131072, 0)
        attempt(pool.createXMLFrom, XML.format("w"), volume, 0)
        for verb in [volume.upload, volume.download]:
            stream = connection.newStream()
            if attempt(verb, stream, 0, 0, 0) is not None:
                attempt(stream.abort)
        attempt(volume.delete)

# Domains
domain = connection.defineXMLFlags(DOMAIN, 0)
attempt(connection.lookupByUUIDString, UUID)
attempt(connection.lookupByName, "golden")
attempt(connection.listAllDomains)
attempt(domain.setAutostart, 1)
attempt(domain.autostart)
attempt(domain.isPersistent)
attempt(domain.setMetadata, 0, "golden <text>", None, None, 2)
attempt(domain.setMetadata, 2, "<x/>", "g", "urn:golden", 2)
attempt(domain.metadata, 0, None, 2)
attempt(domain.rename, "golden-2")
attempt(domain.rename, "golden")
attempt(domain.createWithFlags, 0)
time.sleep(1)
attempt(domain.XMLDesc, 0)
attempt(domain.info)
attempt(domain.state)
attempt(domain.controlInfo)
attempt(domain.suspend)
attempt(domain.resume)
attempt(domain.setVcpusFlags, 1, 2)
attempt(domain.setMemoryFlags, 65536, 2)
attempt(domain.setMemoryStatsPeriod, 5, 1)
attempt(domain.pinVcpuFlags, 0, (True, False), 2)
attempt(domain.setSchedulerParametersFlags, {"cpu_shares": 100}, 2)
attempt(domain.setBlkioParameters, {"weight": 500}, 2)
attempt(domain.setBlockIoTune, "vda", {"total_iops_sec": 1000}, 1)
attempt(domain.blockIoTune, "vda", 0)
attempt(domain.setInterfaceParameters, "52:54:00:00:00:01", {"inbound.average": 1000}, 2)
attempt(domain.setBlockThreshold, "vda", 1048576)
attempt(domain.sendKey, 0, 50, [28, 29], 2)
attempt(connection.getAllDomainStats)
attempt(connection.domainListGetStats, [domain], 1)
attempt(domain.blockInfo, "vda")
attempt(domain.diskErrors)
attempt(domain.jobStats)
attempt(domain.startDirtyRateCalc, 1, 0)
attempt(domain.abortJob)
for verb in [lambda s: domain.openConsole(None, s, 1), lambda s: domain.openChannel("org.qemu.guest_agent.0", s, 1), lambda s: domain.screenshot(s, 0)]:
    stream = connection.newStream()
    if attempt(verb, stream) is not None:
        attempt(stream.abort)
DISK_B = f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{folder}/b.qcow2'/><target dev='vdb' bus='virtio'/></disk>"
attempt(domain.attachDeviceFlags, DISK_B, 1)
attempt(domain.updateDeviceFlags, DISK_B, 1)
attempt(domain.detachDeviceFlags, DISK_B, 1)
attempt(domain.detachDeviceAlias, "net0", 1)
if driver == "qemu":
    import libvirt_qemu

    attempt(libvirt_qemu.qemuAgentCommand, domain, '{"execute":"guest-ping"}', 1, 0)
attempt(domain.agentSetResponseTimeout, 1)
attempt(domain.guestInfo, 2)
attempt(domain.fsInfo)
attempt(domain.fsFreeze, ["/"])
attempt(domain.fsThaw, ["/"])
attempt(domain.fSTrim, "/", 0)
attempt(domain.setTime, {"seconds": 1_700_000_000, "nseconds": 5})
attempt(domain.setUserPassword, "root", "golden")
attempt(domain.authorizedSSHKeysSet, "root", ["ssh-ed25519 AAAA golden"])
attempt(domain.interfaceAddresses, 0)
attempt(domain.checkpointCreateXML, "<domaincheckpoint><name>c1</name></domaincheckpoint>", 0)
attempt(domain.listAllCheckpoints)
checkpoint = attempt(domain.checkpointLookupByName, "c1")
if checkpoint:
    attempt(checkpoint.getXMLDesc)
attempt(domain.backupBegin, f"<domainbackup mode='pull'><server transport='unix' socket='{folder}/nbd.sock'/></domainbackup>", None)
attempt(domain.backupGetXMLDesc)
attempt(domain.abortJob)
time.sleep(0.3)
if checkpoint:
    attempt(checkpoint.delete)
attempt(domain.snapshotCreateXML, f"<domainsnapshot><name>s0</name><disks><disk name='vda' snapshot='external'><source file='{folder}/s0.qcow2'/></disk></disks></domainsnapshot>", 16 | 4)
attempt(domain.blockCommit, "vda", None, None, 0, 4)
time.sleep(0.5)
attempt(domain.blockJobInfo, "vda")
attempt(domain.blockJobSetSpeed, "vda", 0)
attempt(domain.blockJobAbort, "vda", 2)
attempt(domain.blockPull, "vda", 0)
attempt(domain.blockCopy, "vda", f"<disk type='file'><source file='{folder}/copy.qcow2'/><driver type='qcow2'/></disk>", {"bandwidth": 0}, 0)
time.sleep(0.5)
attempt(domain.blockJobAbort, "vda", 0)
attempt(domain.blockResize, "vda", 2048, 0)
attempt(domain.migrateToURI3, "qemu+unix:///system?socket=/nonexistent", {"bandwidth": 5, "migrate_disks": ["vda", "vdb"], "destination_name": "golden-3"}, 1 | 2 | 8)
attempt(domain.migrateSetMaxDowntime, 300)
attempt(domain.migrateSetMaxSpeed, 100)
attempt(domain.migrateStartPostCopy)
attempt(domain.shutdownFlags, 1)
attempt(domain.reboot)
attempt(domain.reset)
attempt(domain.pMSuspendForDuration, 0, 0)
attempt(domain.managedSave)
attempt(domain.hasManagedSaveImage)
attempt(domain.managedSaveRemove)
attempt(domain.destroyFlags, 0)
attempt(domain.snapshotCreateXML, "<domainsnapshot><name>s1</name></domainsnapshot>", 0)
attempt(domain.listAllSnapshots)
snapshot = attempt(domain.snapshotLookupByName, "s1")
if snapshot:
    attempt(snapshot.getXMLDesc)
    attempt(domain.revertToSnapshot, snapshot)
    attempt(snapshot.delete)
attempt(domain.destroyFlags, 1)
attempt(domain.undefineFlags, 1 | 2 | 16)
transient = attempt(connection.createXML, DOMAIN.replace("golden", "transient"), 0)
if transient:
    attempt(transient.destroyFlags, 0)
if pool:
    attempt(pool.destroy)
    attempt(pool.undefine)
if network:
    attempt(network.destroy)
    attempt(network.undefine)
time.sleep(0.5)
connection.close()
