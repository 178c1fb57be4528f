import { viewOf } from '../../binary/integers.js'
import { damaged } from '../damage.js'
import { extraSize, type Inode } from './inode.js'
import { extInode } from './structs.js'

/** Bytes of content in the inode's own block numbers. */
export const inlineHead = 60
const attributeMagic = 0xea020000
const systemIndex = 7
const attributeHead = 16

/**
 * Content that lies in the inode (inline_data): 60 bytes where block numbers would be, the rest as the attribute
 * `system.data`.
 * @returns both parts. @throws ImageError corrupt E_FS_CORRUPT.
 */
export function inlineContent(title: string, inode: Inode): { readonly head: Uint8Array; readonly rest: Uint8Array } {
  const head = inode.values.block
  const rest = systemData(title, inode)
  if (inode.size > head.length + rest.length)
    throw damaged(
      title,
      `inode ${inode.number} has ${inode.size} bytes, and only ${head.length + rest.length} lie in it`,
      inode.position,
    )
  return { head, rest }
}

function systemData(title: string, { bytes, number, position }: Inode): Uint8Array {
  const start = extInode.size + extraSize(bytes)
  const view = viewOf(bytes)
  if (start + 8 > bytes.length || view.getUint32(start, true) !== attributeMagic) return new Uint8Array(0)
  const first = start + 4
  for (let at = first; at + attributeHead <= bytes.length && view.getUint32(at, true) !== 0;) {
    const nameLength = view.getUint8(at)
    const name = Buffer.from(bytes.subarray(at + attributeHead, at + attributeHead + nameLength)).toString('latin1')
    if (view.getUint8(at + 1) === systemIndex && name === 'data') {
      const offset = first + view.getUint16(at + 2, true)
      const size = view.getUint32(at + 8, true)
      if (view.getUint32(at + 4, true) !== 0 || offset + size > bytes.length)
        throw damaged(title, `the content of inode ${number} leaves the inode`, position)
      return bytes.subarray(offset, offset + size)
    }
    at += Math.ceil((attributeHead + nameLength) / 4) * 4
  }
  return new Uint8Array(0)
}
