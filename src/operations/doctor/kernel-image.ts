import { viewOf } from '../../binary/integers.js'
import { guestFileHead, guestFileSize, type GuestFile } from './guest-file.js'

/** What a kernel's file says of itself. */
export interface KernelImage {
  /** `6.1.0-18-amd64`: the folder of its modules. */
  readonly version?: string
  /** Why no loader starts it. */
  readonly damage?: string
  /** It is in no format that is known here. */
  readonly unknown?: boolean
}

/** The setup code of x86, with the kernel's version in it, is no longer. */
const longestSetup = 65 * 512
const signature = { position: 0x1fe, value: 0xaa55 } as const
/** Linux, Documentation/arch/x86/boot.rst. */
const setup = { sectors: 0x1f1, size: 0x1f4, magic: 0x202, version: 0x20e, end: 0x210 } as const
/** Of old kernels, which say 0. */
const oldSectors = 4
/** Formats without a version at a fixed place: EFI programs (arm64, zboot), gzip, ELF. */
const others: readonly (readonly number[])[] = [
  [0x4d, 0x5a],
  [0x1f, 0x8b],
  [0x7f, 0x45, 0x4c, 0x46],
]

/** Reads the head of a kernel's file: its version, and whether all of it is there. */
export function kernelImage(file: GuestFile): KernelImage {
  const size = guestFileSize(file)
  if (size === 0) return { damage: 'an empty file' }
  const head = guestFileHead(file, longestSetup)
  if (head === undefined) return { unknown: true }
  if (head.every((byte) => byte === 0)) return { damage: 'a file of zeros' }
  const view = viewOf(head)
  if (
    head.length < setup.end ||
    view.getUint16(signature.position, true) !== signature.value ||
    textAt(head, setup.magic, setup.magic + 4) !== 'HdrS'
  )
    return { unknown: !others.some((magic) => magic.every((byte, index) => head[index] === byte)) }
  const sectors = (head[setup.sectors] ?? 0) || oldSectors
  const whole = (sectors + 1) * 512 + view.getUint32(setup.size, true) * 16
  const at = 0x200 + view.getUint16(setup.version, true)
  const [, version] = /^([\w.+~-]+)[ \0]/.exec(at === 0x200 ? '' : textAt(head, at, at + 256)) ?? []
  return { version, damage: size < whole ? `${size} bytes, of ${whole}` : undefined }
}

function textAt(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.subarray(start, end)).toString('latin1')
}
