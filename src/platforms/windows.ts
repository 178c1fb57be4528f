import type { WindowsNeeds } from './types.js'

const virtio = [['viostor'], ['vioscsi']] as const
/** Controllers that virtual machines may have, and every Windows a driver for: 8 and later, then 7. */
const sata = [['storahci'], ['msahci']] as const
const ide = [['intelide', 'atapi']] as const
const qemuAgent = { title: 'QEMU guest agent', services: ['QEMU-GA', 'qemu-ga'] }
const cloudbase = { title: 'Cloudbase-Init', services: ['cloudbase-init'] }

/** KVM where the user chooses the controller. */
export const kvmWindows: WindowsNeeds = {
  disk: virtio,
  otherDisk: [...sata, ...ide],
  agents: [qemuAgent],
}
/** KVM of clouds: there is VirtIO alone. */
export const cloudWindows: WindowsNeeds = { disk: virtio, agents: [cloudbase, qemuAgent] }
export const azureWindows: WindowsNeeds = {
  disk: [['vmbus', 'storvsc']],
  agents: [{ title: 'Azure VM agent', services: ['WindowsAzureGuestAgent', 'RdAgent'] }],
}
export const hypervWindows: WindowsNeeds = { disk: [['vmbus', 'storvsc']] }
/** The disk to start from is one of an emulated IDE controller too: a Windows 7 has storvsc on demand, and starts. */
export const hypervIdeWindows: WindowsNeeds = { disk: [['vmbus', 'storvsc'], ...ide] }
export const ec2Windows: WindowsNeeds = {
  disk: [['stornvme'], ['awsnvme'], ['xenbus', 'xenvbd']],
  agents: [{ title: 'EC2Launch or SSM agent', services: ['Amazon EC2Launch', 'Ec2Config', 'AmazonSSMAgent'] }],
}
export const gceWindows: WindowsNeeds = {
  disk: [['vioscsi'], ['stornvme']],
  agents: [{ title: 'Google guest agent', services: ['GCEAgent'] }],
}
export const xenWindows: WindowsNeeds = {
  disk: [['xenbus', 'xenvbd']],
  otherDisk: ide,
  agents: [{ title: 'Xen guest agent', services: ['XenAgent', 'xenlite', 'xensvc', 'XenSvc'] }],
}
export const vmwareWindows: WindowsNeeds = {
  disk: [['LSI_SAS'], ['pvscsi'], ...sata, ['stornvme'], ...ide],
  agents: [{ title: 'VMware Tools', services: ['VMTools'] }],
}
export const virtualboxWindows: WindowsNeeds = {
  disk: [...sata, ...ide, ['LSI_SAS']],
  agents: [{ title: 'VirtualBox guest additions', services: ['VBoxService'] }],
}
export const sataWindows: WindowsNeeds = { disk: sata }
/** VirtIO alone, with nothing of a cloud. */
export const virtioWindows: WindowsNeeds = { disk: [['viostor']] }
