import { ascii, bytes, struct, u16, u32 } from '../../binary/struct.js'
import type { FileNode } from '../../filesystem/types.js'
import type { VolumeFiles } from '../files/volume-files.js'
import { osRelease } from '../inspect/boot/system-guess.js'
import { guestFileHead, type GuestFile } from './guest-file.js'

/**
 * Unified kernel images (UAPI.5): a kernel with its initramfs and its command line, as sections of one program for
 * UEFI.
 */
export interface UnifiedKernel {
  readonly kernel: GuestFile
  /** Microcode, and the initramfs. */
  readonly initrds: readonly GuestFile[]
  /** The command line; empty where the image has none. */
  readonly parameters: string
  /** Variables of os-release of the system that it starts. */
  readonly release: ReadonlyMap<string, string>
  /** Why firmware does not start it. */
  readonly damage?: string
}

const dosHeader = struct('little', 64, { magic: ascii(0, 2), peOffset: u32(60) })
/** The COFF header behind its signature (Microsoft's PE format). */
const coffHeader = struct('little', 24, { signature: bytes(0, 4), sections: u16(6), optionalLength: u16(20) })
const sectionHeader = struct('little', 40, { name: ascii(0, 8), size: u32(8), stored: u32(16), position: u32(20) })
/** More are not looked at; real images have about 20. */
const mostSections = 256
const longestText = 65536

interface Section {
  readonly name: string
  readonly offset: number
  readonly length: number
}

/** Reads a file as a unified kernel image; undefined where it is none: a program without a section `.linux`. */
export function unifiedKernel(files: VolumeFiles, path: string): UnifiedKernel | undefined {
  const node = files.file(path)
  const found = node === undefined ? undefined : sectionsOf(files, node)
  if (node === undefined || found === undefined) return undefined
  const sections = firstProfile(found)
  const file = (name: string): GuestFile | undefined => {
    const part = sections.get(name)
    return part === undefined ? undefined : { files, path: `${path} (${name})`, node, part }
  }
  const text = (name: string): string => {
    const one = file(name)
    const head = one === undefined ? undefined : guestFileHead(one, longestText)
    return head === undefined ? '' : Buffer.from(head).toString('utf8').replace(/\0.*$/s, '')
  }
  const kernel = file('.linux')
  if (kernel === undefined) return undefined
  const cut = found.find(({ offset, length }) => offset + length > node.size)
  return {
    kernel,
    initrds: ['.ucode', '.initrd'].flatMap((name) => file(name) ?? []),
    parameters: text('.cmdline').trim(),
    release: osRelease(text('.osrel')),
    damage: cut === undefined ? undefined : `${node.size} bytes, of ${cut.offset + cut.length}`,
  }
}

/** The sections of a PE program, in their order; undefined where it is none. */
function sectionsOf(files: VolumeFiles, node: FileNode): Section[] | undefined {
  const read = (position: number, length: number): Uint8Array | undefined => {
    const target = new Uint8Array(length)
    return position + length <= node.size && files.fill(node, position, target) ? target : undefined
  }
  const dos = read(0, dosHeader.size)
  if (dos === undefined) return undefined
  const { magic, peOffset } = dosHeader.read(dos)
  const coff = magic === 'MZ' ? read(peOffset, coffHeader.size) : undefined
  if (coff === undefined) return undefined
  const { signature, sections, optionalLength } = coffHeader.read(coff)
  if (Buffer.from(signature).toString('latin1') !== 'PE\0\0' || sections > mostSections) return undefined
  const headers = read(peOffset + coffHeader.size + optionalLength, sections * sectionHeader.size)
  if (headers === undefined) return undefined
  return Array.from({ length: sections }, (_, index) => {
    const values = sectionHeader.read(headers, index * sectionHeader.size)
    // What is stored is filled up to the alignment of the file.
    const length = Math.min(values.size, values.stored)
    return { name: values.name, offset: values.position, length }
  })
}

/** What starts without a choice: sections before the first profile, and those of the first in their place. */
function firstProfile(sections: readonly Section[]): Map<string, Section> {
  const found = new Map<string, Section>()
  let profiles = 0
  for (const section of sections) {
    if (section.name === '.profile' && ++profiles > 1) break
    found.set(section.name, section)
  }
  return found
}
