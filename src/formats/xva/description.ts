import { parseXml, childText, type XmlElement } from '../../binary/xml.js'
import { corrupt, printable, type ImageError } from '../../errors.js'
import type { Appliance, Machine } from '../driver.js'

/** A disk that the description names. */
export interface XvaDisk {
  /** `Ref:4`: the folder of its pieces. */
  readonly id: string
  /** Bytes. */
  readonly capacity: number
  /** What its owner calls it. */
  readonly label: string | undefined
  /** Where the machine has it: `0`, `xvda`. */
  readonly device: string | undefined
}

export interface XvaDescription {
  readonly disks: readonly XvaDisk[]
  readonly appliance: Appliance
}

type Value = string | ReadonlyMap<string, Value> | readonly Value[]

/** @throws ImageError corrupt E_DESCRIPTION. */
export function parseDescription(bytes: Uint8Array, name: string): XvaDescription {
  let root: Value
  try {
    root = valueOf(parseXml(Buffer.from(bytes).toString('utf8')))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw bad(name, error.message)
  }
  const list = member(root, 'objects')
  if (!isList(list)) throw bad(name, 'it has no objects')
  const objects = list.map((object) => ({
    kind: text(object, 'class'),
    id: text(object, 'id'),
    facts: member(object, 'snapshot'),
  }))
  const drives = objects.filter(({ kind, facts }) => kind === 'VBD' && text(facts, 'type') === 'Disk')
  const disks = objects.flatMap(({ kind, id, facts }): XvaDisk[] => {
    if (kind !== 'VDI' || id === undefined) return []
    const drive = drives.find((one) => text(one.facts, 'VDI') === id)
    // The disc in a drive, or what the machine no longer has.
    if (drive === undefined && drives.length > 0) return []
    const size = text(facts, 'virtual_size') ?? ''
    if (!/^[1-9]\d{0,14}$/.test(size)) throw bad(name, `the size of ${printable(id)} is ${printable(size)}`)
    const device = text(drive?.facts, 'userdevice')
    return [{ id, capacity: Number(size), label: text(facts, 'name_label'), device }]
  })
  const machines = objects.filter(({ kind }) => kind === 'VM').map(({ facts }) => machineOf(facts, disks, objects))
  return {
    disks,
    appliance: {
      machines,
      disks: disks.map(({ id, capacity, label, device }) => ({
        id,
        file: label ?? id,
        capacity,
        controller: device === undefined ? undefined : `xvd ${device}`,
      })),
    },
  }
}

function machineOf(
  facts: Value | undefined,
  disks: readonly XvaDisk[],
  objects: readonly { readonly kind: string | undefined; readonly facts: Value | undefined }[],
): Machine {
  const number = (key: string): number | undefined => {
    const value = text(facts, key) ?? ''
    return /^\d{1,15}$/.test(value) ? Number(value) : undefined
  }
  return {
    name: text(facts, 'name_label'),
    os: text(member(facts, 'other_config'), 'base_template_name'),
    cpus: number('VCPUs_max'),
    memory: number('memory_static_max'),
    firmware: text(member(facts, 'HVM_boot_params'), 'firmware') === 'uefi' ? 'uefi' : 'bios',
    networks: objects.filter(({ kind }) => kind === 'VIF').map(({ facts: one }) => text(one, 'MAC') ?? 'network'),
    disks: disks.map(({ id }) => id),
  }
}

/** XML-RPC's values: structures, lists, and everything else as text. */
function valueOf(element: XmlElement): Value {
  const inner = element.name === 'value' ? element.children[0] : element
  if (inner === undefined) return element.text.trim()
  if (inner.name === 'struct') {
    const values = new Map<string, Value>()
    for (const one of named(inner, 'member')) {
      const value = one.children.find(({ name }) => name === 'value')
      if (value !== undefined) values.set(childText(one, 'name') ?? '', valueOf(value))
    }
    return values
  }
  if (inner.name === 'array')
    return named(inner, 'data').flatMap((data) => named(data, 'value').map((value) => valueOf(value)))
  return inner.text.trim()
}

function named({ children }: XmlElement, wanted: string): XmlElement[] {
  return children.filter(({ name }) => name === wanted)
}

function isList(value: Value | undefined): value is readonly Value[] {
  return Array.isArray(value)
}

function member(value: Value | undefined, key: string): Value | undefined {
  return value instanceof Map ? (value as ReadonlyMap<string, Value>).get(key) : undefined
}

/** Undefined where it is empty, too. */
function text(value: Value | undefined, key: string): string | undefined {
  const found = member(value, key)
  return typeof found === 'string' && found !== '' ? found : undefined
}

function bad(name: string, why: string): ImageError {
  return corrupt('E_DESCRIPTION', `${name}: its description ova.xml cannot be understood: ${why}`, {
    hint: 'Export the machine again, or unpack the archive with tar.',
  })
}
