import type { Controller, MachinePlan } from './machine.js'

/** A disk as the description has it. Bytes. */
export interface DescribedDisk {
  readonly file: string
  readonly capacity: number
  /** Of the file. */
  readonly size: number
}

const cim = 'http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2'
const diskFormat = 'http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized'

/** Bytes of a description, whatever the sizes of the files: what it is short of is filled up with line breaks. */
export function descriptionLength(machine: MachinePlan, disks: readonly Omit<DescribedDisk, 'size'>[]): number {
  const largest = disks.map((disk) => ({ ...disk, size: Number.MAX_SAFE_INTEGER }))
  return Buffer.byteLength(descriptionText(machine, largest))
}

/** The description (DSP0243, 1.1) of a machine, of that many bytes. */
export function description(machine: MachinePlan, disks: readonly DescribedDisk[], length: number): Buffer {
  const bytes = Buffer.alloc(length, '\n')
  bytes.write(descriptionText(machine, disks))
  return bytes
}

function descriptionText(machine: MachinePlan, disks: readonly DescribedDisk[]): string {
  const { name, os, hardware, networks, firmware } = machine
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"' +
      ` xmlns:rasd="${cim}/CIM_ResourceAllocationSettingData" xmlns:vssd="${cim}/CIM_VirtualSystemSettingData"` +
      ' xmlns:vmw="http://www.vmware.com/schema/ovf">',
    '  <References>',
    ...disks.map(
      ({ file, size }, index) => `    <File ovf:href="${text(file)}" ovf:id="file${index + 1}" ovf:size="${size}"/>`,
    ),
    '  </References>',
    '  <DiskSection>',
    '    <Info>Virtual disks</Info>',
    ...disks.map(
      ({ capacity }, index) =>
        `    <Disk ovf:capacity="${capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk${index + 1}"` +
        ` ovf:fileRef="file${index + 1}" ovf:format="${diskFormat}"/>`,
    ),
    '  </DiskSection>',
    ...(networks.length === 0
      ? []
      : [
          '  <NetworkSection>',
          '    <Info>Networks</Info>',
          ...[...new Set(networks)].map(
            (network) =>
              `    <Network ovf:name="${text(network)}"><Description>${text(network)}</Description></Network>`,
          ),
          '  </NetworkSection>',
        ]),
    `  <VirtualSystem ovf:id="${text(name)}">`,
    '    <Info>A virtual machine</Info>',
    `    <Name>${text(name)}</Name>`,
    `    <OperatingSystemSection ovf:id="${os.id}"` +
      `${os.version === undefined ? '' : ` ovf:version="${text(os.version)}"`} vmw:osType="${text(os.type)}">`,
    '      <Info>The operating system</Info>',
    '    </OperatingSystemSection>',
    '    <VirtualHardwareSection>',
    '      <Info>Virtual hardware</Info>',
    '      <System>',
    '        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>',
    '        <vssd:InstanceID>0</vssd:InstanceID>',
    `        <vssd:VirtualSystemIdentifier>${text(name)}</vssd:VirtualSystemIdentifier>`,
    `        <vssd:VirtualSystemType>vmx-${String(hardware).padStart(2, '0')}</vssd:VirtualSystemType>`,
    '      </System>',
    ...items(machine, disks.length).flatMap(itemLines),
    ...(firmware === 'uefi' ? ['      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>'] : []),
    '    </VirtualHardwareSection>',
    '  </VirtualSystem>',
    '</Envelope>',
    '',
  ]
  return lines.join('\n')
}

type Item = Readonly<Record<string, string | number | undefined>>

/** Items of hardware; InstanceIDs count from 1. */
function items(machine: MachinePlan, disks: number): Item[] {
  const { cpus, memory, networks, controller } = machine
  const mebibytes = memory / 2 ** 20
  const count = Math.max(1, Math.ceil(disks / controller.places.length))
  const found: Item[] = [
    {
      AllocationUnits: 'hertz * 10^6',
      Description: 'Number of virtual CPUs',
      ElementName: `${cpus} virtual CPU${cpus === 1 ? '' : 's'}`,
      ResourceType: 3,
      VirtualQuantity: cpus,
    },
    {
      AllocationUnits: 'byte * 2^20',
      Description: 'Memory size',
      ElementName: `${mebibytes} MB of memory`,
      ResourceType: 4,
      VirtualQuantity: mebibytes,
    },
    ...Array.from({ length: count }, (_, index) => controllerItem(controller, index)),
  ]
  const firstController = 3
  for (let disk = 0; disk < disks; disk++) {
    const at = Math.floor(disk / controller.places.length)
    found.push({
      AddressOnParent: controller.places[disk % controller.places.length],
      ElementName: `Hard Disk ${disk + 1}`,
      HostResource: `ovf:/disk/vmdisk${disk + 1}`,
      Parent: firstController + at,
      ResourceType: 17,
    })
  }
  for (const [index, network] of networks.entries())
    found.push({
      AutomaticAllocation: 'true',
      Connection: network,
      ElementName: `Network adapter ${index + 1}`,
      ResourceSubType: 'VmxNet3',
      ResourceType: 10,
    })
  return found.map((item, index) => ({ ...item, InstanceID: index + 1 }))
}

function controllerItem({ resourceType, model, title }: Controller, index: number): Item {
  return { Address: index, ElementName: `${title} ${index}`, ResourceSubType: model, ResourceType: resourceType }
}

/** The schema wants the elements of an item in the order of the alphabet. */
function itemLines(item: Item): string[] {
  const elements = Object.entries(item)
    .filter(([, value]) => value !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `        <rasd:${name}>${text(String(value))}</rasd:${name}>`)
  return ['      <Item>', ...elements, '      </Item>']
}

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Text for an element or an attribute; characters that XML cannot have are replaced. */
function text(value: string): string {
  return Buffer.from(value)
    .toString()
    .replace(/[\u0000-\u001f\u007f\ufffe\uffff]/g, '\ufffd')
    .replace(/[&<>"]/g, (character) => escapes[character] ?? character)
}
