import { createHash } from 'node:crypto'

/** A member of a tar archive as tests make it, by the specification and not by what vdisk writes. */
export interface TarEntry {
  readonly name: string
  readonly bytes: Uint8Array
  /** Of tar: `0` when left out. */
  readonly type?: string
  /** What the header says instead of the length of `bytes`. */
  readonly size?: string | Uint8Array
}

/** One header of 512 bytes. */
export function tarHeader({ name, bytes, type = '0', size }: TarEntry): Buffer {
  const block = Buffer.alloc(512)
  block.write(name, 0, 100, 'latin1')
  block.write('0000600\x000001750\x000001750\x00', 100, 'latin1')
  const written = size ?? `${bytes.length.toString(8).padStart(11, '0')}\0`
  if (typeof written === 'string') block.write(written, 124, 12, 'latin1')
  else block.set(written, 124)
  block.write('14000000000\x00        ', 136, 'latin1')
  block.write(type, 156, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  let sum = 0
  for (const byte of block) sum += byte
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

/** A tar archive; `end`: with its two blocks of zeros. */
export function tarBytes(entries: readonly TarEntry[], end = true): Buffer {
  return Buffer.concat([
    ...entries.flatMap((entry) => [
      tarHeader(entry),
      entry.bytes,
      Buffer.alloc((512 - (entry.bytes.length % 512)) % 512),
    ]),
    Buffer.alloc(end ? 1024 : 0),
  ])
}

export interface OvfDisk {
  readonly id: string
  readonly href?: string
  readonly capacity?: string
  readonly attributes?: string
}

/** A description as VMware's tools write it; `extra` goes into the hardware section. */
export function ovfText(disks: readonly OvfDisk[], { extra = '', before = '' } = {}): string {
  const files = disks.flatMap(({ href }, index) =>
    href === undefined ? [] : [`<File ovf:id="file${index + 1}" ovf:href="${href}"/>`],
  )
  return `<?xml version="1.0" encoding="UTF-8"?>
${before}<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
  xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>${files.join('')}</References>
  <DiskSection><Info>Disks</Info>${disks
    .map(
      ({ id, href, capacity = '1048576', attributes = '' }, index) =>
        `<Disk ovf:diskId="${id}" ${href === undefined ? '' : `ovf:fileRef="file${index + 1}" `}` +
        `ovf:capacity="${capacity}" ${attributes}/>`,
    )
    .join('')}</DiskSection>
  <NetworkSection><Info>Networks</Info><Network ovf:name="lan"/></NetworkSection>
  <VirtualSystem ovf:id="machine"><Info>A machine</Info><Name>Server &lt;1&gt;</Name>
    <OperatingSystemSection ovf:id="96" vmw:osType="debian10_64Guest"><Info>OS</Info></OperatingSystemSection>
    <VirtualHardwareSection><Info>Hardware</Info>
      <System><vssd:ElementName>Virtual Hardware Family</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType></System>
      <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>4</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>3072</rasd:VirtualQuantity></Item>
      <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>lsilogic</rasd:ResourceSubType>
        <rasd:ResourceType>6</rasd:ResourceType></Item>
      ${disks
        .map(
          ({ id }, index) =>
            `<Item><rasd:AddressOnParent>${index}</rasd:AddressOnParent>` +
            `<rasd:HostResource>ovf:/disk/${id}</rasd:HostResource><rasd:InstanceID>${index + 10}</rasd:InstanceID>` +
            `<rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>`,
        )
        .join('\n')}
      <Item><rasd:Connection>lan</rasd:Connection><rasd:InstanceID>9</rasd:InstanceID>
        <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
      ${extra}
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`
}

/** A manifest of files, in the form that is asked for. */
export function manifestText(
  files: readonly { readonly name: string; readonly bytes: Uint8Array }[],
  algorithm = 'SHA256',
  line = (digest: string, name: string, hex: string) => `${digest}(${name})= ${hex}\n`,
): string {
  return files
    .map(({ name, bytes }) => line(algorithm, name, createHash(algorithm.toLowerCase()).update(bytes).digest('hex')))
    .join('')
}
