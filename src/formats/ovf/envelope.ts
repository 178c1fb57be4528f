import { childElements, childText, parseXml, type XmlElement } from '../../binary/xml.js'
import { corrupt, type ImageError } from '../../errors.js'
import type { Machine, MachineDisk } from '../driver.js'

/** Bytes that an OVF description may have. */
export const longestDescription = 16 * 1024 * 1024

/** A file of `References`. Bytes. */
export interface ReferencedFile {
  readonly id: string
  readonly href: string
  readonly size?: number
  /** Bytes of each piece but the last, where it is stored in pieces `href.000000000` … */
  readonly chunkSize?: number
}

/** An OVF description (DSP0243), as far as disks and what is shown of machines go. */
export interface Envelope {
  readonly files: readonly ReferencedFile[]
  readonly disks: readonly (MachineDisk & { readonly reference?: ReferencedFile })[]
  readonly machines: readonly Machine[]
}

/** Envelopes of OVF 1.x, 2.x, and of the drafts that VMware's first tools wrote. */
const spaces = new RegExp(
  '^(?:https?://schemas\\.dmtf\\.org/ovf/(?:envelope/)?[12](?:/envelope)?|' +
    'http://www\\.vmware\\.com/schema/ovf/.*)$',
)

/** @param label what messages call it. @throws ImageError corrupt E_OVF */
export function parseEnvelope(bytes: Uint8Array, label: string): Envelope {
  let root: XmlElement
  try {
    root = parseXml(decode(bytes))
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error
    throw damaged(label, `it is no XML that can be read: ${error.message}`, error)
  }
  if (root.name !== 'Envelope' || !spaces.test(root.space))
    throw damaged(label, `its root is <${root.name.slice(0, 40)}>, not the Envelope of an OVF description`)
  const files = new Map<string, ReferencedFile>()
  for (const file of childElements(root, 'References').flatMap((section) => childElements(section, 'File'))) {
    const href = file.attributes.get('href')
    const id = file.attributes.get('id') ?? href
    if (href === undefined || id === undefined) throw damaged(label, 'a file of its References has no name')
    if (files.has(id)) throw damaged(label, `two files of its References have the id ${JSON.stringify(id)}`)
    files.set(id, {
      id,
      href,
      size: countOf(file.attributes.get('size')),
      chunkSize: countOf(file.attributes.get('chunkSize')),
    })
  }
  const systems = systemsOf(root)
  const disks = childElements(root, 'DiskSection')
    .flatMap((section) => childElements(section, 'Disk'))
    .map((disk) => diskOf(disk, files, systems, label))
  const ids = new Set(disks.map(({ id }) => id))
  if (ids.size < disks.length) throw damaged(label, 'two of its disks have one id')
  return { files: [...files.values()], disks, machines: systems.map((system) => machineOf(system, ids)) }
}

function damaged(label: string, why: string, cause?: unknown): ImageError {
  return corrupt('E_OVF', `${label} is no OVF description that can be used: ${why}`, {
    hint: 'Unpack the archive with tar, and convert its disks one by one.',
    cause,
  })
}

/** UTF-8, or UTF-16 where a mark at the start says so. @throws TypeError for bytes that are no such text. */
function decode(bytes: Uint8Array): string {
  const [first, second] = bytes
  const label =
    first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8'
  return new TextDecoder(label, { fatal: true }).decode(bytes)
}

function countOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\s*\d{1,16}\s*$/.test(text)) return undefined
  const count = Number(text)
  return Number.isSafeInteger(count) ? count : undefined
}

/** `byte * 2^30`, `MegaBytes` …: bytes of one unit (DSP0004, C.1); undefined for what is none. */
function unitOf(text: string | undefined, standard: number): number | undefined {
  const unit = (text ?? '').trim().toLowerCase()
  if (unit === '') return standard
  const [, factor, exponent] = /^bytes?(?:\s*\*\s*(\d{1,6})(?:\s*\^\s*(\d{1,2}))?)?$/.exec(unit) ?? []
  if (factor !== undefined) return Number(factor) ** Number(exponent ?? 1)
  const named = /^(?:(kilo|mega|giga|tera)bytes?|([kmgt])i?b|bytes?)$/.exec(unit)
  if (named === null) return undefined
  return 1024 ** ('-kmgt'.indexOf((named[1] ?? named[2] ?? '-').charAt(0)) || 0)
}

function bytesOf(text: string | undefined, unit: string | undefined, standard: number): number | undefined {
  const count = countOf(text)
  const each = unitOf(unit, standard)
  if (count === undefined || each === undefined) return undefined
  return Number.isSafeInteger(count * each) ? count * each : undefined
}

function diskOf(
  disk: XmlElement,
  files: ReadonlyMap<string, ReferencedFile>,
  systems: readonly System[],
  label: string,
): Envelope['disks'][number] {
  const { attributes } = disk
  const id = attributes.get('diskId')
  if (id === undefined || id === '') throw damaged(label, 'one of its disks has no id')
  const fileRef = attributes.get('fileRef')
  const reference = fileRef === undefined ? undefined : files.get(fileRef)
  if (fileRef !== undefined && reference === undefined)
    throw damaged(
      label,
      `its disk ${JSON.stringify(id)} is in the file ${JSON.stringify(fileRef)}, which it does not list`,
    )
  return {
    id,
    file: reference?.href,
    reference,
    capacity: bytesOf(attributes.get('capacity'), attributes.get('capacityAllocationUnits'), 1),
    // oVirt writes an empty one for a disk of its own.
    parent: textOr(attributes.get('parentRef')),
    controller: systems.map(({ controllers }) => controllers.get(id)).find((name) => name !== undefined),
  }
}

/** One virtual system, and its items of hardware. */
interface System {
  readonly element: XmlElement
  readonly hardware: XmlElement | undefined
  readonly items: readonly XmlElement[]
  /** Of each disk, by its id, in order. */
  readonly controllers: ReadonlyMap<string, string>
}

/** More nested collections are read as none: the depth of the document is bounded already. */
function systemsOf(root: XmlElement): System[] {
  const found: XmlElement[] = []
  for (const open = [root]; open.length > 0;) {
    const element = open.shift()
    if (element === undefined) break
    found.push(...childElements(element, 'VirtualSystem', 'Content'))
    open.push(...childElements(element, 'VirtualSystemCollection'))
  }
  return found.map((element) => {
    const hardware = section(element, 'VirtualHardwareSection')
    const items = hardware === undefined ? [] : childElements(hardware, 'Item', 'StorageItem', 'EthernetPortItem')
    return { element, hardware, items, controllers: controllersOf(items) }
  })
}

/** A section by its element, or as OVF 0.9 names it: a `Section` of a type. */
function section(element: XmlElement, name: string): XmlElement | undefined {
  return element.children.find(
    (child) => child.name === name || (child.name === 'Section' && (child.attributes.get('type') ?? '').includes(name)),
  )
}

const resource = { cpu: '3', memory: '4', ethernet: '10', disk: '17' }
const controllerNames: Readonly<Record<string, string>> = { 5: 'ide', 6: 'scsi', 20: 'sata' }

function controllersOf(items: readonly XmlElement[]): Map<string, string> {
  const byInstance = new Map(
    items.map((item) => [childText(item, 'InstanceID') ?? childText(item, 'InstanceId'), item]),
  )
  const disks = items.filter((item) => childText(item, 'ResourceType') === resource.disk)
  const controllers = new Map<string, string>()
  for (const item of disks) {
    const [, id] = /^(?:ovf:)?\/?disk\/(.+)$/.exec(childText(item, 'HostResource') ?? '') ?? []
    if (id === undefined || controllers.has(id)) continue
    const parent = byInstance.get(childText(item, 'Parent'))
    const type = parent === undefined ? undefined : childText(parent, 'ResourceType')
    const kind = controllerNames[type ?? ''] ?? 'disk'
    const model = parent === undefined ? undefined : childText(parent, 'ResourceSubType')
    controllers.set(id, model === undefined || model === '' ? kind : `${kind} ${model}`)
  }
  return controllers
}

function machineOf({ element, hardware, items, controllers }: System, known: ReadonlySet<string>): Machine {
  const of = (type: string): XmlElement[] => items.filter((item) => childText(item, 'ResourceType') === type)
  const [cpu] = of(resource.cpu)
  const [memory] = of(resource.memory)
  const system = hardware === undefined ? undefined : childElements(hardware, 'System')[0]
  return {
    name: textOr(childText(element, 'Name')) ?? textOr(element.attributes.get('id')),
    os: osOf(element),
    cpus: cpu === undefined ? undefined : countOf(childText(cpu, 'VirtualQuantity')),
    memory:
      memory === undefined
        ? undefined
        : bytesOf(childText(memory, 'VirtualQuantity'), childText(memory, 'AllocationUnits'), 2 ** 20),
    firmware: firmwareOf(element, hardware),
    hardware: textOr(system === undefined ? undefined : childText(system, 'VirtualSystemType')),
    networks: of(resource.ethernet).map((item) => textOr(childText(item, 'Connection')) ?? 'not connected'),
    disks: [...controllers.keys()].filter((id) => known.has(id)),
  }
}

function textOr(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text
}

function osOf(element: XmlElement): string | undefined {
  const found = section(element, 'OperatingSystemSection')
  if (found === undefined) return undefined
  const described = textOr(childText(found, 'Description')) ?? textOr(childText(found, 'OSType'))
  return textOr(found.attributes.get('osType')) ?? described ?? numbered(found.attributes.get('id'))
}

function numbered(id: string | undefined): string | undefined {
  return id === undefined ? undefined : `number ${id} of CIM's operating systems`
}

/** VMware's `Config`, and VirtualBox' own section; neither says anything of a machine with a BIOS. */
function firmwareOf(element: XmlElement, hardware: XmlElement | undefined): Machine['firmware'] {
  const config = hardware === undefined ? [] : childElements(hardware, 'Config', 'ExtraConfig')
  const value = config.find(({ attributes }) => attributes.get('key') === 'firmware')?.attributes.get('value')
  const box = childElements(element, 'Machine').flatMap((machine) => childElements(machine, 'Hardware'))[0]
  const type = box === undefined ? undefined : childElements(box, 'Firmware')[0]?.attributes.get('type')
  if (/^u?efi/i.test(value ?? '') || /^u?efi/i.test(type ?? '')) return 'uefi'
  return hardware === undefined ? undefined : 'bios'
}
