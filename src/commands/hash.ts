import { string } from '@oclif/core/args'
import { boolean, option } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { count, openFlags, openValues, progressFlag, range } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'

export default class Hash extends BaseCommand {
  static override summary = 'Show a digest of the disk of an image.'
  static override description = paragraphs(`
    Prints a digest of every byte of the disk in IMAGE, read through its whole chain. It does not depend on the
    format of the image.

    sha256 is what sha256sum prints for the raw image. tree uses all processors and skips holes; docs/tree-hash.md
    specifies it. Its digests begin with tree1:.
  `)
  static override examples = [
    {
      description: 'What sha256sum says of the same disk as a raw image',
      command: '<%= config.bin %> <%= command.id %> disk.vhdx',
    },
    {
      description: 'Fast, also for a large and mostly empty disk',
      command: '<%= config.bin %> <%= command.id %> disk.qcow2 --algorithm tree',
    },
    { description: 'Of a part of the disk', command: '<%= config.bin %> <%= command.id %> disk.vhd --range 1M:64M' },
    { description: 'Of each partition', command: '<%= config.bin %> <%= command.id %> disk.vhdx --per-partition' },
  ]
  static override args = { image: string({ required: true, description: 'the image to read' }) }
  static override usage = '<%= command.id %> IMAGE [FLAGS]'
  static override flags = {
    ...openFlags,
    algorithm: option({ options: ['sha256', 'tree'] as const, default: 'sha256', summary: 'the kind of digest' })(),
    range: range({
      multiple: true,
      multipleNonGreedy: true,
      summary: 'a part of the disk, hashed as if it were a disk; several may be given',
    }),
    'per-partition': boolean({ summary: 'each partition, hashed as if it were a disk', exclusive: ['range'] }),
    threads: count({ summary: 'worker threads for hashing and decompression; 0: none' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Hash)
    const { hash } = await import('../operations/inspect/hash.js')
    const document = await hash(args.image, {
      ...(await this.context(flags)),
      ...openValues(flags),
      algorithm: flags.algorithm,
      ranges: flags.range,
      perPartition: flags['per-partition'],
      threads: flags.threads,
    })
    await this.show({
      schema: 'vdisk.hash',
      result: { ...document, path: args.image, ranges: flags.range !== undefined },
      document,
      view: () => import('../cli/view/hash.js'),
    })
  }
}
