import { createHash } from 'node:crypto'
import { roundUp } from '../../../binary/integers.js'
import { encodeTarHeader, tarBlock } from '../../../binary/tar-header.js'
import { stream, type CopyResult } from '../../../engine/index.js'
import { corrupt, usage } from '../../../errors.js'
import type { Content } from '../content.js'
import { tryLayout } from '../layout.js'
import { description, descriptionLength } from './description.js'
import type { MachinePlan } from './machine.js'

/** A disk that was written as a VMDK. */
export interface WrittenDisk {
  /** Bytes of the file. */
  readonly size: number
  readonly sha256: string
}

/** The files of an OVA, in its order: description, manifest, disks. Everything but what is in the disks is known. */
export class ApplianceFiles {
  readonly contents: readonly Content[]
  readonly diskNames: readonly string[]
  readonly #machine: MachinePlan
  readonly #time: number
  readonly #disks: readonly { readonly file: string; readonly capacity: number }[]
  readonly #descriptionLength: number

  /** @param time seconds since 1970, recorded in the archive. */
  constructor(machine: MachinePlan, contents: readonly Content[], time: number) {
    this.#machine = machine
    this.#time = time
    this.contents = contents
    this.diskNames = contents.map((_, index) => `${machine.stem}-disk${index + 1}.vmdk`)
    this.#disks = contents.map(({ format, shape }, index) => ({
      file: this.diskNames[index] ?? '',
      capacity: tryLayout(format, shape).capacity,
    }))
    this.#descriptionLength = descriptionLength(machine, this.#disks)
  }

  /** What stands before the first disk: description and manifest with their headers. Always of one length. */
  head(written: readonly WrittenDisk[]): Buffer {
    const { stem } = this.#machine
    const ovf = description(
      this.#machine,
      this.#disks.map((disk, index) => ({ ...disk, size: written[index]?.size ?? 0 })),
      this.#descriptionLength,
    )
    const lines = [
      [`${stem}.ovf`, createHash('sha256').update(ovf).digest('hex')],
      ...this.diskNames.map((name, index) => [name, written[index]?.sha256 ?? '0'.repeat(64)]),
    ].map(([name = '', hex = '']) => `SHA256(${name})= ${hex}\n`)
    return Buffer.concat([this.#member(`${stem}.ovf`, ovf), this.#member(`${stem}.mf`, Buffer.from(lines.join('')))])
  }

  diskHeader(index: number, size: number): Uint8Array {
    return encodeTarHeader({ name: Buffer.from(this.diskNames[index] ?? ''), size, time: this.#time })
  }

  #member(name: string, bytes: Buffer): Buffer {
    return Buffer.concat([
      encodeTarHeader({ name: Buffer.from(name), size: bytes.length, time: this.#time }),
      bytes,
      padding(bytes.length),
    ])
  }
}

/** What fills a member up to whole blocks. */
export function padding(size: number): Buffer {
  return Buffer.alloc(roundUp(size, tarBlock) - size)
}

/** The two blocks that end an archive. */
export const archiveEnd = Buffer.alloc(2 * tarBlock)

/** Gives out one disk as a stream-optimised VMDK, and what it was. */
export async function streamDisk(
  { format, shape, moving }: Content,
  name: string,
  output: (bytes: Uint8Array) => Promise<void>,
): Promise<WrittenDisk & CopyResult> {
  const hash = createHash('sha256')
  let size = 0
  const moved = await stream({
    ...moving,
    output: async (bytes) => {
      hash.update(bytes)
      size += bytes.length
      await output(bytes)
    },
    layout: (store) =>
      format.driver.create(store, shape, format.options, {
        name,
        onePass: true,
        createFile: () => {
          throw usage('E_STREAM', 'an image of several files cannot be in an OVA')
        },
      }),
  })
  return { ...moved, size, sha256: hash.digest('hex') }
}

/** @throws ImageError corrupt E_SOURCE_CHANGED where a disk read twice was not the same. */
export function assertSameDisk(first: WrittenDisk | undefined, second: WrittenDisk, { opened }: Content): void {
  if (first?.sha256 === second.sha256 && first.size === second.size) return
  throw corrupt('E_SOURCE_CHANGED', `${opened.name} changed while it was read`, {
    hint: 'Stop what writes to the source, and try again.',
  })
}
