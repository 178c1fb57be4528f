import type { BlockSource } from '../../block/types.js'
import { readOnlyImage } from '../read-only.js'
import type { Filesystem, FilesystemFamily } from '../types.js'
import { bytesAt, VolumeReader } from '../volume-reader.js'
import { descriptor } from './structs.js'
import { IsoTree } from './tree.js'

const firstDescriptor = 32768
const descriptorSize = 2048
/** There are rarely more than four. */
const mostDescriptors = 64
const types = { boot: 0, primary: 1, supplementary: 2, end: 255 }
const jolietEscapes = ['%/@', '%/C', '%/E']

/** ISO 9660, whatever lies beside it. */
export const iso9660: FilesystemFamily = {
  id: 'iso9660',
  identify: (volume) => {
    const found = describe(volume)
    return found === undefined ? [] : [found]
  },
}

function describe(volume: BlockSource): Filesystem | undefined {
  const descriptors = []
  for (let index = 0; index < mostDescriptors; index++) {
    const bytes = bytesAt(volume, firstDescriptor + index * descriptorSize, descriptor.size)
    const values = bytes === undefined ? undefined : descriptor.read(bytes)
    if (values?.mark !== 'CD001' || values.type === types.end) break
    descriptors.push(values)
  }
  const primary = descriptors.find(({ type }) => type === types.primary)
  if (primary === undefined) return undefined
  const joliet = descriptors.find(
    ({ type, escapes }) => type === types.supplementary && jolietEscapes.includes(escapes),
  )
  const bootable = descriptors.some(({ type, bootId }) => type === types.boot && bootId.startsWith('EL TORITO'))
  const plain = Buffer.from(primary.volumeId)
    .toString('utf8')
    .replace(/[\0 ]+$/, '')
  const label = joliet === undefined ? plain : mergedLabel(plain, joliet.volumeId)
  const date = dateText(primary.modified) ?? dateText(primary.created)
  const text = (name: string, value: string) => (value.trim() === '' ? [] : [{ name, value: value.trim() }])
  const reader = new VolumeReader(volume, 'ISO 9660')
  return readOnlyImage(volume, {
    openTree: () => new IsoTree(reader, primary, joliet),
    type: 'iso9660',
    title: 'ISO 9660',
    blockSize: primary.blockSize,
    size: BigInt(primary.blocks) * BigInt(primary.blockSize),
    version: joliet === undefined ? undefined : 'Joliet Extension',
    ...(label === '' ? {} : { label }),
    uuid: date,
    facts: [
      { name: 'bootable', label: 'bootable (El Torito)', value: bootable },
      ...text('system', primary.systemId),
      ...text('publisher', primary.publisher),
      ...text('application', primary.application),
    ],
  })
}

/** Joliet has sixteen characters of any kind; those behind them are only in the plain label, when it is the same. */
function mergedLabel(plain: string, stored: Uint8Array): string {
  const joliet = Buffer.from(stored)
    .swap16()
    .toString('utf16le')
    .replace(/[\0 ]+$/, '')
  const same =
    joliet.length === 16 &&
    plain.length > 16 &&
    Array.from({ length: 16 }, (_, index) => index).every((index) => {
      const character = joliet.charAt(index)
      const other = plain.charAt(index)
      return other === character || other === character.toUpperCase() || other === '_'
    })
  return same ? joliet + plain.slice(16) : joliet === '' ? plain : joliet
}

/** ECMA-119, 8.4.26.1: sixteen digits to a hundredth of a second; all zero says no date. */
function dateText(date: Uint8Array): string | undefined {
  const digits = Buffer.from(date.subarray(0, 16)).toString('latin1')
  if (!/^\d{16}$/.test(digits) || /^0*$/.test(digits)) return undefined
  return digits.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/, '$1-$2-$3-$4-$5-$6-$7')
}
