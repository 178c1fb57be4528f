import { descriptorName, newMagic, oldMagic, rootName } from './structs.js'

const partName = /\.hd[ds]\.\d+\.\{[0-9a-f-]{36}\}\.hds$/i

/** Whether a file is named as one of a bundle: a plain one has no mark in it. */
export function isPartName(name: string): boolean {
  return partName.test(name)
}

/** The file of a folder from which its disk is opened. */
export function folderFile(names: ReadonlySet<string>): string | undefined {
  return names.has(descriptorName) ? descriptorName : undefined
}

export function isExpandable(head: Uint8Array): boolean {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(16, head.length)).toString('latin1')
  return text === oldMagic || text === newMagic
}

/** Whether a file begins as a descriptor does, in UTF-8 or UTF-16. */
export function isDescriptor(head: Uint8Array): boolean {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(4096, head.length))
    .toString('latin1')
    .replaceAll('\0', '')
  return /^(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*<[?!]?\w/.test(text) && text.includes(`<${rootName}`)
}
